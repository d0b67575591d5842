package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// acquaintance is what remains of the first record that was seen of a node: in which of its
// lanes nothing had been emitted yet. A log of these that turns up later began after that,
// and so did every log of a later run; what came first in it was meant for us, too (§6.3).
type acquaintance struct {
	epoch  uint64
	stamp  uint64 // of that record
	quiet  uint64 // lanes, a bit each
	lostAt time.Duration
}

// meet notes a node at its first record.
func (m *Machine) meet(rec *record) {
	v := rec.version
	if _, ok := m.met[v.node]; !ok {
		m.met[v.node] = acquaintance{epoch: v.epoch, stamp: rec.stamp, quiet: ^rec.begun}
	}
}

// part notes that the record of a node was dropped. Its acquaintance lasts as long as
// copies of its events may be about.
func (m *Machine) part(now time.Duration, id uuid.UUID) {
	a := m.met[id]
	a.lostAt = now
	m.met[id] = a
}

// forgetMet lets go of those who parted too long ago, and of the first to part where there are too many.
func (m *Machine) forgetMet(now time.Duration) {
	var gone []uuid.UUID
	for id, a := range m.met {
		switch {
		case m.records[id] != nil:
		case now-a.lostAt > m.cfg.maxAge():
			delete(m.met, id)
		default:
			gone = append(gone, id)
		}
	}
	if len(gone) <= m.cfg.MaxOrigins {
		return
	}
	slices.SortFunc(gone, func(a, b uuid.UUID) int {
		return cmp.Or(cmp.Compare(m.met[a].lostAt, m.met[b].lostAt), compareIDs(a, b))
	})
	for _, id := range gone[:len(gone)-m.cfg.MaxOrigins] {
		delete(m.met, id)
	}
}

// knewBefore says whether a log was known not to have begun before the path came up.
func (m *Machine) knewBefore(id codec.LogID, p *path) bool {
	a, ok := m.met[id.Node]
	return ok && a.stamp <= p.began && (a.epoch < id.Epoch || a.epoch == id.Epoch && a.quiet>>id.Lane&1 == 1)
}

// outlive notes that a log was followed, and is over: should it turn up again, it is not new.
func (m *Machine) outlive(id codec.LogID) {
	a, ok := m.met[id.Node]
	if !ok || a.epoch > id.Epoch {
		return
	}
	if a.epoch < id.Epoch {
		a.epoch, a.quiet = id.Epoch, ^uint64(0)
	}
	a.quiet &^= 1 << id.Lane
	m.met[id.Node] = a
}

// begun is the lanes in which this node has emitted.
func (m *Machine) begun() (lanes uint64) {
	for i, l := range m.own {
		if l.have > 0 {
			lanes |= 1 << i
		}
	}
	return lanes
}
