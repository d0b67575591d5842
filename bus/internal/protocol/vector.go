package protocol

import (
	"encoding/binary"
	"maps"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// markVector notes that a path's view of a log is out of date.
func (m *Machine) markVector(p *path, l *log) *vectorState {
	v := p.vectors[l]
	if v == nil {
		v = &vectorState{log: l}
		p.vectors[l] = v
	}
	if !v.dirty {
		v.dirty = true
		p.dirty = append(p.dirty, v)
	}
	return v
}

// markAll has every peer but one hear of the log within AckInterval.
func (m *Machine) markAll(l *log, except *peer) {
	for _, q := range m.peerList {
		if p := q.active; p != nil && q != except {
			m.markVector(p, l)
			m.timers.lower(&p.vectorTimer, m.now+m.cfg.AckInterval)
		}
	}
}

// markSoon has the peer hear of the log as soon as the pace of
// acknowledgements allows. While handlers have some of it, that waits for them as long as the pace is: one vector says then
// that an event has come and that it is done.
func (m *Machine) markSoon(now time.Duration, p *path, l *log) {
	m.markVector(p, l)
	from := p.lastVector
	if l.done < l.have {
		from = now
	}
	if due := from + min(ackPace, m.cfg.AckInterval); due > now {
		m.timers.lower(&p.vectorTimer, due)
	} else if !p.vectorDue {
		p.vectorDue = true
		m.wakeControl(p)
	}
}

// markNow has the peer hear of the log at once.
func (m *Machine) markNow(p *path, l *log) {
	m.markVector(p, l)
	if !p.vectorDue {
		p.vectorDue = true
		m.wakeControl(p)
	}
}

// appendVectors appends what changed since the last vector; an empty one keeps
// the path alive.
func (m *Machine) appendVectors(now time.Duration, p *path, dst []byte) []byte {
	p.vectorDue = false
	p.lastVector = now
	m.timers.stop(&p.vectorTimer)
	body := m.scratch[:0]
	for i, v := range p.dirty {
		l := v.log
		v.dirty = false
		p.dirty[i] = nil
		if !v.known {
			v.known, v.alias = true, p.vectorAlias(l)
			body = binary.AppendUvarint(body, v.alias<<1|1)
			body = appendLog(body, l.id)
		} else {
			body = binary.AppendUvarint(body, v.alias<<1)
		}
		body = binary.AppendUvarint(body, l.have)
		body = binary.AppendUvarint(body, l.have-l.base)
		body = binary.AppendUvarint(body, l.have-l.done)
		body = binary.AppendUvarint(body, uint64(m.window(l)))
		v.told = toldOf{l.have, l.done, l.received, l.edge}
		if len(body) > maxControl/2 {
			dst = appendFrame(dst, frameVector, body)
			body = body[:0]
			if i+1 == len(p.dirty) {
				m.scratch, p.dirty = body, p.dirty[:0]
				return dst
			}
		}
	}
	p.dirty = p.dirty[:0]
	m.scratch = body
	return appendFrame(dst, frameVector, body)
}

func (p *path) vectorAlias(l *log) uint64 {
	if n := len(p.spareAliases); n > 0 {
		a := p.spareAliases[n-1]
		p.spareAliases = p.spareAliases[:n-1]
		return a
	}
	p.nextAlias++
	return p.nextAlias - 1
}

// handleVector applies what the peer says of each log (§7).
func (m *Machine) handleVector(now time.Duration, p *path, body []byte) error {
	r := reader{b: body}
	for len(r.b) > 0 {
		a := r.uvarint()
		alias, define := a>>1, a&1 == 1
		if define {
			id := r.log()
			if alias > uint64(len(p.aliases)) || alias >= maxAliases {
				return violation("vector: alias %d", alias)
			}
			if alias == uint64(len(p.aliases)) {
				p.aliases = append(p.aliases, codec.LogID{})
			}
			delete(p.listed, p.aliases[alias])
			p.aliases[alias], p.listed[id] = id, true
		}
		have, base, done, window := r.seq(), r.seq(), r.seq(), r.seq()
		if r.err != nil {
			break
		}
		if alias >= uint64(len(p.aliases)) {
			return violation("vector: alias %d was not defined", alias)
		}
		if base > have || done > have {
			return violation("vector: have %d, base %d and done %d before it", have, base, done)
		}
		if err := m.heardVector(now, p.peer, p.aliases[alias], remote{have - base, have, have - done, int64(window)}); err != nil {
			return err
		}
	}
	if err := r.end("vector"); err != nil {
		return err
	}
	if p.up && !p.crossed {
		p.crossed = true
		m.retireSurplus(p.peer)
	}
	return nil
}

func (m *Machine) heardVector(now time.Duration, q *peer, id codec.LogID, said remote) error {
	l := m.logs[id]
	if l != nil && l.own && said.have > l.have {
		return violation("vector: %d of our log that ends at %d", said.have, l.have)
	}
	r := q.remote[id]
	if r == nil {
		if len(q.remote) >= 2*(m.cfg.MaxOrigins+maxLanes) { // of which half at most can be ours
			maps.DeleteFunc(q.remote, func(id codec.LogID, _ *remote) bool { return m.logs[id] == nil })
		}
		r = &remote{}
		q.remote[id] = r
	}
	if said.have < r.have {
		return nil // older news, from a path that is slower
	}
	if said.have == r.have { // it may have come over a slower path, and none of this goes back
		said.base, said.done, said.window = max(said.base, r.base), max(said.done, r.done), max(said.window, r.window)
	}
	if l == nil {
		*r = said
		return nil
	}
	c := q.cursors[l]
	before, done, unacked := c.clear(), c.done(), c.unacked
	*r = said
	c.heard(said.have, said.done)
	if c.unacked < unacked && q.active != nil {
		m.answers(q.active)
	}
	if c.clear() != before {
		m.settle(now, l)
	}
	if c.done() != done {
		m.emit(Event{Kind: EventDone})
	}
	m.enqueue(c)
	m.catchUp(l)
	m.lag(now, l, q)
	return nil
}

// credit accounts for a fresh batch, and takes more credit for a log whose sender
// uses what it has (§7.2).
func (m *Machine) credit(now time.Duration, l *log, from *peer, size int64) {
	if now-l.paceAt > from.roundTrip()+ackPace {
		l.paceAt, l.paceFrom = now, l.received
	}
	l.received += size
	most := reserveWindow + l.grant
	used := l.edge-l.received < most/2 || l.received-l.paceFrom >= most/4
	if used && l.liveBytes-size < most && l.grant < maxWindow { // what has just come is not stuck
		more := min(most, maxWindow-l.grant, m.pool)
		l.grant += more
		m.pool -= more
		l.paceAt, l.paceFrom = now, l.received
	}
	if l.edge <= l.received {
		m.waitRoom(now, l)
	}
}

// window is the credit to announce: bytes after what we have. The right edge it
// stands for never retreats.
func (m *Machine) window(l *log) int64 {
	if l.own {
		return 0
	}
	l.edge = max(l.edge, l.received+max(0, reserveWindow+l.grant-l.liveBytes))
	return l.edge - l.received
}

// arrived decides how soon others hear of a fresh batch: the parent and whoever sent it soon; the rest
// within AckInterval, or sooner if it is much, for they keep it until then.
func (m *Machine) arrived(now time.Duration, p *path, l *log) {
	m.settle(now, l)
	m.ackParent(now, l)
	for _, q := range m.peerList {
		to := q.active
		if to == nil || q == l.parent {
			continue
		}
		v := m.markVector(to, l)
		if q == p.peer || l.received-v.told.received >= m.ackStep(l) || l.have-v.told.have >= m.ackCount() {
			m.markSoon(now, to, l)
			continue
		}
		m.timers.lower(&to.vectorTimer, now+m.cfg.AckInterval)
	}
}

// ackParent sends the parent a vector at once if much has happened since the last, and else at the
// pace of acknowledgements (§7.3). An origin that is a peer waits for receipts, too.
func (m *Machine) ackParent(now time.Duration, l *log) {
	if q := m.peers[l.id.Node]; q != nil && q != l.parent && q.active != nil {
		m.markSoon(now, q.active, l)
	}
	if l.parent == nil || l.parent.active == nil {
		return
	}
	p := l.parent.active
	told := m.markVector(p, l).told
	edge := l.received + max(0, reserveWindow+l.grant-l.liveBytes)
	if edge-told.edge >= m.ackStep(l) || l.done-min(l.done, told.done) >= m.ackCount() {
		m.markNow(p, l)
		return
	}
	m.markSoon(now, p, l)
}

// ackStep is how many bytes are much.
func (m *Machine) ackStep(l *log) int64 { return min(ackBytes, (reserveWindow+l.grant)/4) }

// ackCount is how many events are much.
func (m *Machine) ackCount() uint64 { return min(ackEvents, uint64(m.cfg.BufferMax+3)/4) }
