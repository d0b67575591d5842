package protocol

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// judge decides what a fresh entry means for every peer: a batch that nobody
// behind a link wants is passed over at once, the others wait for their
// stream.
func (m *Machine) judge(l *log, e *entry) {
	for _, c := range l.cursors {
		if c.inert || c.next >= e.last {
			continue
		}
		if c.next == e.first-1 && c.next >= l.base && !m.owes(c, e) {
			m.passOver(c, e)
			m.tellSkipLater(c)
			continue
		}
		m.enqueue(c)
	}
}

// owes says whether the entry, or word of its loss, has to reach the peer.
func (m *Machine) owes(c *cursor, e *entry) bool {
	switch e.kind {
	case entryBatch:
		return m.wants(c.peer, e.batch)
	case entrySkip:
		return e.known < c.peer.listed
	}
	return true
}

// Behind says whether someone connected has to be sent older batches of a log of ours before the newest, as while there
// is no credit for them.
func (m *Machine) Behind(lane uint8) bool {
	l := m.own[lane]
	return slices.ContainsFunc(l.cursors, func(c *cursor) bool { return c.follows() && !c.isNext(l.latest()) })
}

// TopicBehind says whether everyone connected who wants a topic is behind in that way: what follows can't leave sooner.
func (m *Machine) TopicBehind(lane uint8, name string) (behind bool) {
	l := m.own[lane]
	for _, c := range l.cursors {
		if !c.follows() || !m.blind && !m.wantsTopic(c.peer, name) {
			continue
		}
		if c.isNext(l.latest()) {
			return false
		}
		behind = true
	}
	return behind
}

// CaughtUp says whether a path's peer has been sent all before the newest batch.
func (m *Machine) CaughtUp(id PathID, lane uint8) bool {
	l, p := m.own[lane], m.paths[id]
	if p == nil || p.peer == nil {
		return false
	}
	c := p.peer.cursors[l]
	return c.follows() && c.isNext(l.latest())
}

// follows says whether the peer is connected and sent what it wants in its turn.
func (c *cursor) follows() bool { return c.peer.active != nil && !c.pruned && c.demoted == 0 }

// isNext says whether the peer was sent an entry, or everything before it.
func (c *cursor) isNext(e *entry) bool { return e == nil || c.next+1 >= e.first }

// enqueue lets a cursor take its turn on its stream, if it has anything to say.
func (m *Machine) enqueue(c *cursor) {
	p := c.peer.active
	if p == nil || c.inert || c.ready || !m.has(c) {
		return
	}
	s := m.streamOf(p, c.log.id.Lane)
	c.ready = true
	s.queue.push(c)
	m.wakeStream(p, s, c.log.id.Lane)
}

// wakeStream tells the owner that PollData has something.
func (m *Machine) wakeStream(p *path, s *stream, lane uint8) {
	if !s.woken {
		s.woken = true
		m.emit(Event{Kind: EventData, Path: p.info.ID, Lane: lane})
	}
}

// has says whether there is anything to send, or to look at.
func (m *Machine) has(c *cursor) bool {
	l := c.log
	if c.pruned {
		return false
	}
	if c.next < l.have {
		return m.mayBegin(c) || c.next < l.base
	}
	return c.flushSkip && c.prev < c.skipped() || c.opens || c.owesFin()
}

// mayBegin says whether the peer may be sent another batch: not beyond the credit it gave (§7.2), nor beyond its share of what a log
// keeps, for what is on the way is in memory once more for each peer, below us. One may always be on the way.
func (m *Machine) mayBegin(c *cursor) bool {
	credit := int64(reserveWindow)
	if r := c.peer.remote[c.log.id]; r != nil {
		credit = r.window
	}
	if c.unacked >= credit {
		return false
	}
	share := m.cfg.BufferBytes / int64(max(1, m.connected))
	if c.unacked == 0 || c.unacked+reserveWindow <= share {
		return true
	}
	next := c.log.at(c.next)
	return next == nil || c.unacked+next.size <= share
}

// skipped is how far a skip can be told: a peer may be further than this node.
func (c *cursor) skipped() uint64 { return min(c.next, c.log.have) }

// owesFin says whether the peer knows the log and not yet that it has ended. What it said on an earlier path is not enough: it may
// have forgotten the log since, and would take it on again.
func (c *cursor) owesFin() bool {
	return c.log.finished && !c.toldFin && c.next >= c.log.last && (c.started || c.peer.active != nil && c.peer.active.listed[c.log.id])
}

func (m *Machine) streamOf(p *path, lane uint8) *stream {
	if p.out[lane] == nil {
		p.out[lane] = &stream{aliases: newAliases()}
	}
	return p.out[lane]
}

func (m *Machine) clearQueues(p *path) {
	for _, s := range p.out {
		if s == nil {
			continue
		}
		for s.queue.len() > 0 {
			(*s.queue.at(0)).ready = false
			s.queue.pop()
		}
	}
}

// PollData appends the next frame of a data stream to dst, but for the batch that
// ends it: those bytes are shared with the log and must not be changed. The batch is the caller's
// to free. PollData returns dst unchanged if there is nothing to send until the next EventData.
func (m *Machine) PollData(now time.Duration, id PathID, lane uint8, dst []byte) ([]byte, *codec.Batch) {
	m.now = now
	p := m.paths[id]
	if p == nil || p.out[lane] == nil {
		return dst, nil
	}
	s := p.out[lane]
	if s.gives.len() > 0 {
		return m.give(now, s, lane, dst)
	}
	for s.queue.len() > 0 {
		c := *s.queue.at(0)
		s.queue.pop()
		c.ready = false
		if c.pruned {
			continue
		}
		before, clear := len(dst), c.clear()
		var batch *codec.Batch
		dst, batch = m.nextFrame(now, p, s, c, dst)
		if len(dst) > before && m.has(c) { // the others take their turn first
			c.ready = true
			s.queue.push(c)
		}
		if c.clear() > clear { // what was passed over may be free now
			m.settle(now, c.log)
		}
		if len(dst) > before {
			return dst, batch
		}
	}
	s.woken = false
	return dst, nil
}

// nextFrame appends what the cursor has to say, if anything.
func (m *Machine) nextFrame(now time.Duration, p *path, s *stream, c *cursor, dst []byte) ([]byte, *codec.Batch) {
	dst = s.open(c.log.id.Lane, dst)
	if s, ok := c.nextLost(); ok && s.first <= c.log.base {
		c.freed(s.first - 1)
		return m.absent(p, c, s, dst), nil
	}
	if c.next < c.log.base {
		c.freed(c.log.base)
	}
	for e := c.log.at(c.next); e != nil; e = c.log.at(c.next) {
		if !m.owes(c, e) {
			m.passOver(c, e)
			continue
		}
		if e.kind != entryBatch {
			reason := e.reason
			if e.kind == entrySkip {
				reason = reasonUnjudged
			}
			return m.absent(p, c, span{max(e.first, c.next+1), e.last, reason}, dst), nil
		}
		if !p.takes(e.batch) {
			return m.absent(p, c, span{max(e.first, c.next+1), e.last, ReasonTooLarge}, dst), nil
		}
		if e.first <= c.next { // the peer declared its first events missing
			return m.absent(p, c, span{c.next + 1, e.last, ReasonGone}, dst), nil
		}
		if !m.mayBegin(c) {
			return dst, nil
		}
		return m.batch(now, p, c, e, dst)
	}
	if c.prev < c.skipped() && (c.flushSkip || c.owesFin()) {
		c.flushSkip = false
		return m.skip(p, c, dst), nil
	}
	if c.owesFin() {
		c.toldFin = true
		dst = m.start(p, c, dst)
		m.scratch = binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
		m.scratch = binary.AppendUvarint(m.scratch, c.log.last)
		return appendFrame(dst, frameFin, m.scratch), nil
	}
	if c.prev < c.skipped() {
		m.tellSkipLater(c)
	}
	if c.opens {
		dst = m.start(p, c, dst)
	}
	return dst, nil
}

// open begins the stream with its lane.
func (s *stream) open(lane uint8, dst []byte) []byte {
	if s.opened {
		return dst
	}
	s.opened = true
	return AppendOpen(dst, lane)
}

// AppendOpen appends the first frame of a data stream (§5.1). PollData does so by itself; for a stream that is over before it had
// anything, the owner does.
func AppendOpen(dst []byte, lane uint8) []byte { return appendFrame(dst, frameOpen, []byte{lane}) }

// alias is the short name of a log on its stream; a forgotten log's is used again.
func (m *Machine) alias(p *path, l *log) uint64 {
	return p.out[l.id.Lane].aliases.of(l)
}

// start opens the cursor's run, unless it is open.
func (m *Machine) start(p *path, c *cursor, dst []byte) []byte {
	if c.started {
		return dst
	}
	c.started, c.opens = true, false
	b := binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
	b = appendLog(b, c.log.id)
	b = binary.AppendUvarint(b, c.run)
	b = binary.AppendUvarint(b, c.prev)
	m.scratch = b
	return appendFrame(dst, frameStart, b)
}

func (m *Machine) batch(now time.Duration, p *path, c *cursor, e *entry, dst []byte) ([]byte, *codec.Batch) {
	if c.unjudged(e.first - 1) {
		return m.absent(p, c, span{c.prev + 1, e.first - 1, reasonUnjudged}, dst), nil
	}
	dst = m.judged(p, c, e.first-1, m.start(p, c, dst))
	b := binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
	b = binary.AppendUvarint(b, c.prev)
	b = binary.AppendUvarint(b, agedMillis(e.ageAt(now)))
	m.scratch = b
	dst = binary.AppendUvarint(dst, uint64(1+len(b)+len(e.batch.Bytes())))
	dst = append(dst, frameBatch)
	dst = append(dst, b...)
	c.sent(e)
	c.flushSkip = false
	m.watch(now, p)
	c.peer.sent.add(e.batch)
	e.batch.Retain()
	return dst, e.batch
}

func (m *Machine) skip(p *path, c *cursor, dst []byte) []byte {
	upto := c.skipped()
	if c.unjudged(upto) {
		return m.absent(p, c, span{c.prev + 1, upto, reasonUnjudged}, dst)
	}
	dst = m.judged(p, c, upto, m.start(p, c, dst))
	b := binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
	b = binary.AppendUvarint(b, c.prev)
	b = binary.AppendUvarint(b, upto)
	m.scratch = b
	c.prev = upto
	return appendFrame(dst, frameSkip, b)
}

// takes says whether a batch is no larger than the peer takes, as it is and decompressed.
func (p *path) takes(b *codec.Batch) bool {
	return max(len(b.Bytes()), b.RawSize) <= p.theirs.maxBatch
}

func (m *Machine) absent(p *path, c *cursor, s span, dst []byte) []byte {
	if c.unjudged(s.first - 1) {
		s = span{c.prev + 1, s.first - 1, reasonUnjudged} // first what comes before it
	}
	dst = m.judged(p, c, s.first-1, m.start(p, c, dst))
	b := binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
	b = binary.AppendUvarint(b, c.prev)
	b = binary.AppendUvarint(b, s.first)
	b = binary.AppendUvarint(b, s.last)
	b = append(b, byte(s.reason))
	m.scratch = b
	if s.last > c.log.base {
		// An entry that is itself a hole: remembered until the peer has passed it.
		c.addLost(s)
	}
	c.next, c.prev, c.absent = s.last, s.last, s.last
	return appendFrame(dst, frameAbsent, b)
}

// tellSkipLater has a skip at the end of a run told within AckInterval; one
// that is followed by a batch rides on that (§8.5).
func (m *Machine) tellSkipLater(c *cursor) {
	if p := c.peer.active; p != nil && !c.pruned {
		m.timers.lower(&p.skipTimer, m.now+m.cfg.AckInterval)
	}
}

func (m *Machine) flushSkips(p *path) {
	for _, l := range m.logList {
		if c := p.peer.cursors[l]; c != nil {
			m.flushSkip(c)
		}
	}
}

func (m *Machine) flushSkip(c *cursor) {
	if c.prev < c.skipped() {
		c.flushSkip = true
		m.enqueue(c)
	}
}
