package quictransport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/quictransport/gro"
)

// watched is an offloadSocket that counts what quic-go asks of it.
type watched struct {
	*offloadSocket
	packets, marked          atomic.Int64 // read, and those of them with ECN
	bursts, single, markings atomic.Int64 // written: with segmentation, without, and with ECN
}

func (w *watched) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	n, err := w.offloadSocket.ReadBatch(ms, flags)
	for _, m := range ms[:n] {
		w.packets.Add(1)
		if says(m.OOB[:m.NN], unix.IPPROTO_IP, unix.IP_TOS) || says(m.OOB[:m.NN], unix.IPPROTO_IPV6, unix.IPV6_TCLASS) {
			w.marked.Add(1)
		}
	}
	return n, err
}

func (w *watched) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if says(oob, unix.SOL_UDP, unix.UDP_SEGMENT) {
		w.bursts.Add(1)
	} else {
		w.single.Add(1)
	}
	if says(oob, unix.IPPROTO_IP, unix.IP_TOS) || says(oob, unix.IPPROTO_IPV6, unix.IPV6_TCLASS) {
		w.markings.Add(1)
	}
	return w.offloadSocket.WriteMsgUDP(b, oob, to)
}

// says reports whether one of the control messages is of this type.
func says(oob []byte, level, typ int32) bool {
	messages, _ := unix.ParseSocketControlMessage(oob)
	return slices.ContainsFunc(messages, func(m unix.SocketControlMessage) bool {
		return m.Header.Level == level && m.Header.Type == typ
	})
}

// TestOffloadsAreUsed holds that quic-go sends bursts, receives them through the reader, and has ECN on, on sockets of any kind.
func TestOffloadsAreUsed(t *testing.T) {
	for _, test := range []struct{ name, listen, host string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1"},
		{"IPv4 to every address", ":0", "127.0.0.1"},
		{"IPv6 to every address", ":0", "::1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ca := pair.NewCA(t, "test")
			var client, server *watched
			p := &pair.Pair[*Transport]{Ctx: pair.Context(t)}
			p.Client = newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: watching(&client)})
			p.Server = newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: watching(&server)})
			connect(t, p, test.listen, test.host)
			transfer(t, p, 4<<20)
			if client.bursts.Load() == 0 {
				t.Errorf("%d packets were sent one by one and no burst", client.single.Load())
			}
			if client.markings.Load() == 0 || server.marked.Load() < server.packets.Load() {
				t.Errorf("ECN in %d packets sent, and in %d of %d received", client.markings.Load(), server.marked.Load(), server.packets.Load())
			}
			if server.packets.Load() == 0 {
				t.Error("quic-go reads past the reader")
			}
		})
	}
}

// watching opens sockets with receive offload, and tells of the last one.
func watching(last **watched) func(context.Context, string) (net.PacketConn, error) {
	return func(ctx context.Context, addr string) (net.PacketConn, error) {
		conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
		if err != nil {
			return nil, err
		}
		reader, err := gro.New(conn.(*net.UDPConn))
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		*last = &watched{offloadSocket: &offloadSocket{&udpSocket{conn.(*net.UDPConn)}, reader}}
		return *last, nil
	}
}

// connect listens with the server and dials it by host.
func connect(t *testing.T, p *pair.Pair[*Transport], listen, host string) {
	t.Helper()
	l, err := p.Server.Listen(p.Ctx, listen)
	if err != nil {
		t.Skip(err) // no IPv6, or no offload
	}
	p.Listener = l
	_, service, _ := net.SplitHostPort(l.Addr().String())
	if p.Dialled, err = p.Client.Dial(p.Ctx, net.JoinHostPort(host, service), uuid.Nil); err != nil {
		t.Fatal(err)
	}
	if p.Arrived, err = l.Accept(p.Ctx); err != nil {
		t.Fatal(err)
	}
}

// transfer sends n bytes from the client to the server and compares them.
func transfer(t *testing.T, p *pair.Pair[*Transport], n int) {
	t.Helper()
	sent := make([]byte, n)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	opened, accepted := p.Streams(t)
	wrote := make(chan error, 1)
	go func() {
		_, err := opened.Write(sent)
		wrote <- errors.Join(err, opened.CloseWrite())
	}()
	got, err := io.ReadAll(accepted)
	if err := errors.Join(err, <-wrote); err != nil || !bytes.HasSuffix(got, sent) {
		t.Errorf("%d bytes arrived of %d: %v", len(got), n, err)
	}
}

// TestWithoutReceiveOffload holds that a system without it has the socket it would have had.
func TestWithoutReceiveOffload(t *testing.T) {
	ca := pair.NewCA(t, "test")
	plain := func(ctx context.Context, addr string) (net.PacketConn, error) {
		conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
		if err != nil {
			return nil, err
		}
		return newSocket(conn.(*net.UDPConn), func(*net.UDPConn) (*gro.Reader, error) { return nil, errors.ErrUnsupported }), nil
	}
	p := &pair.Pair[*Transport]{Ctx: pair.Context(t)}
	p.Client = newTransport(t, Config{Identity: pair.Issue(t, ca), ListenPacket: plain})
	p.Server = newTransport(t, Config{Identity: pair.Issue(t, ca)}) // what comes from one who has none
	connect(t, p, pair.Loopback, "127.0.0.1")
	transfer(t, p, 1<<20)
	if s, ok := p.Client.endpoints[0].socket.(*udpSocket); !ok {
		t.Errorf("the socket is a %T", s)
	}
}
