package bus

import (
	"bytes"
	"cmp"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Topology is what a node knew of the network at one moment. It belongs to the caller.
type Topology struct {
	Self    uuid.UUID
	Members []Member // by distance, then by id: the node itself is the first
}

// Member is a node that can be reached, and what is known of it everywhere.
type Member struct {
	ID         uuid.UUID
	Epoch      uint64      // of its run, as in [Origin]: a restart has a higher one
	Name       string      // its Config.Name: any text at all
	Distance   int         // in links from node to node, the fewest there are; 0: the node itself
	NextHops   []uuid.UUID // the peers through which it is that far, by id; a peer is its own
	Neighbours []uuid.UUID // the peers that it says it is connected to, by id
	Endpoints  []string    // the URLs at which it says that it can be dialled, see Config.Mesh and Config.Advertise
	Patterns   []string    // what it listens for, or > where that would be a long list
	Paths      []Path      // of a peer: the connections to it, the oldest first
}

// Path is a connection to a peer.
type Path struct {
	Scheme        string // of its transport, such as "quic"
	Local, Remote net.Addr
	RTT           time.Duration // the round-trip time that its transport measured; 0: not known
	Active        bool          // it carries the data, and others stand by
}

// Topology returns the nodes that can be reached and how they are linked, as far as the news has
// come here. Once a link is ready, that is at least what the peer knew then. [LifecycleTopology] tells when to
// look again.
//
// Several NextHops are ways of the same length; events take the fastest, which may be a longer one. RTT is known for
// the node's own paths alone, if their transport is an [RTTMeasurer]. Neighbours may name nodes that are not among the
// Members: those that nothing else is known of yet, or at all because there are more than [Config].MaxOrigins.
//
// It takes time in proportion to the links of the network, and may be called concurrently.
func (n *Node) Topology() Topology {
	e := n.engine
	e.mu.Lock()
	graph, paths := e.m.Graph(), e.livePaths()
	e.mu.Unlock()
	t := Topology{Self: n.cfg.ID}
	for _, x := range graph.Members() {
		t.Members = append(t.Members, Member{
			ID: x.ID, Epoch: x.Epoch, Name: x.Name, Distance: x.Distance, NextHops: x.NextHops,
			Neighbours: slices.SortedFunc(slices.Values(x.Neighbours), compareIDs),
			Endpoints:  slices.Clone(x.Endpoints),
			Patterns:   slices.Clone(x.Patterns),
			Paths:      describe(paths[x.ID]),
		})
	}
	return t
}

// livePath is a path to a connected peer.
type livePath struct {
	*path
	active bool
}

// livePaths are those of every peer. The lock is held.
func (e *engine) livePaths() map[uuid.UUID][]livePath {
	all := make(map[uuid.UUID][]livePath)
	for id, p := range e.paths {
		if p.isUp && !p.over {
			all[p.peer] = append(all[p.peer], livePath{p, id == e.m.ActivePath(p.peer)})
		}
	}
	return all
}

// describe asks the connections, which the engine's lock is not held for.
func describe(paths []livePath) (list []Path) {
	slices.SortFunc(paths, func(a, b livePath) int { return cmp.Compare(a.id, b.id) })
	for _, p := range paths {
		d := Path{Scheme: p.node.cfg.Transports[p.pref].Scheme(),
			Local: p.conn.LocalAddr(), Remote: p.conn.RemoteAddr(), Active: p.active}
		if m, ok := p.conn.(RTTMeasurer); ok {
			d.RTT = m.RTT()
		}
		list = append(list, d)
	}
	return list
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
