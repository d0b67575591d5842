package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bus/bustest/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second
	silence  = 50 * time.Millisecond // in which what must not arrive would
)

// line is a connection over a proxy.
type line struct {
	t      *testing.T
	p      *proxy.TCP
	a, b   *net.TCPConn // who dialled, and the other end
	server net.Listener
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{t: t}
	var err error
	l.server, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.p, err = proxy.NewTCP(l.server.Addr().String())
	must(t, err)
	t.Cleanup(func() {
		l.server.Close()
		l.p.Close()
	})
	l.a, l.b = l.connect()
	return l
}

func (l *line) connect() (a, b *net.TCPConn) {
	l.t.Helper()
	near, err := net.Dial("tcp", l.p.Addr())
	must(l.t, err)
	far, err := l.server.Accept()
	must(l.t, err)
	l.t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	near.SetDeadline(time.Now().Add(patience))
	far.SetDeadline(time.Now().Add(patience))
	return near.(*net.TCPConn), far.(*net.TCPConn)
}

// strike has a fault happen after so many bytes of what a sends.
func (l *line) strike(f proxy.Fault, text string, after int) {
	l.t.Helper()
	struck := make(chan struct{})
	l.p.Strike(f, after, func() { close(struck) })
	write(l.t, l.a, text)
	<-struck
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, to net.Conn, text string) {
	t.Helper()
	_, err := to.Write([]byte(text))
	must(t, err)
}

func want(t *testing.T, from net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(from, got); string(got) != text {
		t.Fatalf("got %q, %v, want %q", got[:n], err, text)
	}
}

func wantError(t *testing.T, from net.Conn, want error) {
	t.Helper()
	if n, err := from.Read(make([]byte, 9)); n > 0 || !errors.Is(err, want) {
		t.Fatalf("got %d bytes and %v, want %v", n, err, want)
	}
}

// wantSilence has nothing arrive, and no end.
func wantSilence(t *testing.T, from net.Conn) {
	t.Helper()
	from.SetReadDeadline(time.Now().Add(silence))
	wantError(t, from, os.ErrDeadlineExceeded)
	from.SetReadDeadline(time.Now().Add(patience))
}

func TestTCPPasses(t *testing.T) {
	l := newLine(t)
	text := string(bytes.Repeat([]byte("0123456789"), 10_000))
	write(t, l.a, text)
	want(t, l.b, text)
	write(t, l.b, "back")
	want(t, l.a, "back")
	l.a.CloseWrite()
	wantError(t, l.b, io.EOF)
	write(t, l.b, "still")
	want(t, l.a, "still")
}

func TestTCPEnds(t *testing.T) {
	l := newLine(t)
	l.strike(proxy.End, "onetwo", 3)
	want(t, l.b, "one")
	wantError(t, l.b, io.EOF)
	wantError(t, l.a, io.EOF)
}

func TestTCPResets(t *testing.T) {
	l := newLine(t)
	l.strike(proxy.Reset, "onetwo", 0)
	wantError(t, l.b, syscall.ECONNRESET)
	wantError(t, l.a, syscall.ECONNRESET)
}

func TestTCPStalls(t *testing.T) {
	l := newLine(t)
	l.strike(proxy.Stall, "onetwo", 3)
	want(t, l.b, "one")
	write(t, l.b, "back")
	wantSilence(t, l.b)
	wantSilence(t, l.a)
	l.p.Mend()
	want(t, l.b, "two")
	want(t, l.a, "back")
}

func TestTCPHole(t *testing.T) {
	l := newLine(t)
	l.strike(proxy.Hole, "onetwo", 3)
	want(t, l.b, "one")
	write(t, l.b, "back")
	wantSilence(t, l.a)
	l.a.Close()
	wantSilence(t, l.b)
	l.p.Mend()
	wantSilence(t, l.b)
	a, b := l.connect()
	write(t, a, "new")
	want(t, b, "new")
}

// A hole swallows the connections that it did not strike at, too: nobody is left whom it did not reach.
func TestTCPHoleTakesAllConnections(t *testing.T) {
	l := newLine(t)
	a, b := l.connect()
	write(t, a, "before")
	want(t, b, "before")
	l.strike(proxy.Hole, "onetwo", 3)
	want(t, l.b, "one")
	write(t, a, "after")
	wantSilence(t, b)
}

func TestTCPHalfHole(t *testing.T) {
	l := newLine(t)
	l.strike(proxy.HalfHole, "onetwo", 3)
	want(t, l.b, "one")
	write(t, l.b, "back")
	want(t, l.a, "back")
	wantSilence(t, l.b)
	l.b.Close()
	wantError(t, l.a, io.EOF)
}

func TestTCPRedirects(t *testing.T) {
	l := newLine(t)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer other.Close()
	l.server.Close()
	if c, err := net.Dial("tcp", l.p.Addr()); err == nil { // unless it is reset at once
		defer c.Close()
		wantError(t, c, syscall.ECONNRESET)
	}
	l.p.Redirect(other.Addr().String())
	l.server = other
	a, b := l.connect()
	write(t, a, "new")
	want(t, b, "new")
	write(t, l.a, "old")
	want(t, l.b, "old")
}

func TestUDP(t *testing.T) {
	server, other := socket(t), socket(t)
	p, err := proxy.NewUDP(server.LocalAddr().String())
	must(t, err)
	defer p.Close()
	client, err := net.Dial("udp", p.Addr())
	must(t, err)
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))

	// exchange sends a packet there and an answer back, and returns where the packet seemed to come from.
	exchange := func(server *net.UDPConn) (from string) {
		t.Helper()
		write(t, client, "there")
		b := make([]byte, 9)
		n, addr, err := server.ReadFrom(b)
		if err != nil || string(b[:n]) != "there" {
			t.Fatalf("got %q, %v", b[:n], err)
		}
		_, err = server.WriteTo([]byte("back"), addr)
		must(t, err)
		want(t, client, "back")
		return addr.String()
	}
	strike := func(f proxy.Fault, text string) {
		t.Helper()
		struck := make(chan struct{})
		p.Strike(f, 1, func() { close(struck) })
		write(t, client, text)
		<-struck
	}
	from := exchange(server)
	if again := exchange(server); again != from {
		t.Errorf("from %s and %s without a fault", from, again)
	}

	strike(proxy.Rebind, "rebound")
	want(t, server, "rebound")
	if again := exchange(server); again == from {
		t.Errorf("still from %s", from)
	}

	strike(proxy.Stall, "late")
	wantSilence(t, server)
	p.Mend()
	want(t, server, "late")
	exchange(server)

	for _, f := range []proxy.Fault{proxy.Hole, proxy.HalfHole} {
		strike(f, "lost")
		wantSilence(t, server)
		p.Mend()
		exchange(server)
	}

	p.Redirect(other.LocalAddr().String())
	exchange(other)
	strike(proxy.Stall, "never") // closing does not wait for it
}

func socket(t *testing.T) *net.UDPConn {
	t.Helper()
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	s.SetDeadline(time.Now().Add(patience))
	return s
}
