package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
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
	transport Transport
	pref      uint8
	addr      string
	want      uuid.UUID
	ctx       context.Context
	cancel    context.CancelCauseFunc
	ended     chan struct{}

	mu    sync.Mutex
	paths []*path       // that run, the newest last
	state chan struct{} // closed and replaced when paths or err changes
	err   error         // why the link gave up

	look signal // that a path fell silent, or was heard again
}

// Connect begins to connect to a URL: scheme://host:port (scheme:///path, where the transport has paths), or host:port
// for the first transport; scheme://id@host:port accepts that node only. It returns at once, and the link keeps
// connecting until it is closed. Events emitted from now on are kept for the node
// that answers.
func (n *Node) Connect(rawURL string) (*Link, error) {
	transport, pref, want, addr, err := n.resolve(rawURL)
	if err != nil {
		return nil, err
	}
	l := &Link{node: n, url: rawURL, transport: transport, pref: pref, addr: addr, want: want,
		ended: make(chan struct{}), state: make(chan struct{}), look: newSignal()}
	l.ctx, l.cancel = context.WithCancelCause(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	n.lastLink++
	l.id = n.lastLink
	for _, lane := range n.lanes {
		lane.flush() // what was emitted before is not owed to the link
	}
	n.engine.do(func(m *protocol.Machine, now time.Duration) { m.OpenLink(now, l.id) })
	n.links[l] = struct{}{}
	n.running.Add(1)
	go l.run() // Node.Close waits for it through running
	return l, nil
}

// resolve splits a URL.
func (n *Node) resolve(rawURL string) (t Transport, pref uint8, want uuid.UUID, addr string, err error) {
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		scheme, rest = n.cfg.Transports[0].Scheme(), rawURL
	}
	var schemes []string
	for i, candidate := range n.cfg.Transports {
		if candidate.Scheme() == scheme {
			t, pref = candidate, uint8(i)
		}
		schemes = append(schemes, candidate.Scheme())
	}
	if t == nil {
		return nil, 0, want, "", fmt.Errorf("bus: %q: no transport for %q here; there is %s", rawURL, scheme, strings.Join(schemes, ", "))
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, 0, want, "", fmt.Errorf("bus: %q is not an address: %w", rawURL, err)
	}
	hasPort, hasPath := u.Host != "" && u.Port() != "", u.Path != ""
	if hasPort == hasPath || hasPath && u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, 0, want, "", fmt.Errorf("bus: %q is not an address: it has to be scheme://host:port or scheme:///path, with id@ after the // or not", rawURL)
	}
	if u.User != nil {
		if want, err = uuid.Parse(u.User.Username()); err != nil {
			return nil, 0, want, "", fmt.Errorf("bus: %q: the node id before the @: %w", rawURL, err)
		}
	}
	return t, pref, want, u.Host + u.Path, nil // one of them is empty
}

// URL is what the link connects to.
func (l *Link) URL() string { return l.url }

// Ready waits until the link is up: the peer and this node have accepted each
// other.
func (l *Link) Ready(ctx context.Context) (*Peer, error) {
	for {
		l.mu.Lock()
		paths, state, err := slices.Clone(l.paths), l.state, l.err
		l.mu.Unlock()
		if err != nil {
			return nil, err
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
	l.mu.Lock()
	paths := slices.Clone(l.paths)
	l.mu.Unlock()
	var left sync.WaitGroup
	for _, p := range paths {
		left.Go(p.leave)
	}
	left.Wait()
	l.cancel(ErrClosed)
	<-l.ended
	return nil
}

// change changes paths or err.
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
	for l.ctx.Err() == nil {
		l.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleConnect, URL: l.url})
		began := time.Now()
		conn, err := l.dial(time.Since(lost) < eagerFor, took)
		up := false
		if err == nil {
			took = time.Since(began)
			up, err = l.follow(conn, took)
		}
		if l.ctx.Err() != nil {
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
		if !l.pause(wait, err) {
			return
		}
	}
}

func (l *Link) close() {
	l.node.mu.Lock()
	delete(l.node.links, l)
	l.node.mu.Unlock()
	l.node.engine.do(func(m *protocol.Machine, now time.Duration) { m.CloseLink(now, l.id) })
}

// dial makes one attempt. An eager one is given up when it takes several times as long as the last that succeeded.
func (l *Link) dial(eager bool, took time.Duration) (Conn, error) {
	if !eager {
		return l.transport.Dial(l.ctx, l.addr, l.want)
	}
	return l.try(l.ctx, max(eagerPatience, 4*took))
}

// try makes an attempt that is given up after a while.
func (l *Link) try(ctx context.Context, patience time.Duration) (Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("bus: no answer from %s within %v", l.addr, patience))
	defer cancel()
	return l.transport.Dial(ctx, l.addr, l.want)
}

// pause waits before the next attempt, and at least some seconds after a refusal. It returns
// false if there is to be no other.
func (l *Link) pause(wait time.Duration, err error) bool {
	var peer *PeerError
	if errors.As(err, &peer) {
		switch peer.Code {
		case CloseSuperseded:
			if l.fresh() { // an earlier run may not be given up yet, and have had a later clock
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
