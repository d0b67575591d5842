package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// cutter is a dialling transport whose connections can be cut. An armed cutter waits for the
// next write of an event, lets half of it through, and ends the connection: an event is in flight at
// every cut.
type cutter struct {
	bus.Transport
	onCut func(closed time.Duration)

	mu          sync.Mutex
	dialled     *cutConn
	live        *cutConn      // dialled, once it carries events
	ready       chan struct{} // closed while live and not armed
	armed       time.Duration // of the cut to come: how long it closes the link
	closedUntil time.Time
	cutAt       time.Time // of a cut that was not resumed from yet
	cuts        int
	reconnects  int
	slowest     time.Duration
}

func newCutter(t bus.Transport, onCut func(closed time.Duration)) *cutter {
	return &cutter{Transport: t, onCut: onCut, ready: make(chan struct{})}
}

// bulk is the size from which a write is one of events rather than of control.
const bulk = 200

var errClosed = errors.New("demo: the link is cut")

// awaitReady waits until the link carries events and was cut as often as it was armed.
func (c *cutter) awaitReady(ctx context.Context) error {
	c.mu.Lock()
	ready := c.ready
	c.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// arm has the next write of an event cut off. It is called after awaitReady.
func (c *cutter) arm(closed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = closed
	c.ready = make(chan struct{})
}

// SetTimeout implements bus.TimeoutSetter.
func (c *cutter) SetTimeout(d time.Duration) {
	if t, ok := c.Transport.(bus.TimeoutSetter); ok {
		t.SetTimeout(d)
	}
}

// Dial refuses while the link is cut.
func (c *cutter) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	if c.isClosed() {
		return nil, errClosed
	}
	conn, err := c.Transport.Dial(ctx, addr, want)
	if err != nil {
		return nil, err
	}
	cut := &cutConn{Conn: conn, cutter: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled = cut
	return cut, nil
}

func (c *cutter) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.closedUntil)
}

// take says whether a write of size n on conn is to be cut off, which it then is for
// every connection to come until the link opens again.
func (c *cutter) take(conn *cutConn, n int) bool {
	c.mu.Lock()
	if n < bulk || conn != c.live || c.armed == 0 {
		c.mu.Unlock()
		return false
	}
	closed := c.armed
	c.armed, c.live = 0, nil
	c.cuts++
	c.cutAt = time.Now()
	c.closedUntil = c.cutAt.Add(closed)
	c.mu.Unlock()
	if c.onCut != nil {
		c.onCut(closed)
	}
	return true
}

// isUp notes that the connection dialled last carries events, and returns how long after a cut that
// is; ok is false if there was none.
func (c *cutter) isUp() (took time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		close(c.ready)
	}
	c.live = c.dialled
	if c.cutAt.IsZero() {
		return 0, false
	}
	took = time.Since(c.cutAt)
	c.cutAt = time.Time{}
	c.reconnects++
	c.slowest = max(c.slowest, took)
	return took, true
}

// addTo adds what happened to the link.
func (c *cutter) addTo(s *Side) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Cuts += c.cuts
	s.Reconnects += c.reconnects
	s.Slowest = max(s.Slowest, c.slowest)
}

// cutConn is a connection that may be cut.
type cutConn struct {
	bus.Conn
	cutter *cutter
}

func (c *cutConn) OpenStream(ctx context.Context) (bus.Stream, error) {
	s, err := c.Conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	return &cutStream{s, c}, nil
}

type cutStream struct {
	bus.Stream
	conn *cutConn
}

// SetPriority implements bus.Prioritizer.
func (s *cutStream) SetPriority(urgency uint8) {
	if p, ok := s.Stream.(bus.Prioritizer); ok {
		p.SetPriority(urgency)
	}
}

func (s *cutStream) Write(p []byte) (int, error) {
	if !s.conn.cutter.take(s.conn, len(p)) {
		return s.Stream.Write(p)
	}
	n, _ := s.Stream.Write(p[:len(p)/2])
	s.conn.CloseWithCode(bus.CloseInternal, "cut")
	return n, errClosed
}
