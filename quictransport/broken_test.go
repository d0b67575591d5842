package quictransport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/certs"
)

var errBroken = errors.New("broken on purpose")

// breaking is a socket whose next read fails once it is broken, and no other.
type breaking struct {
	net.PacketConn
	broken, told atomic.Bool
}

func (b *breaking) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := b.PacketConn.ReadFrom(p)
	if b.broken.Load() && !b.told.Swap(true) {
		return 0, nil, errBroken
	}
	return n, from, err
}

func (b *breaking) SetReadBuffer(int) error  { return nil } // quic-go prints a warning otherwise
func (b *breaking) SetWriteBuffer(int) error { return nil }

func (b *breaking) snap() {
	b.broken.Store(true)
	b.PacketConn.SetReadDeadline(time.Now())
}

// sockets opens sockets that can break, for one transport.
type sockets struct{ opened []*breaking }

func (s *sockets) open(ctx context.Context, addr string) (net.PacketConn, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, &breaking{PacketConn: conn})
	return s.opened[len(s.opened)-1], nil
}

func newBreakingPair(t *testing.T) (*pair.Pair[*Transport], *sockets) {
	t.Helper()
	s := new(sockets)
	made := 0
	return pair.New(t, func(id *certs.Identity) *Transport {
		if made++; made == 1 { // the client
			return New(Config{Identity: id})
		}
		return New(Config{Identity: id, ListenPacket: s.open})
	}), s
}

// TestSocketBreaksUnderNode holds that a node says so when its listening socket fails, and can listen and dial afterwards.
func TestSocketBreaksUnderNode(t *testing.T) {
	ca := pair.NewCA(t, "test")
	other := pair.Listen(t, newTransport(t, Config{Identity: pair.Issue(t, ca)}), pair.Loopback)
	var s sockets
	transport := New(Config{Identity: pair.Issue(t, ca), ListenPacket: s.open})
	n, err := bus.New(bus.Config{Transports: []bus.Transport{transport}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx := pair.Context(t)
	happened := n.Lifecycle(ctx)
	addr, err := n.Listen(ctx, "quic://"+pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	s.opened[0].snap()
	var failed error
	for e := range happened {
		if e.Kind == bus.LifecycleListenFailed {
			failed = e.Err
			break
		}
	}
	if !errors.Is(failed, errBroken) || errors.Is(failed, net.ErrClosed) {
		t.Fatalf("the listener failed: %v, want %v and not net.ErrClosed", failed, errBroken)
	}
	if _, err := transport.Dial(ctx, other.Addr().String(), uuid.Nil); err != nil {
		t.Errorf("a dial afterwards: %v", err)
	}
	if _, err := n.Listen(ctx, "quic://"+addr.String()); err != nil {
		t.Errorf("listening on the address again: %v", err)
	}
}

// TestSocketBreaksWithoutListener holds that a socket that failed is not taken again, nor held against who had its connections.
func TestSocketBreaksWithoutListener(t *testing.T) {
	for _, next := range []string{"Dial", "Listen"} {
		p, s := newBreakingPair(t)
		if err := p.Listener.Close(); err != nil {
			t.Fatal(err)
		}
		s.opened[0].snap()
		if err := pair.Gone(t, p.Arrived); !errors.Is(err, errBroken) || errors.Is(err, net.ErrClosed) {
			t.Errorf("the connection ended with %v, want %v and not net.ErrClosed", err, errBroken)
		}
		if next == "Dial" {
			l := pair.Listen(t, p.Client, pair.Loopback)
			pair.Connect(t, p.Server, l)
		} else {
			again := pair.Listen(t, p.Server, p.Listener.Addr().String())
			pair.Connect(t, p.Client, again)
		}
		if len(s.opened) != 2 || len(p.Server.endpoints) != 1 {
			t.Errorf("%d sockets were opened for %s, and %d are held, want 2 and 1", len(s.opened), next, len(p.Server.endpoints))
		}
	}
}

// TestSocketsBreakAtOnce holds that a socket opened for a dial is the last that is tried.
func TestSocketsBreakAtOnce(t *testing.T) {
	ca := pair.NewCA(t, "test")
	opened := 0
	client := newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: func(ctx context.Context, addr string) (net.PacketConn, error) {
		opened++
		conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
		b := &breaking{PacketConn: conn}
		b.snap()
		return b, err
	}})
	for range 2 {
		if _, err := client.Dial(pair.Context(t), "127.0.0.1:9", uuid.Nil); !errors.Is(err, errBroken) {
			t.Errorf("Dial: %v, want %v", err, errBroken)
		}
	}
	if opened != 2 || len(client.endpoints) != 0 {
		t.Errorf("%d sockets were opened by two dials, and %d are held", opened, len(client.endpoints))
	}
}
