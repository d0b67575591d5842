package bus_test

import (
	"context"
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
