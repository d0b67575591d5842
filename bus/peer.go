package bus

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

// Peer is a node this one is, or was, connected to, whatever the connection. It may be
// kept and used concurrently.
type Peer struct {
	node *Node
	id   uuid.UUID
}

// Peers lists the connected peers, by id.
func (n *Node) Peers() []*Peer {
	e := n.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*Peer
	for _, id := range e.m.Connected() {
		list = append(list, &Peer{n, id})
	}
	return list
}

// ID is the peer's node id, which its certificate proves.
func (p *Peer) ID() uuid.UUID { return p.id }

// PeerStats is what was exchanged with a peer since it is known.
type PeerStats struct {
	Name           string
	Connected      bool
	Paths          int    // connections to it
	SentEvents     uint64 // in batches that had something for it
	SentBytes      uint64 // of batches, as they went
	ReceivedEvents uint64
	ReceivedBytes  uint64
	Unacked        int // batches on their way
	Undone         int // batches it is not done with, but those it has that a bound forced out here
}

// Stats returns the counters; ErrNotConnected if the peer was forgotten.
func (p *Peer) Stats() (PeerStats, error) {
	e := p.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.m.PeerStats(p.id)
	if !ok {
		return PeerStats{}, ErrNotConnected
	}
	return PeerStats{
		Name: s.Name, Connected: s.Connected, Paths: s.Paths,
		SentEvents: s.SentEvents, SentBytes: s.SentBytes, ReceivedEvents: s.ReceivedEvents, ReceivedBytes: s.ReceivedBytes,
		Unacked: int(s.Unacknowledged), Undone: int(s.Undone),
	}, nil
}

// Close ends the connections to the peer, politely. A link to it connects again;
// close that instead to end it for good.
func (p *Peer) Close() error {
	var wg sync.WaitGroup
	for _, c := range p.paths() {
		wg.Go(c.leave)
	}
	wg.Wait()
	return nil
}

// paths are the connections to the peer, those that carry data first.
func (p *Peer) paths() (list []*path) {
	e := p.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	active := e.m.ActivePath(p.id)
	for id, c := range e.paths {
		switch {
		case !c.isUp || c.peer != p.id:
		case id == active:
			list = append([]*path{c}, list...)
		default:
			list = append(list, c)
		}
	}
	return list
}

// Ping measures the round trip to the peer through the whole bus but its data streams.
func (p *Peer) Ping(ctx context.Context) (time.Duration, error) {
	paths := p.paths()
	if len(paths) == 0 {
		return 0, ErrNotConnected
	}
	c := paths[0]
	willWait(ctx)
	answer := make(chan struct{})
	sent, token, ok := time.Now(), uint64(0), false
	p.node.engine.do(func(m *protocol.Machine, now time.Duration) {
		c.lastPing++
		token = c.lastPing
		if ok = m.Ping(now, c.id, token); !ok {
			return
		}
		if c.pings == nil {
			c.pings = make(map[uint64]chan<- struct{})
		}
		c.pings[token] = answer
	})
	if !ok {
		return 0, ErrNotConnected
	}
	select {
	case <-answer:
		return time.Since(sent), nil
	case <-c.ctx.Done():
		return 0, ErrNotConnected
	case <-ctx.Done():
		p.node.engine.do(func(*protocol.Machine, time.Duration) { delete(c.pings, token) })
		return 0, context.Cause(ctx)
	}
}

// Stats counts what a node did since New.
type Stats struct {
	Peers      int
	Unheard    uint64 // events emitted that nobody who could be reached listened for
	Dropped    uint64 // events that a bound forced out of a buffer here while a peer still needed them
	Gaps       uint64 // gaps declared here
	Missed     uint64 // events in those gaps
	Reported   uint64 // events of this node that others reported missing; may count some that were not, see GapError
	Duplicates uint64 // batches that arrived again and were discarded
	Logs       int    // of this node and others
	Events     int64  // kept in all buffers
	Bytes      int64  // kept in all buffers
}

// Stats returns the counters.
func (n *Node) Stats() Stats {
	e := n.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.m.Stats()
	return Stats{
		Peers: len(e.m.Connected()), Unheard: s.Unheard, Dropped: s.Dropped, Gaps: s.Gaps, Missed: s.Missed,
		Reported: s.Reported, Duplicates: s.Duplicates, Logs: s.Logs, Events: s.Events, Bytes: s.Bytes,
	}
}
