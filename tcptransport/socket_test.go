package tcptransport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// failing is a listening socket whose Accept fails some times.
type failing struct {
	net.Listener
	err   error
	times atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times.Add(-1) >= 0 {
		return nil, f.err
	}
	return f.Listener.Accept()
}

// TestOwnSockets holds that a transport uses the sockets it is given, that it waits when the system has no file descriptors,
// and that it reports a socket that is broken.
func TestOwnSockets(t *testing.T) {
	ca := pair.NewCA(t, "test")
	var target string
	sockets := []*failing{
		{err: &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}},
		{err: errors.New("broken")},
	}
	sockets[0].times.Store(2)
	sockets[1].times.Store(1)
	listens, dials := 0, 0
	tr := newTransport(t, Config{
		Identity: pair.Issue(t, ca),
		Listen: func(ctx context.Context, addr string) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
			sockets[listens].Listener = l
			listens++
			return sockets[listens-1], err
		},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			dials++
			if addr != "elsewhere:1" {
				t.Errorf("dial %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", target)
		},
	})
	l := pair.Listen(t, tr, pair.Loopback)
	target = l.Addr().String()
	if _, err := tr.Dial(pair.Context(t), "elsewhere:1", uuid.Nil); err != nil || dials != 1 {
		t.Fatalf("%d dials, %v", dials, err)
	}
	c, err := l.Accept(pair.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.Peer() != tr.ID() {
		t.Errorf("peer %s", c.Peer())
	}

	l = pair.Listen(t, tr, pair.Loopback)
	if _, err := l.Accept(pair.Context(t)); !errors.Is(err, sockets[1].err) {
		t.Errorf("accept: %v, want %v", err, sockets[1].err)
	}
}
