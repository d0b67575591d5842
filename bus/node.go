package bus

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

// Node is one member of the bus. All methods may be called concurrently.
type Node struct {
	cfg          Config
	log          *slog.Logger
	seed         maphash.Seed
	engine       *engine
	lanes        []*lane
	lifecycle    lifecycle
	mesh         *mesh // nil: there is none
	refusals     limiter
	laggards     limiter
	disputes     limiter
	maxDataFrame int

	ctx     context.Context // ends when the node has left its peers
	cancel  context.CancelCauseFunc
	closing chan struct{}  // closed when Close begins
	running sync.WaitGroup // links, listeners, accepted paths, handlers, the mesh
	ended   chan struct{}  // closed when Close is done

	mu        sync.Mutex // guards the tables of what Close has to end
	closed    bool
	lastLink  protocol.LinkID
	links     map[*Link]struct{}
	listeners []listening
	accepted  map[*path]struct{}
}

// New makes a node that has no connections yet: Listen and Connect make them.
// Events may be emitted from the start; the first peer gets them. The node owns cfg's
// transports from now on, also if New fails.
func New(cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		for _, t := range cfg.Transports {
			if t != nil {
				t.Close()
			}
		}
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, seed: maphash.MakeSeed(),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		links:    make(map[*Link]struct{}),
		accepted: make(map[*path]struct{}),
	}
	n.cfg.Transports = append([]Transport(nil), cfg.Transports...)
	epoch := uint64(time.Now().UnixMicro())
	n.maxDataFrame = n.cfg.protocol(epoch).MaxDataFrame()
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.engine = newEngine(n, epoch)
	for i := range cfg.Lanes {
		n.lanes = append(n.lanes, newLane(n, uint8(i), epoch))
	}
	for _, t := range cfg.Transports {
		if s, ok := t.(TimeoutSetter); ok {
			s.SetTimeout(cfg.Timeout)
		}
	}
	n.advertise()
	if cfg.Mesh {
		n.mesh = newMesh(n)
		n.running.Add(1)
		go n.mesh.run() // Node.Close waits for it through running
	}
	return n, nil
}

// ID is the node's id.
func (n *Node) ID() uuid.UUID { return n.cfg.ID }

// Origin is this run of the node, as its events carry it. Its epoch is the time in microseconds; if the clock has
// gone back since an earlier run, it becomes a higher one with the first connection.
func (n *Node) Origin() Origin {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	return Origin{n.cfg.ID, n.engine.m.Epoch()}
}

// Disconnect ends every link and connection, politely, and keeps the node, its listeners and its
// buffers: Connect, or a peer that comes back, goes on where it was. Until then the mesh rests: it forgets whom it knew.
func (n *Node) Disconnect() error {
	defer n.mesh.rest()()
	n.mu.Lock()
	links, paths := make([]*Link, 0, len(n.links)), make([]*path, 0, len(n.accepted))
	for l := range n.links {
		links = append(links, l)
	}
	for p := range n.accepted {
		paths = append(paths, p)
	}
	n.mu.Unlock()
	var wg sync.WaitGroup
	for _, l := range links {
		wg.Go(func() { l.Close() })
	}
	for _, p := range paths {
		wg.Go(p.leave)
	}
	wg.Wait()
	return nil
}

// Close ends the node: what can be sent at once goes out, peers learn where its events
// end, and every goroutine of the node has returned when Close does. It waits for handlers that are running, so
// it must not be called inside one. Call Drain first to have everything delivered.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		<-n.ended
		return nil
	}
	n.closed = true
	listeners := slices.Clone(n.listeners)
	n.mu.Unlock()
	close(n.closing)
	for _, l := range n.lanes {
		l.close()
	}
	n.engine.do(func(m *protocol.Machine, now time.Duration) { m.Finish(now) })
	var errs []error
	for _, ln := range listeners {
		errs = append(errs, ln.Close())
	}
	n.Disconnect()
	n.cancel(ErrClosed)
	n.engine.close()
	n.running.Wait()
	for _, t := range n.cfg.Transports {
		errs = append(errs, t.Close())
	}
	n.lifecycle.publish(LifecycleEvent{Kind: LifecycleClosed})
	close(n.ended)
	return errors.Join(errs...)
}

// close ends every subscription and wait.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	e.timer.Stop()
	e.wakeWaiters()
	subs := make([]*Subscription, 0, len(e.all))
	for s := range e.all {
		subs = append(subs, s)
	}
	t := todos.Get().(*todo)
	e.takeBack(e.leasesDue+leaseMost, t) // there is no timer any more
	e.mu.Unlock()
	e.act(t)
	for _, s := range subs {
		s.Close()
	}
}

// track notes an accepted path for Close to end.
func (n *Node) track(p *path) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.accepted[p] = struct{}{}
	n.running.Add(1)
	return true
}

func (n *Node) untrack(p *path) {
	n.mu.Lock()
	delete(n.accepted, p)
	n.mu.Unlock()
	n.running.Done()
}

// flushLater seals what lanes hold back, because someone may want it now. It is
// called wherever the machine was, so the work is left to the lanes' timers.
func (n *Node) flushLater() {
	for _, l := range n.lanes {
		l.mu.Lock()
		if l.builder.Count() > 0 && !l.closed {
			l.sealWithin(1)
		}
		l.mu.Unlock()
	}
}

// limiter lets one log line a second through, and counts the others.
type limiter struct {
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

func (l *limiter) warn(log *slog.Logger, msg string, args ...any) {
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.last) < time.Second {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	l.last = now
	if l.suppressed > 0 {
		args = append(args, "suppressed", l.suppressed)
		l.suppressed = 0
	}
	l.mu.Unlock()
	log.Warn(msg, args...)
}
