package bustest

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// wire is one connection: what its two ends share. Its lock guards all of their streams, and is
// never held while something waits.
type wire struct {
	link   *link
	number uint64
	ends   [2]*conn

	mu      sync.Mutex
	streams uint64 // so far
}

// conn is one end of a connection.
type conn struct {
	wire          *wire
	transport     *transport
	twin          *conn
	out           *way // from here to the peer
	local, remote address
	ctx           context.Context
	cancel        context.CancelCauseFunc

	// Guarded by the wire's lock.
	ended    bool
	farewell *bus.PeerError // of the peer, on its way
	arrives  time.Time      // the farewell
	open     int            // streams opened here that are not over
	incoming []*stream      // opened by the peer, in order, perhaps on their way
	changed  notice
}

var _ bus.Conn = (*conn)(nil)

// newWire makes a connection between two transports.
func newWire(l *link, from, to *transport, addr address) (dialled, arrived *conn) {
	w := &wire{link: l}
	dialled = &conn{wire: w, transport: from, out: l.from(from.name), local: address{name: from.name}, remote: addr}
	arrived = &conn{wire: w, transport: to, out: l.from(to.name), local: addr, remote: dialled.local}
	dialled.twin, arrived.twin = arrived, dialled
	w.ends = [2]*conn{dialled, arrived}
	for _, c := range w.ends {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
	}
	return dialled, arrived
}

// sever ends both sides at once.
func (w *wire) sever(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		c.end(cause)
	}
}

// farewells ends the sides whose peer has closed, if the news has arrived.
func (w *wire) farewells() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		if c.farewell == nil || c.ended {
			continue
		}
		ok, again := w.link.arrived(c.twin.out, c.arrives, time.Now())
		switch {
		case ok:
			c.end(c.farewell)
		case !again.IsZero():
			time.AfterFunc(time.Until(again), w.farewells) // otherwise Resume looks
		}
	}
}

// end makes this side's calls fail. The wire's lock is held.
func (c *conn) end(cause error) {
	if c.ended {
		return
	}
	c.ended = true
	c.cancel(cause)
	c.transport.drop(c)
	if c.twin.ended {
		c.wire.link.remove(c.wire)
	}
}

// OpenStream waits while 128 streams are open.
func (c *conn) OpenStream(ctx context.Context) (bus.Stream, error) {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case c.ended:
			return nil, context.Cause(c.ctx)
		case c.open < maxStreams:
			c.open++
			return c.newStream(), nil
		}
		c.sleep(time.Time{}, &c.changed, nil, ctx.Done())
	}
}

// newStream makes both ends of a stream. The wire's lock is held.
func (c *conn) newStream() *stream {
	w := c.wire
	w.streams++
	opened, accepted := &stream{conn: c, opener: c}, &stream{conn: c.twin, opener: c}
	opened.twin, accepted.twin = accepted, opened
	for i, s := range []*stream{opened, accepted} {
		s.out = &pipe{random: rand.New(rand.NewPCG(w.link.seed, w.number<<32|w.streams<<1|uint64(i)))}
		s.twin.in = s.out
	}
	return opened
}

// AcceptStream returns streams in the order in which they were opened, as far as they have arrived.
func (c *conn) AcceptStream(ctx context.Context) (bus.Stream, error) {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		changed := w.link.watch()
		now, next := time.Now(), time.Time{}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if c.ended {
			return nil, context.Cause(c.ctx)
		}
		for i, s := range c.incoming {
			ok, again := w.link.arrived(c.twin.out, s.in.first, now)
			if ok {
				c.incoming = append(c.incoming[:i:i], c.incoming[i+1:]...)
				return s, nil
			}
			next = sooner(next, again)
		}
		c.sleep(next, &c.changed, changed, ctx.Done())
	}
}

// sleep waits, without the wire's lock, for a time, a notice, a change of the link, or the end of the
// connection or a context.
func (c *conn) sleep(until time.Time, n *notice, link, done <-chan struct{}) {
	told := n.watch()
	c.wire.mu.Unlock()
	defer c.wire.mu.Lock()
	sleep(until, told, link, c.ctx.Done(), done)
}

// Peer is the id of the node at the other end.
func (c *conn) Peer() uuid.UUID { return c.twin.transport.id }

// LocalAddr is the listener's address, or the name of the node that dialled.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the peer's LocalAddr.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Context is done when this end is gone.
func (c *conn) Context() context.Context { return c.ctx }

// CloseWithCode ends this end at once; the peer learns of it when the news has arrived.
func (c *conn) CloseWithCode(code bus.CloseCode, reason string) error {
	w := c.wire
	w.mu.Lock()
	if c.ended {
		w.mu.Unlock()
		return nil
	}
	c.end(&bus.PeerError{Code: code, Peer: c.Peer(), Reason: reason, Err: net.ErrClosed})
	c.twin.farewell = &bus.PeerError{Code: code, Peer: c.transport.id, Remote: true, Reason: reason}
	c.twin.arrives = w.link.due(c.out, time.Now(), nil)
	w.mu.Unlock()
	w.farewells()
	return nil
}
