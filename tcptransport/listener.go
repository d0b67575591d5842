package tcptransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

const (
	// maxWaiting is how many finished connections wait for Accept.
	maxWaiting = 32
	// acceptDelay is how long accepting pauses when the system has no more file descriptors.
	acceptDelay = 50 * time.Millisecond
)

// Listener accepts the connections of one listening socket. All methods may be called concurrently.
type Listener struct {
	transport *Transport
	socket    net.Listener
	admission admission
	refusals  *refusal.Log
	waiting   chan *Conn
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup // the accepting goroutine and a goroutine for each handshake
	closing   sync.Once
	failed    chan struct{} // closed when the socket does not accept any more
	err       error         // why, once failed is closed
}

var _ bus.Listener = (*Listener)(nil)

// Listen accepts connections on a local address (host:port; no host: every address; port 0: any; or a path).
// As everywhere in Go, 0.0.0.0 and no host both mean IPv4 and IPv6.
func (t *Transport) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	done, err := t.begin()
	if err != nil {
		return nil, err
	}
	defer done()
	socket, err := t.listenSocket(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("tcptransport: listen on %s: %w", addr, err)
	}
	l := &Listener{transport: t, socket: socket, refusals: refusal.NewLog(t.config.Logger, t.Scheme()),
		waiting: make(chan *Conn, maxWaiting), failed: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.listeners[l] = struct{}{}
		l.running.Go(l.accept)
	}
	t.mu.Unlock()
	if closed {
		l.cancel()
		return nil, errors.Join(errClosed, socket.Close())
	}
	return l, nil
}

func (t *Transport) listenSocket(ctx context.Context, addr string) (net.Listener, error) {
	if t.config.Listen != nil {
		return t.config.Listen(ctx, addr)
	}
	if t.network == "unix" {
		return listenUnix(ctx, addr)
	}
	return new(net.ListenConfig).Listen(ctx, t.network, addr)
}

// accept begins a handshake for each connection until the socket is closed.
func (l *Listener) accept() {
	defer close(l.failed)
	for {
		conn, err := l.socket.Accept()
		if err == nil {
			h := l.admission.begin(conn)
			l.running.Go(func() { l.greet(h) })
			continue
		}
		if l.ctx.Err() != nil || !isPassing(err) {
			l.err = err
			return
		}
		select {
		case <-time.After(acceptDelay):
		case <-l.ctx.Done():
		}
	}
}

// greet does a handshake, and has the connection wait for Accept.
func (l *Listener) greet(h *handshake) {
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	c, err := l.transport.greet(ctx, h.conn)
	if err == nil {
		l.admission.finished(h)
		if err = l.transport.track(c); err == nil {
			l.offer(c)
			return
		}
	}
	if ctx.Err() != nil && l.ctx.Err() == nil {
		err = &bus.PeerError{Code: bus.CloseHelloTimeout, Reason: fmt.Sprintf("no handshake within %v", handshakeTimeout), Err: err}
	}
	l.refusals.Record(h.conn.RemoteAddr(), err)
	// As with Conn: closing at once would lose the alert that says why.
	if half, ok := h.conn.(interface{ CloseWrite() error }); ok && l.ctx.Err() == nil {
		half.CloseWrite()
		h.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		stop := context.AfterFunc(l.ctx, func() { h.conn.Close() })
		io.Copy(io.Discard, h.conn)
		stop()
	}
	l.admission.finished(h)
	h.conn.Close()
}

func (l *Listener) offer(c *Conn) {
	select {
	case l.waiting <- c:
	default:
		c.CloseWithCode(bus.CloseInternal, "too many connections wait to be accepted")
	}
}

// Accept returns the next connection. Peers that are refused are logged, not returned.
func (l *Listener) Accept(ctx context.Context) (bus.Conn, error) {
	for {
		if l.ctx.Err() != nil {
			return nil, errClosed
		}
		select {
		case c := <-l.waiting:
			if c.ctx.Err() == nil {
				return c, nil
			}
		case <-l.ctx.Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.failed:
			if l.ctx.Err() == nil {
				return nil, fmt.Errorf("tcptransport: accept: %w", l.err)
			}
		}
	}
}

// Addr is the socket's address, with the port that was picked.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Close stops accepting. Connections that nobody accepted yet are closed; accepted ones live on.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		l.cancel()
		l.socket.Close()
		l.running.Wait()
		for len(l.waiting) > 0 {
			select {
			case c := <-l.waiting:
				c.CloseWithCode(bus.CloseNormal, "")
			default: // an Accept took it
			}
		}
		l.transport.mu.Lock()
		delete(l.transport.listeners, l)
		l.transport.mu.Unlock()
	})
	return nil
}
