package protocol

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// wants says whether anyone behind the peer listens for a topic of the batch.
// Of a peer whose interest is not known yet, everything is assumed (§8.3).
func (m *Machine) wants(q *peer, b *codec.Batch) bool {
	if m.blind || q.active == nil && q.retained == nil {
		return true
	}
	for i := range b.Topics {
		if m.wantsTopic(q, b.Topics[i].Name) {
			return true
		}
	}
	return false
}

func (m *Machine) wantsTopic(q *peer, name string) bool {
	if wanted, ok := q.wanted[name]; ok {
		return wanted
	}
	var wanted bool
	if q.active == nil {
		wanted = q.retained.Any(name)
	} else {
		wanted = slices.ContainsFunc(m.behindOf(q), func(r *record) bool { return r.wants(name) }) ||
			q.orphans && q.retained.Any(name)
	}
	if q.wanted == nil || len(q.wanted) >= maxCached {
		q.wanted = make(map[string]bool)
	}
	q.wanted[cloneString(name)] = wanted // the name belongs to its batch
	return wanted
}

func cloneString(s string) string { return string([]byte(s)) }

// behindOf is the records of the nodes that can be reached through a peer
// without coming back to us.
func (m *Machine) behindOf(q *peer) []*record {
	if q.behind == nil {
		seen := map[uuid.UUID]bool{m.cfg.ID: true}
		q.behind = m.walk(q.id, seen)
	}
	return q.behind
}

// walk lists the records of the nodes reachable from one, over links that the
// nearer end reports: it is the one that owes them what comes from here, and says in the
// same version of its record that a link is gone and what it keeps for who was there.
func (m *Machine) walk(from uuid.UUID, seen map[uuid.UUID]bool) []*record {
	list := []*record{}
	next := []uuid.UUID{from}
	seen[from] = true
	for len(next) > 0 {
		rec := m.records[next[0]]
		next = next[1:]
		if rec == nil {
			continue
		}
		list = append(list, rec)
		for _, id := range rec.neighbours {
			if !seen[id] {
				seen[id] = true
				next = append(next, id)
			}
		}
	}
	return list
}

// topologyChanged follows a change of our own links.
func (m *Machine) topologyChanged(now time.Duration) {
	m.interestChanged(now)
	m.refreshSoon(now)
}

// interestChanged forgets what was derived from the records, and looks at every log again:
// what was not wanted may be now, for batches not judged yet.
func (m *Machine) interestChanged(now time.Duration) {
	m.reach = nil
	clear(m.heard)
	clear(m.wanted)
	for _, q := range m.peerList {
		q.behind, q.wanted = nil, nil
		if q.orphans && q.active != nil && m.reclaimed(q) {
			m.disown(q)
			m.refreshSoon(now)
		}
	}
	m.reprieve()
	m.timers.lower(&m.recordGC, now+recordGrace)
	m.emit(Event{Kind: EventInterest})
}

// Heard says whether a node that can be reached listens for the topic.
func (m *Machine) Heard(name string) bool { return m.anyone(m.heard, name, (*record).hears) }

// Wanted says the same, or whether a node that can be reached keeps it for one
// that is away.
func (m *Machine) Wanted(name string) bool { return m.anyone(m.wanted, name, (*record).wants) }

// anyone asks the records of the other nodes in reach, and remembers the answer.
func (m *Machine) anyone(known map[string]bool, name string, asks func(*record, string) bool) bool {
	if answer, ok := known[name]; ok {
		return answer
	}
	m.isReachable(m.cfg.ID)
	answer := m.blind && m.connected > 0 || slices.ContainsFunc(m.recordList, func(r *record) bool {
		return r != m.self && m.reach[r.version.node] && asks(r, name)
	})
	if len(known) >= maxCached {
		clear(known)
	}
	known[cloneString(name)] = answer
	return answer
}

// countUnheard counts the events of a fresh batch that nobody reachable
// listens for. While something is owed to a link that never connected, or to a peer
// that is away, they wait for that.
func (m *Machine) countUnheard(b *codec.Batch) {
	if len(m.pledges) > 0 {
		return
	}
	for i := range b.Topics {
		t := &b.Topics[i]
		if m.Wanted(t.Name) || slices.ContainsFunc(m.peerList, func(q *peer) bool { return q.active == nil && m.wantsTopicAway(q, t.Name) }) {
			continue
		}
		m.stats.Unheard += uint64(t.Count)
	}
}

func (m *Machine) wantsTopicAway(q *peer, name string) bool {
	return q.retained == nil || m.wantsTopic(q, name)
}

// alive says whether the run of a node that a log belongs to can be reached.
func (m *Machine) alive(id codec.LogID) bool {
	r := m.records[id.Node]
	return r != nil && r.version.epoch == id.Epoch && m.isReachable(id.Node)
}

// isReachable says whether a node can be reached.
func (m *Machine) isReachable(id uuid.UUID) bool {
	if m.reach == nil {
		m.reach = map[uuid.UUID]bool{m.cfg.ID: true}
		for _, q := range m.peerList {
			if q.active != nil && !m.reach[q.id] {
				m.walk(q.id, m.reach)
			}
		}
	}
	return m.reach[id]
}

// reprieve notes which of the nodes that were out of reach no longer are. Those behind us may
// have dropped their records already.
func (m *Machine) reprieve() {
	for _, r := range m.recordList {
		if r.lostAt > 0 && m.isReachable(r.version.node) {
			r.lostAt = 0
			m.forward(r, nil)
		}
	}
}

// dropUnreachable forgets the records of nodes that were out of reach for recordGrace (§8.2).
func (m *Machine) dropUnreachable(now time.Duration) {
	again := false
	for _, r := range slices.Clone(m.recordList) {
		id := r.version.node
		switch {
		case m.isReachable(id):
			r.lostAt = 0
		case r.lostAt == 0:
			r.lostAt, again = now, true
		case now-r.lostAt >= recordGrace:
			delete(m.records, id)
			m.part(now, id)
			m.recordList = slices.DeleteFunc(m.recordList, func(x *record) bool { return x == r })
		default:
			again = true
		}
	}
	if again {
		m.timers.set(&m.recordGC, now+recordGrace)
	}
}
