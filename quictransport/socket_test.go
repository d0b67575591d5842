package quictransport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/quictransport/gro"
)

// TestOneSocket holds that a peer sees the listening port of the node that dials it.
func TestOneSocket(t *testing.T) {
	ca := pair.NewCA(t, "test")
	a, b := newTransport(t, Config{Identity: pair.Issue(t, ca)}), newTransport(t, Config{Identity: pair.Issue(t, ca)})
	la, lb := pair.Listen(t, a, pair.Loopback), pair.Listen(t, b, pair.Loopback)
	_, arrived := pair.Connect(t, a, lb)
	if port(arrived.RemoteAddr()) != port(la.Addr()) {
		t.Errorf("dialled from %s, want the listening port of %s", arrived.RemoteAddr(), la.Addr())
	}
	pair.Connect(t, b, la) // and the reverse, on the same two sockets
	if len(a.endpoints) != 1 || len(b.endpoints) != 1 {
		t.Errorf("%d and %d sockets, want one each", len(a.endpoints), len(b.endpoints))
	}
}

// TestDialThenListen holds that Listen takes over the socket of earlier dials.
func TestDialThenListen(t *testing.T) {
	p := newPair(t)
	pair.Connect(t, p.Client, p.Listener)
	if len(p.Client.endpoints) != 1 {
		t.Errorf("%d sockets after two dials, want one", len(p.Client.endpoints))
	}
	l := pair.Listen(t, p.Client, ":0")
	if port(l.Addr()) != port(p.Dialled.LocalAddr()) || len(p.Client.endpoints) != 1 {
		t.Errorf("listens on %s beside the dial socket %s", l.Addr(), p.Dialled.LocalAddr())
	}
}

func TestListenerCloseSparesTheRest(t *testing.T) {
	p := newPair(t)
	waiting, err := p.Client.Dial(p.Ctx, p.Listener.Addr().String(), uuid.Nil) // never accepted
	if err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error, 1)
	if err := p.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := p.Listener.Accept(p.Ctx); blocked <- err }()
	if err := <-blocked; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
	pair.Gone(t, waiting)
	p.Streams(t) // the accepted one goes on

	// The same address can be listened on again, and dials still leave from it.
	again := pair.Listen(t, p.Server, p.Listener.Addr().String())
	pair.Connect(t, p.Client, again)
	lc := pair.Listen(t, p.Client, pair.Loopback)
	_, arrived := pair.Connect(t, p.Server, lc)
	if port(arrived.RemoteAddr()) != port(again.Addr()) {
		t.Errorf("dialled from %s, want %s", arrived.RemoteAddr(), again.Addr())
	}
}

func TestReaches(t *testing.T) {
	ip := netip.MustParseAddr
	for _, test := range []struct {
		local, remote, source string
		want                  bool
	}{
		{"::", "192.0.2.1", "10.0.0.5", true},
		{"::", "2001:db8::1", "2001:db8::5", true},
		{"0.0.0.0", "192.0.2.1", "10.0.0.5", true},
		{"0.0.0.0", "2001:db8::1", "2001:db8::5", false},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.2", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "192.0.2.1", "10.0.0.5", false},
		{"127.0.0.1", "10.0.0.5", "10.0.0.5", false}, // our own address on the network
		{"127.0.0.1", "::1", "::1", false},
		{"10.0.0.5", "192.0.2.1", "10.0.0.5", true},
		{"10.0.0.5", "10.0.1.1", "10.0.1.5", false}, // by another interface
		{"10.0.0.5", "127.0.0.1", "127.0.0.1", false},
	} {
		if got := reaches(ip(test.local), ip(test.remote), ip(test.source)); got != test.want {
			t.Errorf("from %s to %s: %t, want %t", test.local, test.remote, got, test.want)
		}
	}
}

// TestConnectionIDs looks at those that a first packet names (RFC 8999 section 5.1).
func TestConnectionIDs(t *testing.T) {
	silent, err := net.ListenPacket("udp", pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := newTransport(t, Config{Identity: pair.Issue(t, pair.NewCA(t, "test"))})
	ctx, cancel := context.WithCancel(pair.Context(t))
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		client.Dial(ctx, silent.LocalAddr().String(), uuid.Nil)
	}()
	packet := make([]byte, 2000)
	silent.SetReadDeadline(time.Now().Add(pair.Patience))
	if _, _, err := silent.ReadFrom(packet); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-dialled
	theirs := int(packet[5])
	if ours := packet[6+theirs]; ours != connectionIDLength {
		t.Errorf("connection ids have %d bytes, want %d", ours, connectionIDLength)
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct{ have, want []string }{
		{nil, nil},
		{[]string{"192.0.2.1"}, []string{"192.0.2.1"}},
		{[]string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5", "192.0.2.1"},
			[]string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"}},
		{[]string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2", "192.0.2.3"},
			[]string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"}},
		{[]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"},
			[]string{"192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"}},
		{[]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"},
			[]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}},
		{[]string{"::ffff:192.0.2.1", "2001:db8::1"}, []string{"192.0.2.1", "2001:db8::1"}}, // as resolvers may have it
	} {
		var have []netip.Addr
		for _, ip := range test.have {
			have = append(have, netip.MustParseAddr(ip))
		}
		var got []string
		for _, ip := range choose(have) {
			got = append(got, ip.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("of %v: %v, want %v", test.have, got, test.want)
		}
	}
}

// TestHostWithSeveralAddresses dials localhost, of which only one address listens.
func TestHostWithSeveralAddresses(t *testing.T) {
	p := newPair(t)
	_, service, _ := net.SplitHostPort(p.Listener.Addr().String())
	c, err := p.Client.Dial(p.Ctx, "localhost:"+service, p.Server.ID())
	if err != nil {
		t.Fatal(err)
	}
	if c.Peer() != p.Server.ID() {
		t.Errorf("peer %s", c.Peer())
	}
	// The race itself, whatever localhost resolves to here: the first address is silent.
	silent, err := net.ListenPacket("udp", pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	remotes := []netip.AddrPort{netip.MustParseAddrPort(silent.LocalAddr().String()), netip.MustParseAddrPort(p.Listener.Addr().String())}
	started := time.Now()
	c, err = p.Client.race(p.Ctx, remotes, p.Client.config.Identity.ClientTLS(uuid.Nil, alpn))
	if err != nil {
		t.Fatal(err)
	}
	if c.Peer() != p.Server.ID() || time.Since(started) > handshakeTimeout/2 {
		t.Errorf("peer %s after %s", c.Peer(), time.Since(started))
	}
	// A refusal is preferred to silence.
	ctx, cancel := context.WithTimeout(p.Ctx, time.Second)
	defer cancel()
	_, err = p.Client.race(ctx, remotes, p.Client.config.Identity.ClientTLS(uuid.New(), alpn))
	pair.WantPeerError(t, err, bus.CloseWrongID, false)
}

func TestDialErrors(t *testing.T) {
	p := newPair(t)
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:http"} {
		if c, err := p.Client.Dial(p.Ctx, addr, uuid.Nil); err == nil {
			t.Errorf("dialled %q: %s", addr, c.RemoteAddr())
		}
	}
	ctx, giveUp := context.WithCancelCause(p.Ctx)
	cause := errors.New("given up")
	giveUp(cause)
	if _, err := p.Client.Dial(ctx, "name.invalid:1", uuid.Nil); !errors.Is(err, cause) {
		t.Errorf("looking up a name under a context that has ended: %v, want its cause", err)
	}
}

func TestSocketKeepsOffloads(t *testing.T) {
	p := newPair(t)
	for _, e := range append(p.Client.endpoints, p.Server.endpoints...) {
		if _, ok := e.socket.(quic.OOBCapablePacketConn); !ok {
			t.Errorf("%T hides the socket's offloads from quic-go", e.socket)
		}
		if _, ok := e.socket.(net.Conn); !ok {
			t.Errorf("%T hides batched reads from quic-go", e.socket)
		}
		if _, ok := e.socket.(*offloadSocket); ok != offers(t) {
			t.Errorf("receives through %T; the system has receive offload: %t", e.socket, !ok)
		}
	}
}

// offers reports whether the system has receive offload.
func offers(t *testing.T) bool {
	conn, err := net.ListenPacket("udp", pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = gro.New(conn.(*net.UDPConn))
	return err == nil
}

func TestTransportClose(t *testing.T) {
	p := newPair(t)
	waiting, err := p.Client.Dial(p.Ctx, p.Listener.Addr().String(), uuid.Nil) // never accepted
	if err != nil {
		t.Fatal(err)
	}
	// More than may be under way before the other side is done with its handshake.
	s, err := waiting.OpenStream(p.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 256<<10)); err != nil {
		t.Fatal(err)
	}
	if err := p.Server.Close(); err != nil {
		t.Fatal(err)
	}
	pair.WantPeerError(t, pair.Gone(t, waiting), bus.CloseNormal, true)
	pair.WantPeerError(t, pair.Gone(t, p.Dialled), bus.CloseNormal, true)
	pair.WantPeerError(t, pair.Gone(t, p.Arrived), bus.CloseNormal, false)
	if _, err := p.Listener.Accept(p.Ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
	if _, err := p.Server.Dial(p.Ctx, "127.0.0.1:1", uuid.Nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v, want net.ErrClosed", err)
	}
	if _, err := p.Server.Listen(p.Ctx, pair.Loopback); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen: %v, want net.ErrClosed", err)
	}
	if err := p.Server.Close(); err != nil {
		t.Error(err)
	}
	// The address is free.
	socket, err := net.ListenPacket("udp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
}
