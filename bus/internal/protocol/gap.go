package protocol

import (
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// declare reports that the positions after have, up to last, are missing here for
// good, and goes on after them (§9.4).
func (m *Machine) declare(now time.Duration, l *log, last uint64, reason Reason) {
	first := l.have + 1
	e := l.push(entry{kind: entryGap, reason: reason, first: first, last: last, came: now, pending: 1})
	m.stats.Gaps++
	m.stats.Missed += last - first + 1
	m.judge(l, e)
	m.emit(Event{Kind: EventGap, Log: l.id, First: first, Last: last, Reason: reason})
	if len(m.patterns) > 0 { // else it is for those who listen to report what they miss
		m.sendReport(l, report{log: l.id, first: first, last: last, reason: reason, receiver: m.cfg.ID})
	}
	m.settle(now, l)
}

// sendReport passes a report on toward the log's origin, joined with one before
// it that it continues.
func (m *Machine) sendReport(l *log, r report) {
	p := m.peers[l.id.Node].somePath()
	if p == nil {
		p = l.parent.somePath()
	}
	if p == nil {
		return
	}
	for i := len(p.reports) - 1; i >= 0; i-- {
		x := &p.reports[i]
		if x.log == r.log && x.receiver == r.receiver && (r.first == x.last+1 && r.reason == x.reason || len(p.reports) >= maxLost) {
			x.last = max(x.last, r.last)
			return
		}
	}
	if len(p.reports) >= 2*maxLost {
		return // more receivers than a peer may speak for
	}
	p.reports = append(p.reports, r)
	m.wakeControl(p)
}

// Report tells a log's origin that local consumers miss a range of it.
func (m *Machine) Report(now time.Duration, id codec.LogID, first, last uint64, reason Reason) {
	m.now = now
	if l := m.logs[id]; l != nil && !l.own {
		m.sendReport(l, report{log: id, first: first, last: last, reason: reason, receiver: m.cfg.ID})
	}
}

// somePath is the peer's active path, or one that is about to be: data may overtake
// the end of a snapshot.
func (q *peer) somePath() *path {
	switch {
	case q == nil || len(q.paths) == 0:
		return nil
	case q.active != nil:
		return q.active
	}
	return q.paths[0]
}

// handleReport hears that a receiver misses events: of ours, or of a log whose
// origin is further on.
func (m *Machine) handleReport(p *path, body []byte) error {
	r := reader{b: body}
	rep := report{log: r.log(), first: r.seq(), last: r.seq(), reason: Reason(r.byte()), receiver: r.id()}
	if err := r.end("report"); err != nil {
		return err
	}
	if rep.first == 0 || rep.last < rep.first {
		return violation("report: %d–%d", rep.first, rep.last)
	}
	l := m.logs[rep.log]
	switch {
	case l == nil:
	case l.own:
		if rep.last > l.have {
			if rep.receiver != p.peer.id {
				return nil // a relay is not to blame for what it passes on
			}
			return violation("report: %d–%d of our log that ends at %d", rep.first, rep.last, l.have)
		}
		m.stats.Reported += rep.last - rep.first + 1
		m.emit(Event{Kind: EventReport, Log: rep.log, First: rep.first, Last: rep.last, Reason: rep.reason, Peer: rep.receiver})
	case l.parent != p.peer:
		m.sendReport(l, rep)
	}
	return nil
}

// handleGraft begins a new run where the peer asks for it, as far back as the log
// reaches (§6.3).
func (m *Machine) handleGraft(now time.Duration, p *path, body []byte) error {
	r := reader{b: body}
	id, from := r.log(), r.seq()
	if err := r.end("graft"); err != nil {
		return err
	}
	if from == 0 {
		return violation("graft: from 0")
	}
	l := m.logs[id]
	if l == nil || p.peer.active == nil { // a path that comes up resumes from the vector anyway
		return nil
	}
	if from > l.have+1 && l.own {
		return violation("graft: from %d of our log that ends at %d", from, l.have)
	}
	c := p.peer.cursors[l]
	c.rewind(from - 1)
	m.settle(now, l)
	m.enqueue(c)
	if l.parent == p.peer { // it has lost its own
		m.orphan(l, p.peer)
	}
	return nil
}
