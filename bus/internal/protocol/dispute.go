package protocol

import "time"

// dispute is about our own record. Records are not signed: what another says of us may be made up, or told of a later run of
// this node. We replace it by the truth, over and over if this run must know best, and else ever more seldom (§8.6).
type dispute struct {
	claim recordVersion // the newest that is not ours
	above uint64        // our next version is to be higher than that
	pause time.Duration // from one answer to a claim of a later run to the next
	after time.Duration // when the last of them is over
	timer timer
}

// heardSelf takes a record of our own id.
func (m *Machine) heardSelf(now time.Duration, p *path, rec *record) {
	switch v := rec.version; {
	case v == m.self.version && rec.says(m.self):
		m.answered(now, m.self, p.peer)
	case m.self.version.newer(v): // they are about to have ours
	default:
		m.echo(p, v)
		if v.newer(m.dispute.claim) {
			m.dispute.claim = v
			m.contest(now)
		}
	}
}

// contest makes a record of ours that is newer than what is claimed.
func (m *Machine) contest(now time.Duration) {
	d := &m.dispute
	if m.self.version.newer(d.claim) {
		return
	}
	if d.claim.epoch > m.cfg.Epoch {
		if now < d.after {
			m.timers.lower(&d.timer, d.after)
			return
		}
		if now-d.after > d.pause { // nobody insisted
			d.pause = 0
		}
		d.pause = min(max(2*d.pause, leastPause), mostPause)
		d.after = now + d.pause
	}
	m.emit(Event{Kind: EventDisputed})
	if d.claim.version < mostVersion {
		d.above = d.claim.version
		m.refreshSoon(now)
	}
}
