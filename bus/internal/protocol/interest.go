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
		wanted = m.behindOf(q).wants(m.clock, name) || q.orphans && q.retained.Any(name)
	}
	if q.wanted == nil || len(q.wanted) >= maxCached {
		q.wanted = make(map[string]bool)
	}
	q.wanted[cloneString(name)] = wanted // the name belongs to its batch
	return wanted
}

func cloneString(s string) string { return string([]byte(s)) }

// behindOf is the region behind a peer.
func (m *Machine) behindOf(q *peer) *region {
	if q.behind == nil || q.behind.drawn != m.chart.drawn {
		q.behind = m.chart.behind(q.id)
	}
	return q.behind
}

// topologyChanged follows a change of our own links.
func (m *Machine) topologyChanged(now time.Duration) {
	m.chart.explored = false
	m.interestChanged(now)
	m.refreshSoon(now)
}

// interestChanged forgets what was derived from the records, and looks at every log again:
// what was not wanted may be now, for batches not judged yet.
func (m *Machine) interestChanged(now time.Duration) {
	clear(m.heard)
	clear(m.wanted)
	for _, q := range m.peerList {
		q.wanted = nil
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
	answer := m.blind && m.connected > 0 || slices.ContainsFunc(m.recordList, func(r *record) bool {
		return r != m.self && asks(r, name) && m.isReachable(r.version.node)
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
	m.chart.explore(m.peerList)
	if v := m.chart.vertices[id]; v != nil && (v.rec != nil || v.reached == m.chart.tour) {
		return v.reached == m.chart.tour
	}
	return m.isPeer(id)
}

// isPeer says whether a node is connected, whether or not a record of it is known.
func (m *Machine) isPeer(id uuid.UUID) bool {
	i, found := slices.BinarySearchFunc(m.peerList, id, func(q *peer, id uuid.UUID) int { return compareIDs(q.id, id) })
	return found && m.peerList[i].active != nil
}

// reprieve notes which of the nodes that were out of reach no longer are. Those behind us may
// have dropped their records already, unless it was for a moment: in a greeting they come before the
// link that they are behind.
func (m *Machine) reprieve() {
	if m.lost == 0 {
		return
	}
	if m.chart.explore(m.peerList); m.chart.found == m.reprieved {
		return
	}
	m.reprieved = m.chart.found
	for _, r := range m.recordList {
		if r.lostAt > 0 && m.isReachable(r.version.node) {
			if m.now-r.lostAt >= greetingTime {
				m.forward(r, nil)
			}
			m.missing(r, 0)
		}
	}
}

// missing notes since when the node of a record is out of reach; 0: it is not.
func (m *Machine) missing(r *record, since time.Duration) {
	if r.lostAt > 0 {
		m.lost--
	}
	if r.lostAt = since; since > 0 {
		m.lost++
	}
}

// dropUnreachable forgets the records of nodes that were out of reach for recordGrace (§8.2).
func (m *Machine) dropUnreachable(now time.Duration) {
	again, parted := false, false
	kept := m.recordList[:0]
	for _, r := range m.recordList {
		switch id := r.version.node; {
		case m.isReachable(id):
			m.missing(r, 0)
		case r.lostAt == 0:
			m.missing(r, now)
			again = true
		case now-r.lostAt >= recordGrace:
			m.missing(r, 0)
			delete(m.records, id)
			m.chart.erase(r)
			m.part(now, id)
			parted = true
			continue
		default:
			again = true
		}
		r.place = len(kept)
		kept = append(kept, r)
	}
	clear(m.recordList[len(kept):])
	m.recordList = kept
	if parted {
		m.forgetMet(now)
	}
	if again {
		m.timers.set(&m.recordGC, now+recordGrace)
	}
}
