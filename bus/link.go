package bus

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

const (
	backoffFirst   = 100 * time.Millisecond
	backoffMost    = 5 * time.Second
	backoffRefused = 5 * time.Second // the least wait after a refusal

	// A link that was up tries again at this pace for so long before it backs off:
	// most outages are short.
	eagerMost = 150 * time.Millisecond
	eagerFor  = 10 * time.Second
	// eagerPatience is the least time an attempt gets meanwhile. One that began in an outage asks again at growing
	// intervals, and would wait for long after the outage is over; a new one asks at once.
	eagerPatience = time.Second
)

// Link is the wish to stay connected to an address. It connects, and connects
// again after each loss, until it or its node is closed.
type Link struct {
	node      *Node
	id        protocol.LinkID
	url       string
	endpoints []endpoint
	chooses   bool // of several addresses: not one of the node itself, or of a peer that it has
	brief     bool // it ends with its first failure, or when it was not up for meshGrace
	ctx       context.Context
	cancel    context.CancelCauseFunc
	ended     chan struct{}

	mu    sync.Mutex
	paths []*path       // that run, the newest last
	spare uuid.UUID     // the peer that the link leads to, while that is connected otherwise
	state chan struct{} // closed and replaced when one of the others changes
	err   error         // why the link connects no more

	look signal // that a path fell silent, or was heard again
}

// Connect begins to connect to a URL: scheme://host:port (scheme:///path, where the transport has paths), or host:port
// for the first transport; scheme://id@host:port accepts that node only. It returns at once, and the link keeps
// connecting until it is closed. Events emitted from now on are kept for the node
// that answers.
//
// How a host name in such a URL becomes an address is left to the transport. scheme+dns://name:port and
// scheme+srv://_service._proto.name are a link to one of several nodes: before each attempt, the node asks
// [Config].Resolver for the addresses behind the name (A and AAAA records, or SRV records by their priorities and
// weights), and tries them in turn until one leads to a node that is not a peer yet. With [Config].Mesh, it goes on to
// others behind the name until it has MeshDegree peers.
func (n *Node) Connect(rawURL string) (*Link, error) {
	e, err := n.cfg.parse(rawURL)
	if err != nil {
		return nil, err
	}
	l := n.newLink(rawURL, e)
	l.chooses = e.records != noRecords
	if !n.startLink(l, func() {
		for _, lane := range n.lanes {
			lane.flush() // what was emitted before is not owed to the link
		}
		n.engine.do(func(m *protocol.Machine, now time.Duration) { m.OpenLink(now, l.id) })
	}) {
		return nil, ErrClosed
	}
	n.mesh.wake()
	return l, nil
}

func (n *Node) newLink(url string, endpoints ...endpoint) *Link {
	l := &Link{node: n, url: url, endpoints: endpoints,
		ended: make(chan struct{}), state: make(chan struct{}), look: newSignal()}
	l.ctx, l.cancel = context.WithCancelCause(n.ctx)
	return l
}

// startLink runs a link that has been given its id and been opened, unless the node is closed.
func (n *Node) startLink(l *Link, open func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		l.cancel(ErrClosed)
		return false
	}
	n.lastLink++
	l.id = n.lastLink
	open()
	n.links[l] = struct{}{}
	n.running.Add(1)
	go l.run() // Node.Close waits for it through running
	return true
}

// URL is what the link connects to.
func (l *Link) URL() string { return l.url }

// Ready waits until the link is up: the peer and this node have accepted each
// other, on a connection of this link or on another that is in use instead.
func (l *Link) Ready(ctx context.Context) (*Peer, error) {
	willWait(ctx)
	for {
		l.mu.Lock()
		paths, spare, state, err := slices.Clone(l.paths), l.spare, l.state, l.err
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if spare != uuid.Nil {
			return &Peer{l.node, spare}, nil
		}
		var up chan struct{} // of the newest
		for _, p := range paths {
			if up = p.up; p.wasUp() {
				return &Peer{l.node, p.conn.Peer()}, nil
			}
		}
		select {
		case <-up:
		case <-state:
		case <-l.ended:
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.err != nil {
				return nil, l.err
			}
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close ends the link and its connection, politely. The peer is still owed what
// the node's buffers keep, should it come back.
func (l *Link) Close() error {
	var paths []*path
	l.change(func() { // before the paths end, so that none takes their place
		l.err, paths = cmp.Or(l.err, ErrClosed), slices.Clone(l.paths)
	})
	var left sync.WaitGroup
	for _, p := range paths {
		left.Go(p.leave)
	}
	left.Wait()
	l.cancel(ErrClosed)
	<-l.ended
	return nil
}

// change changes paths, spare or err.
func (l *Link) change(do func()) {
	l.mu.Lock()
	do()
	close(l.state)
	l.state = make(chan struct{})
	l.mu.Unlock()
}

// run connects until the link is closed. Node.Close waits for it.
func (l *Link) run() {
	defer l.node.running.Done()
	defer close(l.ended)
	defer l.close()
	failures := 0
	var lost time.Time
	var took time.Duration // to connect, the last time
	for !l.isOver() {
		l.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleConnect, URL: l.url})
		began := time.Now()
		d, err := l.dial(time.Since(lost) < eagerFor, took)
		up := false
		if err == nil {
			took = time.Since(began)
			up, err = l.follow(d, took)
		}
		if l.isOver() {
			return
		}
		var wait time.Duration
		switch {
		case up && time.Since(began) > eagerMost: // at once, unless it was lost at once
			failures, lost = 0, time.Now()
		case up:
			failures, lost = 0, time.Now()
			wait = rand.N(eagerMost)
		case time.Since(lost) < eagerFor:
			wait = rand.N(eagerMost)
		default:
			wait = rand.N(min(backoffMost, backoffFirst<<min(failures, 10))) // full jitter
			failures++
		}
		if l.brief && (time.Since(lost) > meshGrace || isEnding(err)) {
			l.change(func() { l.err = err })
			return
		}
		if !l.pause(wait, err) {
			return
		}
	}
}

// isEnding says whether a side ended the connection because it does not want it, and not because it was lost.
func isEnding(err error) bool {
	peer, ok := errors.AsType[*PeerError](err)
	return ok && peer.Code != CloseTimeout
}

func (l *Link) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil || l.ctx.Err() != nil
}

func (l *Link) close() {
	l.node.mu.Lock()
	delete(l.node.links, l)
	l.node.mu.Unlock()
	l.node.engine.do(func(m *protocol.Machine, now time.Duration) {
		m.CloseLink(now, l.id)
		l.node.engine.wakeWaiters() // nobody waits for its peer any more
	})
}

// pause waits before the next attempt, and at least some seconds after a refusal. It returns
// false if there is to be no other.
func (l *Link) pause(wait time.Duration, err error) bool {
	var peer *PeerError
	if errors.As(err, &peer) {
		switch peer.Code {
		case CloseSuperseded:
			// Who is refused here may be followed by a newer run of its node. There, an earlier run of ours may not be given
			// up yet, and have had a later clock.
			if !peer.Remote || l.fresh() {
				wait = l.refused(err)
				break
			}
			l.node.log.Error("link ends: a newer run of this node id is connected", "url", l.url)
			l.change(func() { l.err = err })
			return false
		case CloseSurplus:
			if l.connected(peer.Peer) {
				return l.awaitLoss(peer.Peer)
			}
			// The peer has not noticed yet that the path it prefers is lost.
		case CloseChannel, CloseVersion, CloseUntrusted, CloseWrongID, CloseFull, CloseSelf, CloseViolation:
			wait = l.refused(err)
		}
	}
	l.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleBackoff, URL: l.url, Next: time.Now().Add(wait), Err: err})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// refused says why the peer does not want the link, and how long to wait.
func (l *Link) refused(err error) (wait time.Duration) {
	wait = backoffRefused + rand.N(backoffRefused)
	l.node.log.Warn("connection refused", "url", l.url, "error", err, "retry", wait.Round(time.Millisecond))
	return wait
}

func (l *Link) fresh() bool {
	e := l.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.m.Fresh()
}

// awaitLoss waits until the peer, which is connected on a better path, is not connected any more.
func (l *Link) awaitLoss(peer uuid.UUID) bool {
	l.change(func() { l.spare = peer })
	defer l.change(func() { l.spare = uuid.Nil })
	return l.node.engine.await(l.ctx.Done(), func(m *protocol.Machine, _ time.Duration) bool { return !isConnected(m, peer) })
}

func (l *Link) connected(peer uuid.UUID) bool {
	e := l.node.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	return isConnected(e.m, peer)
}

func isConnected(m *protocol.Machine, peer uuid.UUID) bool {
	s, ok := m.PeerStats(peer)
	return ok && s.Connected
}
