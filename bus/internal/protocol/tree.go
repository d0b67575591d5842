package protocol

import (
	"encoding/binary"
	"slices"
	"time"
)

// Where links form cycles, a batch that arrives a second time shows a link that is not needed. The
// receiver prunes it, so that what is left of the graph, for each log, is a tree along the fastest
// paths (§11): the broadcast trees of Plumtree (Leitão, Pereira and Rodrigues 2007). Vectors go on over
// pruned links. They are how a node finds out that its parent is no good, and whom to graft.

// prune asks a peer to send nothing more in a run.
type prune struct {
	log *log
	run uint64
}

// took chooses the parent by who brings what is fresh. A rival stays in the race for as long as it wins.
func (m *Machine) took(p *path, run *runIn) {
	l, q := run.log, p.peer
	r := l.rival
	switch {
	case l.parent == q:
		l.rival = nil
		if r != nil && m.paths[r.path.info.ID] == r.path { // it was not faster after all
			m.prune(r.path, r.run)
		}
	case run.pruned || run != q.cursors[l].theirs: // on its way when we asked it to stop, or the peer began another
	case l.parent == nil || l.parent.active == nil:
		l.follow(q)
	case r == nil || r.run != run:
		l.rival = &rival{path: p, run: run, since: m.now}
	}
}

// rival is a peer that brings what is fresh before the parent does.
type rival struct {
	path  *path
	run   *runIn
	wins  int // in a row
	since time.Duration
}

// follow makes a peer the parent.
func (l *log) follow(q *peer) {
	l.parent, l.rival = q, nil
	l.lagged = 0
}

// redundant answers a batch that came again. If the parent brought the first, the link it came by is pruned. If
// another did, and does so for a while, that one becomes the parent.
func (m *Machine) redundant(now time.Duration, p *path, run *runIn) {
	l, q := run.log, p.peer
	if l.parent == nil || l.parent.active == nil || q == l.asked && l.have == l.askedAt { // whom we asked is to go on
		return
	}
	if q != l.parent {
		if l.rival != nil && l.rival.path.peer == q {
			l.rival = nil
		}
		m.prune(p, run)
		return
	}
	r := l.rival
	if r == nil {
		return
	}
	r.wins++
	if q := r.path.peer; q.active != nil && r.wins >= leastWins && now-r.since >= 3*q.roundTrip() {
		l.follow(q)
		m.prune(p, run)
	}
}

// prune asks for no more of a run.
func (m *Machine) prune(p *path, run *runIn) {
	if run.pruned {
		return
	}
	run.pruned = true
	p.prunes = slices.DeleteFunc(p.prunes, func(x prune) bool { return x.log == run.log })
	p.prunes = append(p.prunes, prune{run.log, run.run})
	m.wakeControl(p)
}

// handlePrune stops a run that the peer does not need. One that has been replaced meanwhile is not
// meant.
func (m *Machine) handlePrune(p *path, body []byte) error {
	r := reader{b: body}
	id, run := r.log(), r.seq()
	if err := r.end("prune"); err != nil {
		return err
	}
	l := m.logs[id]
	if l == nil {
		return nil
	}
	if c := p.peer.cursors[l]; c.started && c.run == run {
		c.pruned = true
	}
	return nil
}

func (x prune) append(b []byte) []byte {
	return binary.AppendUvarint(appendLog(b, x.log.id), x.run)
}

// orphan looks for another parent: everyone is asked to send what comes next, and the first to bring
// something fresh is it. Those whose parent we are learn by that that they need another, too.
func (m *Machine) orphan(l *log, lost *peer) {
	l.parent, l.rival = nil, nil
	for _, q := range m.peerList {
		if q.active != nil && q != lost {
			m.askFor(q.active, l)
		}
	}
}

// doubt looks for other parents where a peer that went silent is one, and has no other path.
func (m *Machine) doubt(p *path) {
	if p.peer.active != p {
		return
	}
	for _, l := range m.logList {
		if l.parent == p.peer {
			m.orphan(l, p.peer)
			m.graftAll(l)
		}
	}
}

// lag watches a log while a peer is further than we are.
func (m *Machine) lag(now time.Duration, l *log, q *peer) {
	if l.own || q.remote[l.id].have <= l.have || l.slow.index != 0 {
		return
	}
	l.slowAt = l.have
	m.timers.set(&l.slow, now+m.lagPatience(l))
}

// lagPatience is for how long a parent may bring nothing while others are ahead. Word of a
// skip may take AckInterval, and each peer that was grafted in vain adds to it.
func (m *Machine) lagPatience(l *log) time.Duration {
	wait := m.cfg.AckInterval + 3*l.parent.roundTrip()
	return min(wait<<min(l.lagged, 10), max(wait, m.cfg.BlockTimeout))
}

// lagging grafts a peer that is ahead, if the parent brought nothing while it was: another one each
// time, and the parent itself if there is no other and it has credit left.
func (m *Machine) lagging(now time.Duration, l *log) {
	var ahead []*peer
	for _, q := range m.peerList {
		if r := q.remote[l.id]; q.active != nil && q != l.parent && r != nil && r.have > l.have {
			ahead = append(ahead, q)
		}
	}
	if q := l.parent; len(ahead) == 0 && q != nil && q.active != nil && q.remote[l.id] != nil && q.remote[l.id].have > l.have {
		ahead = append(ahead, q)
	}
	if len(ahead) == 0 {
		l.lagged = 0
		return
	}
	if l.have > l.slowAt {
		l.lagged = 0
	} else if l.seeking == nil && l.received < l.edge {
		l.asked = nil
		m.askFor(ahead[l.lagged%len(ahead)].active, l)
		l.parent, l.rival = nil, nil
		l.lagged++
	}
	l.slowAt = l.have
	m.timers.set(&l.slow, now+m.lagPatience(l))
}

// roundTrip is how long an answer of the peer takes, as far as is known.
func (q *peer) roundTrip() time.Duration {
	if q == nil || q.rtt == 0 {
		return leastPatience / 4
	}
	return q.rtt
}
