package protocol

import (
	"slices"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// HandleData takes one frame of a data stream: its kind and body, without
// the length. The machine keeps body if it holds a batch, and the memory that it is in, if it is in one. An error is a
// *CloseError that ends the path.
func (m *Machine) HandleData(now time.Duration, id PathID, lane uint8, kind byte, body []byte, memory *codec.Memory) error {
	m.now = now
	p := m.paths[id]
	if p == nil {
		return nil // closed meanwhile
	}
	if p.peer == nil || lane >= maxLanes {
		return violation("data before hello")
	}
	m.watch(now, p)
	s := p.in[lane]
	if s == nil {
		s = &streamIn{}
		p.in[lane] = s
	}
	r := reader{b: body}
	if kind == frameStart {
		return m.handleStart(p, s, lane, &r)
	}
	if kind == frameGive {
		return m.handleGive(now, p, lane, body, memory)
	}
	if kind&ignorable != 0 {
		return nil
	}
	alias := r.uvarint()
	if alias >= uint64(len(s.runs)) || s.runs[alias] == nil {
		return violation("data frame %#x of an unknown log", kind)
	}
	run := s.runs[alias]
	if kind == frameJudged {
		run.judged = r.seq()
		return r.end("judged")
	}
	if run.log == nil && !m.takeOnLater(p, run, kind, r) {
		return nil
	}
	if kind == frameBatch {
		return m.handleBatch(now, p, run, &r, memory)
	}
	if memory != nil {
		defer memory.Free() // the others are numbers
	}
	switch kind {
	case frameSkip:
		return m.handleSkip(now, p, run, &r)
	case frameAbsent:
		return m.handleAbsent(now, p, run, &r)
	case frameFin:
		return m.handleFin(p, run, &r)
	}
	return violation("data frame of unknown kind %#x", kind)
}

// crowded says whether a log holds more entries than its batches and what is between them can be: windows count
// the bytes of batches alone. What is fresh is passed over then, and not asked for: nothing would keep it from coming back at once. Whoever
// is ahead is asked in a while (§11.4).
func (m *Machine) crowded(l *log) bool {
	return l.entries.len() > 2*(m.cfg.BufferMax+maxLost)+2*int(l.bytes/leastBatch)
}

// overrun says whether a log was sent more than its window allows, and one batch. A sender that keeps to that is not beyond, but
// two together may be: each counts what it has sent itself.
func (m *Machine) overrun(l *log) bool { return l.received > l.edge+int64(m.cfg.MaxBatch) }

// ParseOpen reads the first frame of a data stream, which says what lane it carries.
func ParseOpen(kind byte, body []byte) (lane uint8, err error) {
	if kind != frameOpen || len(body) != 1 || body[0] >= maxLanes {
		return 0, violation("a data stream has to begin with its lane")
	}
	return body[0], nil
}

// handleStart opens a run (§6.3). The first start of a log fixes where our
// copy of it begins, unless we know better.
func (m *Machine) handleStart(p *path, s *streamIn, lane uint8, r *reader) error {
	alias := r.uvarint()
	id := r.log()
	run := &runIn{id: id, path: p, run: r.seq(), pos: r.seq()}
	if err := r.end("start"); err != nil {
		return err
	}
	switch {
	case alias > uint64(len(s.runs)) || alias >= maxAliases:
		return violation("start: alias %d", alias)
	case id.Lane != lane:
		return violation("start: a log of lane %d on the stream of lane %d", id.Lane, lane)
	}
	if alias == uint64(len(s.runs)) {
		s.runs = append(s.runs, nil)
	}
	s.runs[alias] = run
	if id.Node != m.cfg.ID && !m.takeOn(p, run) {
		m.emit(Event{Kind: EventRefused, Log: id, Text: "MaxOrigins is reached"})
	}
	return nil
}

// takeOn gives a run of another's log that log, if there is room for it.
func (m *Machine) takeOn(p *path, run *runIn) bool {
	l := m.logOf(p, run)
	if run.refused = l == nil; run.refused {
		return false
	}
	run.log = l
	if c := p.peer.cursors[l]; !m.isLater(c.theirs, run) {
		c.theirs = run
	}
	if run.pos > l.have {
		m.continues(p, run, run.pos)
	}
	return true
}

// isLater says whether a peer has begun a run after another, which comes over a path that is slower. Numbers are of no use across a path
// that was lost: the peer may have forgotten the log since, and begun to count anew.
func (m *Machine) isLater(run, than *runIn) bool {
	return run != nil && run.path != than.path && m.paths[run.path.info.ID] == run.path && run.run > than.run
}

// logOf is the log of a run of another's, or nil if there is no room for it. One that we don't know begins where the run is, unless
// we know better.
func (m *Machine) logOf(p *path, run *runIn) *log {
	l := m.logs[run.id]
	switch {
	case l != nil:
	case len(m.logList) >= m.cfg.MaxOrigins+m.cfg.Lanes:
	case m.knewBefore(run.id, p):
		l = m.newLog(run.id, 0) // whoever could have told us what came first may be gone
	default:
		l = m.newLog(run.id, run.pos)
		l.learnt = p.info.ID
	}
	return l
}

// takeOnRefused follows logs that there was no room for, once there is. It may be that nothing comes in their runs before we ask for it:
// who sends them has had no credit but the reserve.
func (m *Machine) takeOnRefused() {
	for _, q := range m.peerList {
		for _, p := range q.paths {
			for _, run := range p.refused() {
				if l := m.logOf(p, run); l != nil { // the run gets it with what comes in it, which says where it is
					run.refused, run.asked = false, l.have+1
					m.askFor(p, l)
				}
			}
		}
	}
}

// refused are the runs on a path whose logs there was no room for.
func (p *path) refused() (list []*runIn) {
	for _, s := range p.in {
		if s == nil {
			continue
		}
		for _, run := range s.runs {
			if run != nil && run.refused {
				list = append(list, run)
			}
		}
	}
	return list
}

// takeOnLater does so when something comes in a run whose log was refused, or forgotten: its sender does not know that, and
// goes on where it was.
func (m *Machine) takeOnLater(p *path, run *runIn, kind byte, r reader) bool {
	if run.id.Node == m.cfg.ID || kind != frameBatch && kind != frameSkip && kind != frameAbsent {
		return false // our own events never come back to us
	}
	prev := r.seq()
	if r.err != nil || !m.takeOn(p, run) {
		return false
	}
	run.pos = prev // what was discarded is behind it, and asked for
	return true
}

// askFor grafts: it asks the peer behind p to begin a new run right after what we have.
// A vector goes before it, for the credit of the run counts from what that says.
func (m *Machine) askFor(p *path, l *log) {
	m.markVector(p, l)
	p.vectorDue = true
	p.prunes = slices.DeleteFunc(p.prunes, func(x prune) bool { return x.log == l })
	if !slices.Contains(p.grafts, l) {
		p.grafts = append(p.grafts, l)
	}
	m.wakeControl(p)
}

// graftAny asks a connected peer for what comes next (§9.2): one that says it holds that, or
// else one that is further: it may know that nothing of it was meant for us.
func (m *Machine) graftAny(l *log) bool {
	for _, able := range []func(*peer, *log) bool{(*peer).isSource, (*peer).mayKnow} {
		for _, q := range m.peerList {
			if q.active != nil && able(q, l) {
				l.asked, l.askedAt = q, l.have
				m.timers.set(&l.patience, m.now+m.cfg.BlockTimeout)
				m.askFor(q.active, l)
				return true
			}
		}
	}
	return false
}

// graftAll asks everyone who is ahead: some will say that they can't help, and that
// is an answer, too.
func (m *Machine) graftAll(l *log) {
	if m.graftAny(l) {
		return
	}
	for _, q := range m.peerList {
		if r := q.remote[l.id]; q.active != nil && r != nil && r.have > l.have {
			m.askFor(q.active, l)
		}
	}
}

// isSource says whether the peer's last vector shows that it can give have + 1.
func (q *peer) isSource(l *log) bool {
	r := q.remote[l.id]
	return r != nil && r.base <= l.have && q.mayKnow(l)
}

// mayKnow says whether the peer is further than we are, and has not said already that it
// can't help.
func (q *peer) mayKnow(l *log) bool {
	r := q.remote[l.id]
	return r != nil && r.have > l.have && q.cursors[l].denied <= l.have
}

// continues says whether a frame that begins after prev can be taken (§6.2). A run that
// began ahead of us is passed over until we catch up with it: by another peer, or by
// the new run that a graft asks for.
func (m *Machine) continues(p *path, run *runIn, prev uint64) bool {
	l := run.log
	if prev <= l.have {
		return true
	}
	m.leaveBehind(p, run)
	return false
}

// leaveBehind passes a run over, and asks for one from where we are.
func (m *Machine) leaveBehind(p *path, run *runIn) {
	l := run.log
	l.behind = true
	if l.asked == nil && l.seeking == nil && run.asked != l.have+1 { // once for what is missing now
		run.asked = l.have + 1
		m.askFor(p, l)
	}
}

// catchUp asks the next peer that is ahead, once the one asked before has given
// what it had.
func (m *Machine) catchUp(l *log) {
	m.finish(l)
	if s := l.seeking; s != nil && s.found(l) {
		m.endSearch(l)
		m.goOn(l, s.teller)
	}
	if !l.behind || l.asked != nil && l.asked.mayKnow(l) {
		return
	}
	l.asked = nil
	m.timers.stop(&l.patience)
	l.behind = m.graftAny(l)
}

// impatient turns away from a peer that said it has what comes next, was asked
// for it, and did not give it.
func (m *Machine) impatient(l *log) {
	if l.asked == nil {
		return
	}
	if l.have > l.askedAt {
		l.askedAt = l.have
		m.timers.set(&l.patience, m.now+m.cfg.BlockTimeout)
		return
	}
	l.asked.cursors[l].denied = l.have + 1
	l.asked = nil
	m.graftAll(l)
}

func (m *Machine) handleBatch(now time.Duration, p *path, run *runIn, r *reader, memory *codec.Memory) error {
	prev := r.seq()
	age := time.Duration(min(r.seq(), 1<<40)) * time.Millisecond
	if r.err != nil {
		return violation("batch: %v", r.err)
	}
	b, err := codec.ParseBatchIn(r.b, memory, m.cfg.MaxBatch)
	if err != nil {
		return violation("batch: %v", err)
	}
	l := run.log
	switch {
	case b.Log != l.id:
		return violation("batch: of log %v in a run of %v", b.Log, l.id)
	case b.Last() >= epochSlack:
		return violation("batch: ends at %d", b.Last())
	case prev != run.pos || b.First <= prev:
		return violation("batch: %d–%d after %d, the run is at %d", b.First, b.Last(), prev, run.pos)
	}
	run.pos = b.Last()
	q := p.peer
	q.received.add(b)
	if b.Last() <= l.have {
		m.stats.Duplicates++
		m.knows(q, l, b.Last())
		b.Free()
		m.settle(now, l)
		m.markSoon(now, p, l)
		m.redundant(now, p, run)
		return nil
	}
	if m.crowded(l) || !m.continues(p, run, prev) {
		return nil
	}
	if b.First <= l.have || m.overrun(l) { // a gap ended inside it, or there is no room
		b.Free()
		if l.asked == q {
			l.asked = nil // it is asked once more
		}
		m.leaveBehind(p, run)
		return nil
	}
	if age > m.cfg.maxAge() {
		return m.handleLoss(now, p, run, b.First, b.Last(), ReasonExpired)
	}
	m.pass(now, l, b.First-1, run.judged)
	m.took(p, run)
	m.knows(q, l, b.Last())
	m.credit(now, l, q, m.take(now, l, b, age))
	m.arrived(now, p, l)
	m.catchUp(l)
	return nil
}

// take adds a batch to a log, and returns its size.
func (m *Machine) take(now time.Duration, l *log, b *codec.Batch, age time.Duration) (size int64) {
	e := l.push(entry{kind: entryBatch, first: b.First, last: b.Last(), batch: b, size: int64(len(b.Bytes())), age: age, came: now, pending: 1})
	m.judge(l, e)
	m.emit(Event{Kind: EventDeliver, Log: l.id, First: b.First, Last: b.Last(), Batch: b})
	return e.size
}

// knows notes that the peer holds the log up to a position: it sent that itself.
func (m *Machine) knows(q *peer, l *log, pos uint64) {
	q.cursors[l].passes(pos)
}

// pass steps over positions that were not meant for us, up to pos. Known is the moment of
// ours at which that was judged.
func (m *Machine) pass(now time.Duration, l *log, pos, known uint64) {
	if pos <= l.have {
		return
	}
	m.judge(l, l.pushSkip(pos, known, now))
	m.advanceDone(now, l)
}

func (m *Machine) handleSkip(now time.Duration, p *path, run *runIn, r *reader) error {
	prev, upto := r.seq(), r.seq()
	if err := r.end("skip"); err != nil {
		return err
	}
	if prev != run.pos || upto <= prev {
		return violation("skip: %d–%d, the run is at %d", prev, upto, run.pos)
	}
	run.pos = upto
	if upto > run.log.have && (m.crowded(run.log) || !m.continues(p, run, prev)) {
		return nil
	}
	if upto <= run.log.have && p.peer != run.log.parent {
		m.redundant(now, p, run)
	}
	m.stepOver(now, p, run.log, upto, run.judged)
	for _, c := range run.log.cursors { // it has waited for AckInterval where it was judged
		m.flushSkip(c)
	}
	return nil
}

func (m *Machine) stepOver(now time.Duration, p *path, l *log, upto, known uint64) {
	m.knows(p.peer, l, upto)
	if upto > l.have && (l.parent == nil || l.parent.active == nil) && !p.peer.cursors[l].muted() {
		l.follow(p.peer)
	}
	m.pass(now, l, upto, known)
	m.settle(now, l)
	m.markSoon(now, p, l)
	m.catchUp(l)
}

// handleAbsent learns that the peer can't give a range. If another can, it is asked;
// only if nobody can, the gap is declared (§9).
func (m *Machine) handleAbsent(now time.Duration, p *path, run *runIn, r *reader) error {
	prev, first, last := r.seq(), r.seq(), r.seq()
	reason := Reason(r.byte())
	if err := r.end("absent"); err != nil {
		return err
	}
	if prev != run.pos || first <= prev || last < first {
		return violation("absent: %d–%d after %d, the run is at %d", first, last, prev, run.pos)
	}
	run.pos = last
	if last <= run.log.have || m.crowded(run.log) || !m.continues(p, run, prev) {
		return nil
	}
	if reason == reasonUnjudged {
		if run.log.learnt == p.info.ID {
			// It was judged before our interest was confirmed: nothing of it is owed to us.
			m.stepOver(now, p, run.log, last, 0)
			return nil
		}
		reason = ReasonGone // for all that we or those behind us can know
	}
	return m.handleLoss(now, p, run, first, last, reason)
}

func (m *Machine) handleLoss(now time.Duration, p *path, run *runIn, first, last uint64, reason Reason) error {
	l := run.log
	if first-1 > l.have {
		m.pass(now, l, first-1, run.judged)
	}
	p.peer.cursors[l].denied = l.have + 1
	if l.asked == p.peer {
		l.asked = nil
	}
	l.behind = true // until another has brought it, or could not
	if l.asked == nil && !m.graftAny(l) && !m.seek(now, l, p.peer, last, reason) {
		m.concede(now, l, p.peer, last, reason)
	}
	return nil
}

// concede declares that a range can't be had, for that is what the last peer to be asked said.
func (m *Machine) concede(now time.Duration, l *log, teller *peer, last uint64, reason Reason) {
	for _, q := range m.peerList {
		// What someone else still has is not missing.
		if r := q.remote[l.id]; q.active != nil && r != nil && r.base > l.have && r.have > r.base {
			last = min(last, r.base)
		}
	}
	if l.parent == nil {
		l.follow(teller) // the report has to go somewhere
	}
	m.knows(teller, l, last)
	m.declare(now, l, last, reason)
	if p := teller.active; p != nil {
		m.markSoon(now, p, l)
	}
	m.catchUp(l)
}

// handleFin learns where a log ends.
func (m *Machine) handleFin(p *path, run *runIn, r *reader) error {
	last := r.seq()
	if err := r.end("fin"); err != nil {
		return err
	}
	if last != run.pos {
		return violation("fin: at %d, the run is at %d", last, run.pos)
	}
	if l := run.log; !l.fin {
		l.fin, l.last = true, max(last, l.have)
		m.finish(l)
	}
	return nil
}

// finish ends a log whose end is known, once we have everything up to it.
func (m *Machine) finish(l *log) {
	if !l.fin || l.finished || l.have < l.last {
		return
	}
	l.finished = true
	for _, c := range l.cursors {
		c.flushSkip = true
		m.enqueue(c)
	}
}
