package quictransport

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/quictransport/gro"
)

// island is a network namespace whose only link is a pair.Loopback that can be
// switched on and off.
type island struct {
	control int // any socket in the namespace
	open    func(addr string) (*net.UDPConn, error)
}

// newIsland needs root, and skips the test without.
func newIsland(t *testing.T) *island {
	t.Helper()
	type request struct {
		addr  string
		reply chan any
	}
	requests, ready, ended := make(chan request), make(chan any), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlock: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- err
			return
		}
		control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			ready <- err
			return
		}
		ready <- control
		for r := range requests {
			conn, err := net.ListenPacket("udp", r.addr)
			if err != nil {
				r.reply <- err
				continue
			}
			r.reply <- conn
		}
	}()
	switch result := (<-ready).(type) {
	case error:
		t.Skipf("no network namespace: %v", result)
		return nil
	default:
		n := &island{control: result.(int)}
		n.open = func(addr string) (*net.UDPConn, error) {
			r := request{addr, make(chan any)}
			requests <- r
			switch result := (<-r.reply).(type) {
			case error:
				return nil, result
			default:
				return result.(*net.UDPConn), nil
			}
		}
		t.Cleanup(func() {
			close(requests)
			<-ended
			unix.Close(n.control)
		})
		n.link(t, true)
		return n
	}
}

func (n *island) link(t *testing.T, up bool) {
	t.Helper()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	if up {
		request.SetUint16(unix.IFF_UP)
	} else {
		request.SetUint16(0)
	}
	if err := unix.IoctlIfreq(n.control, unix.SIOCSIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
}

// TestLinkFlap holds that a link that goes down and comes back cuts no connection.
func TestLinkFlap(t *testing.T) {
	for _, test := range []struct{ name, listen, dialFrom, host string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 from every address", ":0", ":0", "127.0.0.1"},
		{"IPv6 from every address", ":0", ":0", "::1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newIsland(t)
			ca := pair.NewCA(t, "test")
			p := &pair.Pair[*Transport]{Ctx: pair.Context(t)}
			open := func(addr string) func(context.Context, string) (net.PacketConn, error) {
				return func(context.Context, string) (net.PacketConn, error) {
					conn, err := n.open(addr)
					if err != nil {
						return nil, err
					}
					return newSocket(conn, gro.New), nil
				}
			}
			p.Client = newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: open(test.dialFrom)})
			p.Server = newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: open(test.listen)})
			p.Listener = pair.Listen(t, p.Server, test.listen)
			_, service, _ := net.SplitHostPort(p.Listener.Addr().String())
			var err error
			if p.Dialled, err = p.Client.Dial(p.Ctx, net.JoinHostPort(test.host, service), uuid.Nil); err != nil {
				t.Fatal(err)
			}
			if p.Arrived, err = p.Listener.Accept(p.Ctx); err != nil {
				t.Fatal(err)
			}
			opened, accepted := p.Streams(t)

			n.link(t, false)
			// Both sides send into the outage, and learn nothing of it.
			for _, s := range []interface{ Write([]byte) (int, error) }{opened, accepted} {
				if _, err := s.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			opened.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read during the outage: %v", err)
			}
			n.link(t, true)
			opened.SetReadDeadline(time.Now().Add(pair.Patience))
			accepted.SetReadDeadline(time.Now().Add(pair.Patience))
			if _, err := opened.Read(make([]byte, 1)); err != nil {
				t.Errorf("to the dialling side: %v", err)
			}
			if _, err := accepted.Read(make([]byte, 1)); err != nil {
				t.Errorf("to the listening side: %v", err)
			}
		})
	}
}

// TestSendFailuresAreSilent holds that both ways of sending report an outage as sent, and other failures as such.
func TestSendFailuresAreSilent(t *testing.T) {
	n := newIsland(t)
	conn, err := n.open(":0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSocket(conn, gro.New).(quic.OOBCapablePacketConn)
	target := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9} // there is no route off the island
	if _, err := conn.WriteTo([]byte("x"), target); err == nil {
		t.Fatal("sent where there is no route")
	}
	if n, err := s.WriteTo([]byte("x"), target); n != 1 || err != nil {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	if n, _, err := s.WriteMsgUDP([]byte("x"), nil, target); n != 1 || err != nil {
		t.Errorf("WriteMsgUDP: %d, %v", n, err)
	}
	s.Close()
	if _, err := s.WriteTo([]byte("x"), target); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo after Close: %v, want net.ErrClosed", err)
	}
	if _, _, err := s.WriteMsgUDP([]byte("x"), nil, target); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteMsgUDP after Close: %v, want net.ErrClosed", err)
	}
}
