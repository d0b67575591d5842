package quictransport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

const (
	// alpn names the protocol in the handshake (RFC 7301).
	alpn = "verbose/1"

	defaultTimeout   = 60 * time.Second
	handshakeTimeout = 10 * time.Second // of silence; twice that in all

	// maxStreams is how many streams a peer may have open: its control stream, 64 lanes, and
	// some that are not yet gone.
	maxStreams = 80

	// connWindow bounds what a connection holds unread, in bytes; a stream's own window ends at 6 MiB.
	connWindow = 15 << 20
)

// Config is what a [Transport] is made of.
type Config struct {
	// Identity is who this node is and whom it trusts. Required.
	Identity *certs.Identity

	// Logger is told of peers that were refused while connecting to this node, at most once a second. Nil: nobody is.
	Logger *slog.Logger

	// ListenPacket opens the packet socket for a local address (host:port), for sockets
	// with options of their own and for simulated networks. The transport closes it. Nil: a UDP socket of the system.
	ListenPacket func(ctx context.Context, addr string) (net.PacketConn, error)
}

// Transport connects a node over QUIC. It implements [bus.Transport] and
// [bus.TimeoutSetter]; its streams implement [bus.Prioritizer]. All methods may be called
// concurrently.
type Transport struct {
	config  Config
	timeout atomic.Int64 // time.Duration

	mu     sync.Mutex
	closed bool
	// opening is held for the time it takes to open a socket, so that two
	// dials do not open two.
	opening   chan struct{}
	endpoints []*endpoint
	conns     map[*Conn]struct{}
}

var (
	_ bus.Transport     = (*Transport)(nil)
	_ bus.TimeoutSetter = (*Transport)(nil)
)

// New returns a transport that has no socket yet. A bad config is reported by Dial and Listen.
func New(config Config) *Transport {
	t := &Transport{
		config:  config,
		opening: make(chan struct{}, 1),
		conns:   make(map[*Conn]struct{}),
	}
	t.timeout.Store(int64(defaultTimeout))
	return t
}

// Scheme is "quic".
func (t *Transport) Scheme() string { return "quic" }

// ID is the id of Config.Identity.
func (t *Transport) ID() uuid.UUID {
	if t.config.Identity == nil {
		return uuid.Nil
	}
	return t.config.Identity.ID()
}

// SetTimeout sets after how much silence a connection is given up, 60 s by default; the shorter
// of both sides counts. It applies to connections and listeners made after it; zero or less is ignored.
func (t *Transport) SetTimeout(d time.Duration) {
	if d > 0 {
		t.timeout.Store(int64(d))
	}
}

// Close ends every connection with [bus.CloseNormal], closes all sockets and
// waits until nothing of them is left. Later calls do nothing.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	endpoints := t.endpoints
	var listeners []*Listener
	for _, e := range endpoints {
		if e.listener != nil {
			listeners = append(listeners, e.listener)
		}
	}
	conns := make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()

	// A closed QUIC socket says nothing to its peers, so the connections go
	// first, those that nobody accepted included.
	for _, l := range listeners {
		l.Close()
	}
	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { c.CloseWithCode(bus.CloseNormal, "") })
	}
	closing.Wait()
	errs := make([]error, len(endpoints))
	for i, e := range endpoints {
		errs[i] = e.close()
	}
	return errors.Join(errs...)
}

// track takes on a connection whose handshake is done, or closes it if the transport is closed.
func (t *Transport) track(q *quic.Conn, listener *Listener) (*Conn, error) {
	peer, err := certs.PeerID(q.ConnectionState().TLS)
	if err != nil {
		// Verified handshakes have an id.
		q.CloseWithError(quic.ApplicationErrorCode(bus.CloseUntrusted), err.Error())
		return nil, err
	}
	t.mu.Lock()
	closed := t.closed || listener != nil && listener.closed.Load()
	if closed {
		t.mu.Unlock()
		q.CloseWithError(quic.ApplicationErrorCode(bus.CloseNormal), "")
		return nil, errClosed
	}
	c := newConn(q, peer, t.config.Identity)
	t.conns[c] = struct{}{}
	t.mu.Unlock()
	context.AfterFunc(q.Context(), func() {
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
		c.end()
	})
	return c, nil
}

func (t *Transport) ready() error {
	if t.config.Identity == nil {
		return errors.New("quictransport: Config.Identity is required")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	return nil
}

var errClosed = fmt.Errorf("quictransport: closed: %w", net.ErrClosed)

func (t *Transport) quicConfig() *quic.Config {
	timeout := time.Duration(t.timeout.Load())
	return &quic.Config{
		HandshakeIdleTimeout: handshakeTimeout,
		MaxIdleTimeout:       timeout,
		// The bus's own vectors come more often; this keeps a transport used without them alive.
		KeepAlivePeriod: timeout / 2,
		// By default this grows while somebody reads, from less than two streams may hold unread: two
		// readers that pause would silence the control stream.
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          -1,
	}
}
