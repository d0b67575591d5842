package protocol

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
)

// Member is a node that can be reached, as its record describes it (§8.1), and where it is
// from here. Its lists belong to the record, and are not to be changed.
type Member struct {
	ID         uuid.UUID
	Epoch      uint64
	Name       string
	Neighbours []uuid.UUID // the peers it is connected to
	Endpoints  []string    // where it says that it can be dialled
	Patterns   []string    // of its own subscriptions

	Distance int         // in links, the fewest there are; 0: this node
	NextHops []uuid.UUID // our peers through which it is that far, by id; a peer is its own
}

// Graph is what a machine knew of the network at one moment. It does not change with the
// machine, so that it can be walked while that goes on.
type Graph struct {
	self  uuid.UUID
	nodes []Member // without distance and next hops
}

// Graph copies what the records say of the network, and leaves the work to [Graph.Members].
func (m *Machine) Graph() Graph {
	g := Graph{self: m.cfg.ID, nodes: make([]Member, 0, len(m.recordList))}
	for _, r := range m.recordList {
		x := Member{ID: r.version.node, Epoch: r.version.epoch, Name: r.name, Neighbours: r.neighbours, Endpoints: r.endpoints, Patterns: r.patterns[:r.live]}
		if r == m.self {
			x.Neighbours = m.Connected() // the record follows a little later
		}
		g.nodes = append(g.nodes, x)
	}
	return g
}

// Held lists all nodes whose records are held, also of those that went out of reach some seconds ago (§8.2).
// Distances and next hops are left out.
func (g Graph) Held() []Member { return g.nodes }

// Members lists the nodes that can be reached (§8.2), by distance and then by id: this one is the
// first. One whose record has not come, or found no room, is not among them.
func (g Graph) Members() (list []Member) {
	known := make(map[uuid.UUID]*Member, len(g.nodes))
	for _, x := range g.nodes {
		known[x.ID] = &x
	}
	reached := map[uuid.UUID]bool{g.self: true}
	for ring := []*Member{known[g.self]}; len(ring) > 0; ring = beyond(ring, known, reached) {
		for _, x := range ring {
			list = append(list, *x)
		}
	}
	return list
}

// beyond is the ring of nodes one link further away than those of another.
func beyond(ring []*Member, known map[uuid.UUID]*Member, reached map[uuid.UUID]bool) (next []*Member) {
	for _, near := range ring {
		for _, id := range near.Neighbours {
			far := known[id]
			if far == nil {
				continue
			}
			if !reached[id] {
				reached[id] = true
				far.Distance = near.Distance + 1
				next = append(next, far)
			}
			if far.Distance > near.Distance {
				far.reachBy(near)
			}
		}
	}
	slices.SortFunc(next, func(a, b *Member) int { return compareIDs(a.ID, b.ID) })
	return next
}

// reachBy adds the next hops of a node that is one link nearer.
func (far *Member) reachBy(near *Member) {
	if near.Distance == 0 {
		far.NextHops = []uuid.UUID{far.ID}
		return
	}
	for _, hop := range near.NextHops {
		if i, found := slices.BinarySearchFunc(far.NextHops, hop, compareIDs); !found {
			far.NextHops = slices.Insert(far.NextHops, i, hop)
		}
	}
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
