package pair

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

const (
	// Loopback is the address that tests listen on.
	Loopback = "127.0.0.1:0"
	// Patience ends a test that hangs.
	Patience = 20 * time.Second
)

// Pair is two nodes of one CA and a connection between them. The test closes them.
type Pair[T bus.Transport] struct {
	Ctx              context.Context // ends after Patience
	Client, Server   T
	Listener         bus.Listener // of Server
	Dialled, Arrived bus.Conn
}

// New makes the transports of a pair, and connects them.
func New[T bus.Transport](t testing.TB, transport func(*certs.Identity) T) *Pair[T] {
	t.Helper()
	ca := NewCA(t, "test")
	p := &Pair[T]{Ctx: Context(t)}
	p.Client = Closing(t, transport(Issue(t, ca)))
	p.Server = Closing(t, transport(Issue(t, ca)))
	p.Listener = Listen(t, p.Server, Loopback)
	p.Dialled, p.Arrived = Connect(t, p.Client, p.Listener)
	return p
}

// Streams opens a stream and returns both ends. One byte makes it known to the peer.
func (p *Pair[T]) Streams(t testing.TB) (opened, accepted bus.Stream) {
	t.Helper()
	opened, err := p.Dialled.OpenStream(p.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	accepted, err = p.Arrived.AcceptStream(p.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	return opened, accepted
}

// Context ends after Patience, or with the test.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Closing has a transport closed with the test, without an error.
func Closing[T bus.Transport](t testing.TB, transport T) T {
	t.Helper()
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport
}

// Listen listens on an address.
func Listen(t testing.TB, transport bus.Transport, addr string) bus.Listener {
	t.Helper()
	l, err := transport.Listen(Context(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Connect dials a listener and has it accept.
func Connect(t testing.TB, client bus.Transport, l bus.Listener) (dialled, arrived bus.Conn) {
	t.Helper()
	ctx := Context(t)
	dialled, err := client.Dial(ctx, l.Addr().String(), uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	arrived, err = l.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return dialled, arrived
}
