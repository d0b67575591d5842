package tcptransport

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// TestConnAddresses holds what the suite does not know: addresses are those of the sockets, and there is a round-trip time.
func TestConnAddresses(t *testing.T) {
	p := newPair(t)
	if p.Dialled.RemoteAddr().String() != p.Listener.Addr().String() || port(p.Dialled.LocalAddr()) != port(p.Arrived.RemoteAddr()) {
		t.Errorf("dialled %s to %s, arrived from %s", p.Dialled.LocalAddr(), p.Dialled.RemoteAddr(), p.Arrived.RemoteAddr())
	}
	if rtt := p.Dialled.(*Conn).RTT(); rtt <= 0 || rtt > pair.Patience {
		t.Errorf("round-trip time %s", rtt)
	}
	if p.Client.Scheme() != "tcp" {
		t.Errorf("scheme %q", p.Client.Scheme())
	}
}

// TestUnread holds that a reader that does not read stops its writer at the largest window and the buffer of a writer.
func TestUnread(t *testing.T) {
	p := newPair(t)
	opened, _ := p.Streams(t)
	if err := opened.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := opened.Write(make([]byte, 24<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > maxWindow+smallSize {
		t.Errorf("%d bytes written with no reader, error %v; want at most the window, and the deadline", n, err)
	}
}

// TestIdleGoroutines holds that a connection has two goroutines.
func TestIdleGoroutines(t *testing.T) {
	p := newPair(t)
	before := runtime.NumGoroutine()
	const more = 10
	for range more {
		pair.Connect(t, p.Client, p.Listener)
	}
	// Handshakes have goroutines, which may be about to end.
	deadline := time.Now().Add(pair.Patience)
	n := runtime.NumGoroutine() - before
	for ; n > 4*more && time.Now().Before(deadline); n = runtime.NumGoroutine() - before {
		runtime.Gosched()
	}
	if n > 4*more {
		t.Errorf("%d goroutines for both ends of %d connections, want %d", n, more, 4*more)
	}
}
