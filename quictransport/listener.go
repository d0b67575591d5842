package quictransport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
)

// Listener accepts the connections of one socket. All methods may be called concurrently.
type Listener struct {
	transport *Transport
	endpoint  *endpoint
	quic      *quic.Listener
	closed    atomic.Bool
	closing   sync.Once
}

var _ bus.Listener = (*Listener)(nil)

// Listen accepts connections on a local address (host:port; no host: every address; port 0: any).
// As everywhere in Go, 0.0.0.0 and no host both mean IPv4 and IPv6.
func (t *Transport) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	if err := t.ready(); err != nil {
		return nil, err
	}
	unlock, err := t.lockOpening(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for {
		e := t.idle(addr)
		opened := e == nil
		if opened {
			if e, err = t.open(ctx, addr); err != nil {
				return nil, err
			}
		}
		q, err := e.quic.Listen(t.config.Identity.ServerTLS(alpn), t.quicConfig())
		if err == nil {
			l := &Listener{transport: t, endpoint: e, quic: q}
			t.mu.Lock()
			e.listener = l
			t.mu.Unlock()
			return l, nil
		}
		if t.dropBroken(e, err) && !opened {
			continue
		}
		return nil, fmt.Errorf("quictransport: listen on %s: %w", addr, translate(err))
	}
}

// idle returns an open socket that is bound as addr asks and has no listener:
// that of a closed listener, or of earlier dials.
func (t *Transport) idle(addr string) *endpoint {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil // opening it will say what is wrong
	}
	host = plainHost(host)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.endpoints {
		if e.listener == nil && e.host == host && (service == "0" || service == strconv.Itoa(int(e.local.Port()))) {
			return e
		}
	}
	return nil
}

// plainHost gives the spellings of "every address" one form.
func plainHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// Accept returns the next connection. Peers that are refused are logged, not returned. When the socket fails, the
// error says why; the address can be listened on again.
func (l *Listener) Accept(ctx context.Context) (bus.Conn, error) {
	for {
		q, err := l.quic.Accept(ctx)
		if err != nil {
			if l.closed.Load() {
				return nil, errClosed
			}
			if err == ctx.Err() {
				return nil, context.Cause(ctx)
			}
			l.transport.dropBroken(l.endpoint, err)
			return nil, translate(err)
		}
		l.endpoint.admission.accepted(q)
		if c, err := l.transport.track(q, l); err == nil {
			return c, nil
		}
	}
}

// Addr is the socket's address, with the port that was picked.
func (l *Listener) Addr() net.Addr { return l.quic.Addr() }

// Close stops accepting. Connections that nobody accepted yet are closed; accepted ones, and the
// socket for dialling, live on.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		l.closed.Store(true)
		l.quic.Close()
		// quic-go hands out what was waiting, and then an error.
		for {
			q, err := l.quic.Accept(context.Background())
			if err != nil {
				break
			}
			l.endpoint.admission.accepted(q)
			q.CloseWithError(quic.ApplicationErrorCode(bus.CloseNormal), "")
		}
		l.transport.mu.Lock()
		l.endpoint.listener = nil
		l.transport.mu.Unlock()
	})
	return nil
}
