package protocol

import (
	"slices"
	"time"
)

// settle frees what nobody needs any more and what a bound forces out (§10).
func (m *Machine) settle(now time.Duration, l *log) {
	free, live := l.done, l.done
	for _, c := range l.cursors {
		pos := c.clear()
		free = min(free, pos)
		if c.holds() {
			live = min(live, pos)
		}
	}
	moved := l.setLive(live)
	before := l.entries.len()
	if m.reborn.index != 0 && !l.own {
		free = l.base // who is to get it may not be back yet
	}
	for l.entries.len() > 0 && l.entries.at(0).last <= free {
		l.popFront()
	}
	m.enforce(now, l)
	if l.own && (moved || l.entries.len() != before) {
		m.emit(Event{Kind: EventRoom, Lane: l.id.Lane})
	}
	if moved && !l.own {
		m.ackParent(now, l) // there is credit again
		m.markAll(l, l.parent)
	}
	if moved && l.stall.index != 0 && !m.full(l) {
		m.timers.stop(&l.stall)
	}
	m.armExpiry(now, l)
}

func (m *Machine) settleAll(now time.Duration) {
	for _, l := range m.logList {
		m.settle(now, l)
	}
}

// over says whether a log is past what its owner wants kept.
func (m *Machine) over(l *log) bool {
	return l.events > int64(m.cfg.BufferMax) || l.bytes > m.cfg.BufferBytes
}

// full says whether a log blocks whoever adds to it: an emitter here, or its
// source through an exhausted window.
func (m *Machine) full(l *log) bool {
	if l.own {
		return l.liveEvents >= int64(m.cfg.BufferMax) || l.liveBytes >= m.cfg.BufferBytes
	}
	return l.edge <= l.received && l.live < l.have
}

// enforce drops the oldest entries of a log past its bounds, as far as no
// connected peer or local consumer holds them by right.
func (m *Machine) enforce(now time.Duration, l *log) {
	for m.over(l) && l.entries.len() > 1 && l.entries.at(0).last <= l.live {
		if !m.cutLoose(l, l.entries.at(0).last) {
			m.evict(l, ReasonBuffer)
		}
	}
}

// cutLoose disconnects those who lag behind a position of our own log, if that is how they are to
// be treated. It looks at the bounds again itself.
func (m *Machine) cutLoose(l *log, pos uint64) (cut bool) {
	if !l.own {
		return false
	}
	for _, q := range slices.Clone(m.peerList) {
		if c := q.cursors[l]; q.active != nil && q.overflow == Disconnect && c.clear() < pos {
			m.closePath(q.active, CodeTooSlow, "")
			cut = true
		}
	}
	return cut
}

// evict drops the oldest entry; whoever still wanted it will be told.
func (m *Machine) evict(l *log, reason Reason) {
	e := l.entries.at(0)
	missed := false
	for _, c := range l.cursors {
		if c.clear() >= e.last {
			continue
		}
		switch {
		case e.kind == entryGap:
			c.addLost(span{e.first, e.last, e.reason})
		case m.owes(c, e):
			c.addLost(span{e.first, e.last, reason})
			missed = true
		case c.next < e.last:
			c.judge(e.last, m.judgedWhen(e))
		}
	}
	if missed {
		m.stats.Dropped += uint64(e.events())
	}
	l.popFront()
}

// armExpiry wakes us when the oldest entry reaches BufferTimeout, or the empty
// log of a node that is gone may be forgotten.
func (m *Machine) armExpiry(now time.Duration, l *log) {
	switch {
	case l.entries.len() > 0:
		e := l.entries.at(0)
		m.timers.set(&l.expiry, e.came+m.cfg.BufferTimeout-e.age)
	case !l.own:
		m.timers.set(&l.expiry, l.newest+m.cfg.maxAge())
	default:
		m.timers.stop(&l.expiry)
	}
}

func (m *Machine) expire(now time.Duration, l *log) {
	for l.entries.len() > 0 {
		e := l.entries.at(0)
		if e.ageAt(now) < m.cfg.BufferTimeout {
			break
		}
		if e.last > l.live {
			// A connected peer is slow: that is for BlockTimeout to judge.
			m.timers.set(&l.expiry, now+m.cfg.BlockTimeout)
			return
		}
		m.evict(l, ReasonExpired)
	}
	if l.entries.len() == 0 && !l.own && now >= l.newest+m.cfg.maxAge() {
		gone := !l.finished && !m.alive(l.id)
		if l.finished || gone && l.doubted > l.newest {
			if gone && len(m.patterns) > 0 {
				m.emit(Event{Kind: EventGap, Log: l.id, First: l.have + 1, Reason: ReasonUnfinished})
			}
			m.forgetLog(l)
			m.takeOnRefused()
			return
		}
		if l.doubted = 0; gone {
			l.doubted = now
		}
		l.newest = now - m.cfg.maxAge()/2 // look again later
	}
	m.armExpiry(now, l)
}

// forgetLog drops what is known of a log that is over. Copies of it that are
// still about are too old to be accepted (§10.3).
func (m *Machine) forgetLog(l *log) {
	delete(m.logs, l.id)
	m.logList = slices.DeleteFunc(m.logList, func(x *log) bool { return x == l })
	m.pool += l.grant
	m.outlive(l.id)
	m.timers.stop(&l.expiry)
	m.timers.stop(&l.stall)
	m.timers.stop(&l.patience)
	m.timers.stop(&l.slow)
	m.endSearch(l)
	for _, q := range m.peerList {
		delete(q.cursors, l)
		delete(q.remote, l.id)
		for _, p := range q.paths {
			m.unlist(p, l)
		}
	}
}

// unlist takes a forgotten log off a path's books.
func (m *Machine) unlist(p *path, l *log) {
	if v := p.vectors[l]; v != nil {
		if v.known {
			p.spareAliases = append(p.spareAliases, v.alias)
		}
		delete(p.vectors, l)
		p.dirty = slices.DeleteFunc(p.dirty, func(x *vectorState) bool { return x == v })
	}
	p.prunes = slices.DeleteFunc(p.prunes, func(x prune) bool { return x.log == l })
	p.grafts = slices.DeleteFunc(p.grafts, func(x *log) bool { return x == l })
	if s := p.out[l.id.Lane]; s != nil {
		s.aliases.drop(l)
		for range s.queue.len() { // take each turn, but this log's
			c := *s.queue.at(0)
			s.queue.pop()
			if c.log != l {
				s.queue.push(c)
			}
		}
	}
	if s := p.in[l.id.Lane]; s != nil {
		for _, run := range s.runs {
			if run != nil && run.log == l {
				run.log = nil
			}
		}
	}
}

// Wait says that an emitter waits for room in one of our logs.
func (m *Machine) Wait(now time.Duration, lane uint8) {
	m.now = now
	m.waitRoom(now, m.own[lane])
}

// waitRoom gives the laggards of a full log BlockTimeout to make progress.
func (m *Machine) waitRoom(now time.Duration, l *log) {
	if l.stall.index == 0 {
		l.stalledAt = l.live
		m.timers.set(&l.stall, now+m.cfg.BlockTimeout)
	}
}

// checkStall demotes whoever kept a full log from moving for BlockTimeout: a
// peer drops until it is done with what there is, local consumers are the owner's to cut off.
func (m *Machine) checkStall(now time.Duration, l *log) {
	if !m.full(l) {
		return
	}
	if l.live > l.stalledAt {
		m.waitRoom(now, l)
		return
	}
	for _, c := range l.cursors {
		if c.holds() && c.clear() <= l.live {
			c.demoted = l.have
			m.emit(Event{Kind: EventLaggard, Peer: c.peer.id, Log: l.id})
		}
	}
	if l.done <= l.live && l.done < l.have {
		m.emit(Event{Kind: EventStalled, Log: l.id, First: l.done + 1})
	}
	m.settle(now, l)
	if !l.own && l.parent != nil {
		m.ackParent(now, l)
	}
	m.waitRoom(now, l)
}
