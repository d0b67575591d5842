package protocol

import (
	"fmt"
	"time"
)

// A path is silent when a probe on its control stream is not answered in time. A probe is sent when an
// acknowledgement is due, or something else to be heard. That is found out long before Timeout, which is for
// giving a path up; a silent one is kept, ranks below those that answer, and is one to race
// with a fresh connection (§5.4).

// probe is what a path is asked, and since when it has not answered.
type probe struct {
	timer  timer
	sentAt time.Duration
	open   bool // not answered yet
}

// probeToken tells our probes from the owner's pings.
const probeToken = 1 << 63

// aliveInterval lets the peer hear from us three times in what either side takes for silence.
func (m *Machine) aliveInterval(p *path) time.Duration {
	timeout := m.cfg.Timeout
	if p.theirs.timeout > 0 {
		timeout = min(timeout, p.theirs.timeout)
	}
	return max(timeout/3, minAlive)
}

// keepAlive sends an empty vector when nothing else was sent for a third of Timeout. A peer that
// left out one of its own is asked whether it is there.
func (m *Machine) keepAlive(now time.Duration, p *path) {
	due := p.lastSent + m.aliveInterval(p)
	if due <= now {
		if p.greeted {
			p.vectorDue = true
			m.wakeControl(p)
		}
		due = now + m.aliveInterval(p)
	}
	if p.up && now-p.lastHeard > m.cfg.Timeout/2 {
		m.ask(now, p)
	}
	m.timers.set(&p.aliveTimer, due)
}

// checkSilence ends a path whose control stream was silent for Timeout (§5.4).
func (m *Machine) checkSilence(now time.Duration, p *path) {
	if !p.up {
		m.closePath(p, CodeHelloTimeout, fmt.Sprintf("no hello within %v", m.cfg.HelloTimeout))
		return
	}
	if due := p.lastHeard + m.cfg.Timeout; due > now {
		m.timers.set(&p.deadTimer, due)
		return
	}
	m.closePath(p, CodeTimeout, fmt.Sprintf("silent for %v", m.cfg.Timeout))
}

// patience is how long an answer may take. Past Timeout, the path is given up anyway.
func (m *Machine) patience(p *path) time.Duration {
	return max(leastPatience, min(p.peer.patience, m.cfg.Timeout))
}

// watch notes that data went over the path, one way or the other: from now on, and for a while,
// the peer's silence is noticed soon.
func (m *Machine) watch(now time.Duration, p *path) {
	p.lastData = now
	if p.probe.timer.index == 0 {
		m.timers.set(&p.probe.timer, now+m.patience(p))
	}
}

// ask sends a probe, unless one is open.
func (m *Machine) ask(now time.Duration, p *path) {
	if p.probe.open {
		return
	}
	p.probe.open, p.probe.sentAt = true, now
	p.pings = append(p.pings, probeToken)
	m.wakeControl(p)
	m.timers.set(&p.probe.timer, now+m.patience(p))
}

// suspect is called when an answer is due.
func (m *Machine) suspect(now time.Duration, p *path) {
	switch {
	case p.probe.open:
		if !p.silent {
			p.silent = true
			p.peer.patience = 2 * m.patience(p) // on a narrow link an answer is late, and the path is not lost
			m.emit(Event{Kind: EventSilent, Path: p.info.ID, Peer: p.info.Peer})
			m.choosePath(now, p.peer)
			m.doubt(p)
		}
	case p.peer.waits(p):
		m.askAfter(now, p, m.patience(p))
	case now-p.lastData < recently:
		m.askAfter(now, p, max(m.patience(p), idlePatience))
	}
}

// askAfter sends a probe if the peer was silent for so long.
func (m *Machine) askAfter(now time.Duration, p *path, silence time.Duration) {
	if due := p.lastHeard + silence; due > now {
		m.timers.set(&p.probe.timer, due)
		return
	}
	m.ask(now, p)
}

// waits says whether the peer was sent something on the path that it has not acknowledged.
func (q *peer) waits(p *path) bool {
	if q.active != p {
		return false
	}
	for _, c := range q.cursors {
		if c.unacked > 0 {
			return true
		}
	}
	return false
}

// probed notes that a probe was answered.
func (m *Machine) probed(p *path) {
	if !p.probe.open {
		return
	}
	took := m.now - p.probe.sentAt
	p.peer.rtt = max(took, p.peer.rtt-p.peer.rtt/4)
	p.peer.patience = max(p.peer.patience/2, 4*took)
	m.answers(p)
}

// answers notes that the path is open in both directions: a probe was answered, or what was
// sent was acknowledged.
func (m *Machine) answers(p *path) {
	if !p.probe.open {
		return
	}
	p.probe.open = false
	m.timers.set(&p.probe.timer, m.now+m.patience(p))
	if p.silent {
		p.silent = false
		m.emit(Event{Kind: EventHeard, Path: p.info.ID, Peer: p.info.Peer})
	}
	m.choosePath(m.now, p.peer)
}
