package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// tried is a transport whose dialled connections count what is written without waiting, or refuse it.
type tried struct {
	bus.Transport
	refuse bool
	late   time.Duration // by how much the fifth write is
	taken  int           // writes; of one emitter in virtual time
}

func (t *tried) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	c, err := t.Transport.Dial(ctx, addr, want)
	if err != nil {
		return nil, err
	}
	return &triedConn{c, t}, nil
}

type triedConn struct {
	bus.Conn
	t *tried
}

func (c *triedConn) OpenStream(ctx context.Context) (bus.Stream, error) {
	s, err := c.Conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	return &triedStream{s, c.t}, nil
}

type triedStream struct {
	bus.Stream
	t *tried
}

func (s *triedStream) TryWrite(p []byte) (bool, error) {
	if s.t.refuse {
		return false, nil
	}
	if s.t.taken++; s.t.taken == 5 {
		time.Sleep(s.t.late)
	}
	return s.Stream.(bus.TryWriter).TryWrite(p)
}

// TestEmitterSends holds that an event after a pause is sent by who emits it, also after one that took long, that one in a hurry is not, and that what a
// stream does not take at once is sent all the same.
func TestEmitterSends(t *testing.T) {
	for _, test := range []struct {
		name        string
		refuse      bool
		late, pause time.Duration
		least, most int
	}{
		{"after pauses", false, 0, 10 * time.Millisecond, 20, 20},
		{"after one that took long", false, 50 * time.Millisecond, 10 * time.Millisecond, 20, 20},
		{"in a hurry", false, 0, 0, 0, 1},
		{"with a stream that takes nothing", true, 0, 10 * time.Millisecond, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := bustest.NewNetwork(1)
				stream := &tried{refuse: test.refuse, late: test.late}
				a := network.Node(t, "a", func(c *bus.Config) {
					stream.Transport = c.Transports[0]
					c.Transports[0] = stream
				})
				b := network.Node(t, "b")
				var got []byte
				_, err := b.On("x", func(_ context.Context, e bus.Event) { got = append(got, e.Payload...) })
				must(t, err)
				network.Connect(t, "a", "b")
				must(t, a.WaitInterest(t.Context(), "x"))
				must(t, a.EmitBytes(t.Context(), "x", nil)) // opens the stream
				synctest.Wait()
				for i := range byte(20) {
					time.Sleep(test.pause)
					must(t, a.EmitBytes(t.Context(), "x", []byte{i}))
				}
				must(t, a.Drain(t.Context()))
				for i, seq := range got {
					if len(got) != 20 || int(seq) != i {
						t.Fatalf("got %d", got)
					}
				}
				if stream.taken < test.least || stream.taken > test.most {
					t.Errorf("%d events were sent by their emitter, want %d to %d", stream.taken, test.least, test.most)
				}
			})
		})
	}
}

// held is a transport that has the second stream of its first connection opened late, the first is the control stream, and keeps the
// first connection that it accepts.
type held struct {
	bus.Transport
	dialled  *heldConn
	accepted bus.Conn
}

type heldConn struct {
	bus.Conn
	opened  int
	waits   chan struct{} // closed when the second stream is asked for
	release chan struct{}
}

type heldListener struct {
	bus.Listener
	h *held
}

func (h *held) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	c, err := h.Transport.Dial(ctx, addr, want)
	if err != nil || h.dialled != nil {
		return c, err
	}
	h.dialled = &heldConn{Conn: c, waits: make(chan struct{}), release: make(chan struct{})}
	return h.dialled, nil
}

func (c *heldConn) OpenStream(ctx context.Context) (bus.Stream, error) {
	if c.opened++; c.opened == 2 {
		close(c.waits)
		<-c.release
	}
	return c.Conn.OpenStream(ctx)
}

func (h *held) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	l, err := h.Transport.Listen(ctx, addr)
	return &heldListener{l, h}, err
}

func (l *heldListener) Accept(ctx context.Context) (bus.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err == nil && l.h.accepted == nil {
		l.h.accepted = c
	}
	return c, err
}

// TestLeavesAStreamThatCarriedNothing has another path take over between a sender's start and its first look. The path with the
// stream is left in order.
func TestLeavesAStreamThatCarriedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Only the smaller one closes a path that another took over from, once it has heard more on that.
		const small, large = "00000000-0000-4000-8000-000000000001", "ffffffff-0000-4000-8000-000000000001"
		network := bustest.NewNetwork(1)
		link := network.Link(small, large)
		link.Delay(10 * time.Millisecond)
		var here, there held
		over := func(h *held) func(*bus.Config) {
			return func(c *bus.Config) {
				h.Transport = c.Transports[0]
				c.Transports[0] = h
			}
		}
		a, b := network.Node(t, small, over(&here)), network.Node(t, large, over(&there))
		_, err := b.On("x", func(context.Context, bus.Event) {})
		must(t, err)
		_, err = b.Listen(t.Context(), "mem://:2")
		must(t, err)
		network.Connect(t, small, large)
		must(t, a.WaitInterest(t.Context(), "x"))
		happened := a.Lifecycle(t.Context())
		must(t, a.EmitBytes(t.Context(), "x", nil))
		<-here.dialled.waits
		_, err = a.Connect("mem://" + large + ":2")
		must(t, err)
		for e := range happened {
			if e.Kind == bus.LifecyclePathUp {
				break
			}
		}
		link.Delay(time.Minute) // nothing more is heard
		link.OneWay().Delay(10 * time.Millisecond)
		close(here.dialled.release)
		synctest.Wait()
		must(t, a.Close())
		var end *bus.PeerError
		if cause := context.Cause(there.accepted.Context()); !errors.As(cause, &end) || end.Code != bus.CloseNormal || end.Remote {
			t.Errorf("the connection was closed as %v, want it read to its end", cause)
		}
	})
}
