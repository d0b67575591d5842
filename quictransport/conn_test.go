package quictransport

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bus"
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
	if p.Client.Scheme() != "quic" {
		t.Errorf("scheme %q", p.Client.Scheme())
	}
}

// TestUnread holds that a reader that does not read stops its writer at 6 MiB and a packet.
func TestUnread(t *testing.T) {
	p := newPair(t)
	opened, _ := p.Streams(t)
	if err := opened.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := opened.Write(make([]byte, 24<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > 6<<20+2<<10 {
		t.Errorf("%d bytes written with no reader, error %v; want at most the window, and the deadline", n, err)
	}
}

// TestPriority holds that an urgent stream overtakes one that began earlier and has as much to send.
func TestPriority(t *testing.T) {
	p := newPair(t)
	const total, headStart = 24 << 20, 2 << 20
	bulk, bulkIn := p.Streams(t)
	urgent, urgentIn := p.Streams(t)
	bulk.(bus.Prioritizer).SetPriority(7)
	urgent.(bus.Prioritizer).SetPriority(0)
	var g errgroup.Group
	arrivals := make(chan string, 2)
	send := func(s bus.Stream) func() error {
		return func() error { _, err := s.Write(make([]byte, total)); return err }
	}
	receive := func(name string, s bus.Stream, n int64) func() error {
		return func() error {
			_, err := io.CopyN(io.Discard, s, n)
			arrivals <- name
			return err
		}
	}
	g.Go(send(bulk))
	if _, err := io.CopyN(io.Discard, bulkIn, headStart); err != nil {
		t.Fatal(err)
	}
	g.Go(send(urgent))
	if _, err := io.CopyN(io.Discard, urgentIn, 1); err != nil { // bulk waits for its window until the other has begun
		t.Fatal(err)
	}
	g.Go(receive("bulk", bulkIn, total-headStart))
	g.Go(receive("urgent", urgentIn, total-1))
	if first := <-arrivals; first != "urgent" {
		t.Errorf("%s arrived first", first)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
