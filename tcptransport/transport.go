package tcptransport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

const (
	// alpn names the protocol in the handshake (RFC 7301).
	alpn = "verbose/1"

	defaultTimeout = 60 * time.Second
)

// Config is what a [Transport] is made of.
type Config struct {
	// Identity is who this node is and whom it trusts. Required.
	Identity *certs.Identity

	// Logger is told of peers that were refused while connecting to this node, at most once a second. Nil: nobody is.
	Logger *slog.Logger

	// Dial connects to an address (host:port, or a path), for sockets with options of their own, proxies and
	// simulated networks. Nil: a socket of the system.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// Listen is the same for a local address to listen on. The transport closes it.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
}

// Transport connects a node over TCP or Unix sockets. It implements [bus.Transport] and
// [bus.TimeoutSetter]; its streams implement [bus.Prioritizer]. All methods may be called
// concurrently.
type Transport struct {
	config  Config
	network string          // "tcp" or "unix", which is also the scheme
	timeout atomic.Int64    // time.Duration
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // calls of Dial and Listen, and connections

	mu        sync.Mutex
	closed    bool
	listeners map[*Listener]struct{}
	conns     map[*Conn]struct{}
}

var (
	_ bus.Transport     = (*Transport)(nil)
	_ bus.TimeoutSetter = (*Transport)(nil)
)

// New returns a transport that has no socket yet. A bad config is reported by Dial and Listen.
func New(config Config) *Transport {
	t := &Transport{config: config, network: "tcp", listeners: make(map[*Listener]struct{}), conns: make(map[*Conn]struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.timeout.Store(int64(defaultTimeout))
	return t
}

// Scheme is "tcp", or "unix" after [NewUnix].
func (t *Transport) Scheme() string { return t.network }

// ID is the id of Config.Identity.
func (t *Transport) ID() uuid.UUID {
	if t.config.Identity == nil {
		return uuid.Nil
	}
	return t.config.Identity.ID()
}

// SetTimeout sets after how much silence a connection is given up, 60 s by default; the shorter
// of both sides counts. It applies to connections made after it; zero or less is ignored.
func (t *Transport) SetTimeout(d time.Duration) {
	if d > 0 {
		t.timeout.Store(int64(d))
	}
}

// Close ends every connection with [bus.CloseNormal], closes all sockets and
// waits until nothing of them is left: a second at most. Later calls do nothing.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	listeners, conns := t.listeners, t.conns
	t.listeners, t.conns = nil, nil
	t.mu.Unlock()

	t.cancel()
	for l := range listeners {
		l.Close()
	}
	for c := range conns {
		c.CloseWithCode(bus.CloseNormal, "")
	}
	t.running.Wait()
	return nil
}

// begin counts a call that Close waits for.
func (t *Transport) begin() (done func(), err error) {
	if t.config.Identity == nil {
		return nil, errors.New("tcptransport: Config.Identity is required")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	t.running.Add(1)
	return t.running.Done, nil
}

// track takes on a connection and starts it, unless the transport is closed.
func (t *Transport) track(c *Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.conns[c] = struct{}{}
	t.running.Add(1)
	c.start(func() {
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
		t.running.Done()
	})
	return nil
}
