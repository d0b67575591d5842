package quictransport

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

func TestSuite(t *testing.T) {
	ca := pair.NewCA(t, "test")
	bustest.RunTransportSuite(t, bustest.Factory{
		New:    func(t testing.TB) bus.Transport { return New(Config{Identity: pair.Issue(t, ca)}) },
		Listen: pair.Loopback,
		Freezing: func(t testing.TB) (tr bus.Transport, freeze, thaw func()) {
			var ice atomic.Bool
			tr = New(Config{
				Identity: pair.Issue(t, ca),
				ListenPacket: func(ctx context.Context, addr string) (net.PacketConn, error) {
					socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
					return &freezing{socket, &ice}, err
				},
			})
			return tr, func() { ice.Store(true) }, func() { ice.Store(false) }
		},
		Stranger: func(t testing.TB) bus.Transport { return New(Config{Identity: pair.Stranger(t, ca)}) },
	})
}

// freezing is a socket that hears and sends nothing while it is frozen.
type freezing struct {
	net.PacketConn
	ice *atomic.Bool
}

func (f *freezing) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := f.PacketConn.ReadFrom(p)
		if err != nil || !f.ice.Load() {
			return n, from, err
		}
	}
}

func (f *freezing) WriteTo(p []byte, to net.Addr) (int, error) {
	if f.ice.Load() {
		return len(p), nil
	}
	return f.PacketConn.WriteTo(p, to)
}

func (f *freezing) SetReadBuffer(int) error  { return nil } // quic-go prints a warning otherwise
func (f *freezing) SetWriteBuffer(int) error { return nil }

// TestTimeoutOfNothing holds that a timeout which would end every connection is ignored.
func TestTimeoutOfNothing(t *testing.T) {
	tr := newTransport(t, Config{})
	for _, test := range []struct{ set, want time.Duration }{{0, defaultTimeout}, {-1, defaultTimeout}, {time.Second, time.Second}} {
		tr.SetTimeout(test.set)
		if got := tr.quicConfig().MaxIdleTimeout; got != test.want {
			t.Errorf("after %s the timeout is %s, want %s", test.set, got, test.want)
		}
	}
}
