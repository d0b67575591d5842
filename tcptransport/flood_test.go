package tcptransport

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// TestFlood holds that strangers on the port, with half-open handshakes and with
// garbage, neither take memory without bound nor disturb a running stream, and that a node can still connect.
func TestFlood(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.Streams(t)
	go io.Copy(accepted, accepted)
	echo := func() time.Duration {
		t.Helper()
		started := time.Now()
		opened.SetReadDeadline(started.Add(pair.Patience / 2))
		if _, err := opened.Write(make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(opened, make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
		return time.Since(started)
	}
	echo()
	goroutines := runtime.NumGoroutine()
	const halfOpen = 1000
	var strangers []net.Conn
	defer func() {
		for _, c := range strangers {
			c.Close()
		}
	}()
	var worst time.Duration
	garbage := make([]byte, 600)
	for i := range halfOpen {
		c, err := net.Dial("tcp", p.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, c)
		switch rand.Read(garbage); i % 4 {
		case 0: // a ClientHello that never comes to its end
			copy(garbage, []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3})
			c.Write(garbage[:i%200])
		case 1:
			c.Write(garbage)
		}
		if i%50 == 0 {
			worst = max(worst, echo())
		}
	}
	pending := p.Listener.(*Listener).admission.unfinished()
	if pending == 0 || pending > maxHandshakes {
		t.Errorf("%d unfinished handshakes of %d, want some, and at most %d", pending, halfOpen, maxHandshakes)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 4*maxHandshakes {
		t.Errorf("%d more goroutines", n)
	}
	t.Logf("%d unfinished handshakes; slowest echo beside the flood %s", pending, worst)

	// A real node still connects, and its stream goes on.
	third := newTransport(t, Config{Identity: p.Client.config.Identity})
	pair.Connect(t, third, p.Listener)
	echo()
}

// address is that of a connection that goes nowhere.
type address struct {
	net.Conn
	from   string
	closed bool
}

func (a *address) RemoteAddr() net.Addr {
	tcp, _ := net.ResolveTCPAddr("tcp", a.from)
	return tcp
}

func (a *address) Close() error {
	a.closed = true
	return nil
}

// TestFloodHitsItsOwnHost holds that the handshakes that make room are those of the host that has the most.
func TestFloodHitsItsOwnHost(t *testing.T) {
	var a admission
	early := &address{from: "192.0.2.1:1"}
	a.begin(early)
	var flood []*address
	for range 2 * maxHandshakes {
		c := &address{from: "198.51.100.1:1"}
		a.begin(c)
		flood = append(flood, c)
	}
	if early.closed || len(a.pending) != maxHandshakes {
		t.Errorf("the other host's handshake is closed: %t; %d are pending", early.closed, len(a.pending))
	}
	if !flood[0].closed || flood[len(flood)-1].closed {
		t.Error("it was not the oldest that made room")
	}
	for _, h := range a.pending {
		a.finished(h)
		break
	}
	if a.unfinished() != maxHandshakes-1 {
		t.Errorf("%d are pending after one has finished", a.unfinished())
	}
}

// TestViolationIsTold has a member of the bus that breaks the framing: it is told why, and its connection ends.
func TestViolationIsTold(t *testing.T) {
	ca := pair.NewCA(t, "test")
	server := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	l := pair.Listen(t, server, pair.Loopback)
	conn, err := tls.Dial("tcp", l.Addr().String(), pair.Issue(t, ca).ClientTLS(uuid.Nil, alpn))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	arrived, err := l.Accept(pair.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	// Far more than is read before the violation is seen.
	if _, err := conn.Write(append(data(3, []byte("no stream 1")), make([]byte, 256<<10)...)); err != nil {
		t.Fatal(err)
	}
	violation := pair.WantPeerError(t, pair.Gone(t, arrived), bus.CloseViolation, false)
	got, err := io.ReadAll(conn)
	got = bytes.TrimPrefix(got, appendToken(nil, kindPing, 1)) // that of a new connection, if it came before
	want := appendClose(nil, bus.CloseViolation, violation.Reason)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the peer was told %q, %v; want %q", got, err, want)
	}
}

// TestFullHouse holds that connections nobody accepts are refused beyond a bound, with a reason.
func TestFullHouse(t *testing.T) {
	ca := pair.NewCA(t, "test")
	client := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	l := pair.Listen(t, newTransport(t, Config{Identity: pair.Issue(t, ca)}), pair.Loopback)
	refused := make(chan error, maxWaiting+1)
	for range maxWaiting + 1 {
		c, err := client.Dial(pair.Context(t), l.Addr().String(), uuid.Nil)
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(c.Context(), func() { refused <- context.Cause(c.Context()) })
	}
	// The listening side may finish them in another order.
	select {
	case err := <-refused:
		pair.WantPeerError(t, err, bus.CloseInternal, true)
	case <-pair.Context(t).Done():
		t.Error("none is refused")
	}
}

// TestCutDuringHandshake cuts the dialling side off after every number of bytes of the handshake.
func TestCutDuringHandshake(t *testing.T) {
	ca := pair.NewCA(t, "test")
	mine := pair.Issue(t, ca)
	l := pair.Listen(t, newTransport(t, Config{Identity: pair.Issue(t, ca)}), pair.Loopback)
	const step = 37
	for n := 0; ; n += step {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(&cutAfter{Conn: conn, left: n}, mine.ClientTLS(uuid.Nil, alpn))
		err = c.Handshake()
		conn.Close()
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	other := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	c, err := other.Dial(pair.Context(t), l.Addr().String(), uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStream(pair.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// cutAfter lets so many bytes out.
type cutAfter struct {
	net.Conn
	left int
}

var errCut = errors.New("cut")

func (c *cutAfter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.Conn.Write(p[:c.left])
		return c.left, errCut
	}
	c.left -= len(p)
	return c.Conn.Write(p)
}
