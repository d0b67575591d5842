package bustest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

const scheme = "mem"

var errClosed = fmt.Errorf("bustest: closed: %w", net.ErrClosed)

// transport is one run of a node in a Network.
type transport struct {
	network *Network
	name    string
	id      uuid.UUID
	gone    chan struct{} // closed by Close

	mu        sync.Mutex
	closed    bool
	ends      map[*conn]struct{}
	listeners map[*listener]struct{}
}

var _ bus.Transport = (*transport)(nil)

// Scheme is "mem".
func (t *transport) Scheme() string { return scheme }

// ID follows from the name.
func (t *transport) ID() uuid.UUID { return t.id }

// Dial takes a round trip.
func (t *transport) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	to, err := parseAddress(addr)
	if err != nil {
		return nil, err
	}
	l := t.network.link(t.name, to.name)
	if err := t.travel(ctx, l, l.from(t.name)); err != nil {
		return nil, err
	}
	c, err := t.reach(l, to, want)
	if back := t.travel(ctx, l, l.from(to.name)); back != nil {
		err = back
	} else if c != nil && c.ctx.Err() != nil {
		err = context.Cause(c.ctx)
	}
	if err != nil {
		if c != nil {
			c.CloseWithCode(bus.CloseNormal, "the dial was given up")
		}
		return nil, err
	}
	return c, nil
}

// travel waits for as long as one direction takes.
func (t *transport) travel(ctx context.Context, l *link, w *way) error {
	at := l.due(w, time.Now(), nil)
	for {
		changed := l.watch()
		ok, again := l.arrived(w, at, time.Now())
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case t.isClosed():
			return errClosed
		case l.isCut():
			return errUnreachable
		case ok:
			return nil
		}
		sleep(again, changed, t.gone, ctx.Done(), nil)
	}
}

// reach makes the connection, if somebody listens whose id is wanted.
func (t *transport) reach(l *link, to address, want uuid.UUID) (*conn, error) {
	t.network.mu.Lock()
	ln := t.network.listeners[to]
	t.network.mu.Unlock()
	if ln == nil {
		return nil, fmt.Errorf("bustest: nobody listens on %s", to)
	}
	peer := ln.transport
	if want != uuid.Nil && want != peer.id {
		return nil, &bus.PeerError{Code: bus.CloseWrongID, Peer: peer.id,
			Reason: fmt.Sprintf("%s answers at %s, %s was expected", peer.id, to, want)}
	}
	dialled, arrived := newWire(l, t, peer, ln.addr)
	switch {
	case !l.add(dialled.wire):
		return nil, errUnreachable
	case !t.take(dialled) || !peer.take(arrived) || !ln.offer(arrived):
		dialled.wire.sever(errClosed)
		return nil, fmt.Errorf("bustest: %s accepts no connection at the moment", to)
	}
	return dialled, nil
}

// take notes a connection for Close to end.
func (t *transport) take(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.ends[c] = struct{}{}
	}
	return !t.closed
}

func (t *transport) drop(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ends, c)
}

func (t *transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Listen listens on a port of the node; port 0 picks one.
func (t *transport) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	a, err := parseAddress(addr)
	if err != nil {
		return nil, err
	}
	if a.name == "" {
		a.name = t.name
	}
	if a.name != t.name {
		return nil, fmt.Errorf("bustest: listen on %s: %s can listen on %s:port only", addr, t.name, t.name)
	}
	ln := &listener{transport: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	if err := t.network.bind(a, ln); err != nil {
		return nil, err
	}
	t.listeners[ln] = struct{}{}
	return ln, nil
}

// bind gives an address to a listener, before anyone can find it there.
func (n *Network) bind(a address, ln *listener) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for picked := a.port == 0; ; {
		if picked {
			n.ports[a.name]++
			a.port = n.ports[a.name]
		}
		if n.listeners[a] == nil {
			ln.addr = a
			n.listeners[a] = ln
			return nil
		}
		if !picked {
			return fmt.Errorf("bustest: listen on %s: the address is in use", a)
		}
	}
}

// Close ends what is left with [bus.CloseNormal].
func (t *transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	close(t.gone)
	listeners, ends := slices.Collect(maps.Keys(t.listeners)), slices.Collect(maps.Keys(t.ends))
	t.mu.Unlock()
	for _, ln := range listeners {
		ln.Close()
	}
	for _, c := range ends {
		c.CloseWithCode(bus.CloseNormal, "")
	}
	return nil
}

func parseAddress(text string) (address, error) {
	name, service, err := net.SplitHostPort(text)
	if err != nil {
		return address{}, fmt.Errorf("bustest: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("bustest: %s: the port is not a number", text)
	}
	return address{name, int(port)}, nil
}

// listener is a transport's listener.
type listener struct {
	transport *transport
	addr      address

	mu      sync.Mutex
	closed  bool
	backlog []*conn
	changed notice
}

var _ bus.Listener = (*listener)(nil)

// offer queues a connection for Accept.
func (ln *listener) offer(c *conn) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed || len(ln.backlog) == maxBacklog {
		return false
	}
	ln.backlog = append(ln.backlog, c)
	ln.changed.tell()
	return true
}

// Accept skips connections that are gone already.
func (ln *listener) Accept(ctx context.Context) (bus.Conn, error) {
	for {
		ln.mu.Lock()
		if ln.closed {
			ln.mu.Unlock()
			return nil, errClosed
		}
		for len(ln.backlog) > 0 {
			c := ln.backlog[0]
			if ln.backlog = ln.backlog[1:]; c.ctx.Err() == nil {
				ln.mu.Unlock()
				return c, nil
			}
		}
		changed := ln.changed.watch()
		ln.mu.Unlock()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		sleep(time.Time{}, changed, ctx.Done(), nil, nil)
	}
}

// Addr is the node's name and the port.
func (ln *listener) Addr() net.Addr { return ln.addr }

// Close ends the connections that nobody accepted.
func (ln *listener) Close() error {
	ln.mu.Lock()
	if ln.closed {
		ln.mu.Unlock()
		return nil
	}
	ln.closed = true
	backlog := ln.backlog
	ln.backlog = nil
	ln.changed.tell()
	ln.mu.Unlock()

	n := ln.transport.network
	n.mu.Lock()
	delete(n.listeners, ln.addr)
	n.mu.Unlock()
	ln.transport.mu.Lock()
	delete(ln.transport.listeners, ln)
	ln.transport.mu.Unlock()
	var errs []error
	for _, c := range backlog {
		errs = append(errs, c.CloseWithCode(bus.CloseNormal, "the listener was closed"))
	}
	return errors.Join(errs...)
}
