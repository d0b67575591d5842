package quictransport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// deaf is a socket that sends and hears nothing: handshakes over it never get past their first packets.
type deaf struct {
	net.PacketConn
	done chan struct{}
}

func (d *deaf) ReadFrom([]byte) (int, net.Addr, error) {
	<-d.done
	return 0, nil, net.ErrClosed
}

func (d *deaf) SetReadDeadline(time.Time) error { return nil }
func (d *deaf) SetReadBuffer(int) error         { return nil } // quic-go prints a warning otherwise
func (d *deaf) SetWriteBuffer(int) error        { return nil }

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
	admission := p.Server.endpoints[0].admission
	unfinished := func() int {
		admission.mu.Lock()
		defer admission.mu.Unlock()
		return admission.pending
	}
	target := p.Listener.Addr()
	goroutines := runtime.NumGoroutine()

	const halfOpen = 1000
	stranger, err := net.ListenPacket("udp", pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	socket := &deaf{stranger, make(chan struct{})}
	flood := &quic.Transport{Conn: socket}
	ctx, cancel := context.WithCancel(p.Ctx)
	var dials sync.WaitGroup
	for range halfOpen {
		dials.Go(func() {
			config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}}
			if _, err := flood.Dial(ctx, target, config, nil); err == nil {
				t.Error("a deaf client finished a handshake")
			}
		})
	}
	var worst time.Duration
	for !admission.verifySource(target) && p.Ctx.Err() == nil {
		worst = max(worst, echo())
	}
	if p.Ctx.Err() != nil {
		t.Fatalf("further strangers need not prove their address beside %d unfinished handshakes", unfinished())
	}
	garbage := make([]byte, 1200)
	for i := range 2000 {
		rand.Read(garbage)
		size := len(garbage)
		if i%2 == 0 {
			size = i % len(garbage)
		}
		switch i % 4 { // long header of QUIC 1, short header, and anything
		case 0:
			copy(garbage, []byte{0xc0, 0, 0, 0, 1, 20})
		case 1:
			garbage[0] = garbage[0]&0x3f | 0x40
		}
		if _, err := stranger.WriteTo(garbage[:size], target); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			worst = max(worst, echo())
		}
	}
	if pending := unfinished(); pending > retryFrom {
		t.Errorf("%d unfinished handshakes of %d, want at most %d from unproved addresses", pending, halfOpen, retryFrom)
	}
	// Each dial here has a few goroutines of its own; the server's are a few per unfinished handshake.
	if n := runtime.NumGoroutine() - goroutines; n > 5*halfOpen+8*retryFrom {
		t.Errorf("%d more goroutines", n)
	}
	t.Logf("slowest echo beside the flood %s", worst)

	// Through Retry, a real node still connects, and its stream goes on.
	third := newTransport(t, Config{Identity: p.Client.config.Identity})
	pair.Connect(t, third, p.Listener)
	echo()

	cancel()
	dials.Wait()
	close(socket.done)
	flood.Close()
	stranger.Close()
}

// TestPeerRestart holds that both kinds of peers notice a crash and restart at
// once, by the stateless reset of the new process, and not after the timeout.
func TestPeerRestart(t *testing.T) {
	ca := pair.NewCA(t, "test")
	identity := pair.Issue(t, ca)
	stays := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	crashes := New(Config{Identity: identity})
	old := pair.Listen(t, crashes, pair.Loopback)
	dialled, _ := pair.Connect(t, stays, old)
	_, arrived := pair.Connect(t, crashes, pair.Listen(t, stays, pair.Loopback))
	s, err := dialled.OpenStream(pair.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	back, err := arrived.OpenStream(pair.Context(t))
	if err != nil {
		t.Fatal(err)
	}

	// A crash says nothing to anybody: the socket goes first.
	if err := crashes.endpoints[0].socket.Close(); err != nil {
		t.Fatal(err)
	}
	crashes.Close() // its error is the socket's
	restarted := newTransport(t, Config{Identity: identity})
	pair.Listen(t, restarted, old.Addr().String())
	started := time.Now()
	s.Write(make([]byte, 100))
	back.Write(make([]byte, 100))
	for _, c := range []interface{ Context() context.Context }{dialled, arrived} {
		select {
		case <-c.Context().Done():
			t.Logf("noticed after %s: %v", time.Since(started), context.Cause(c.Context()))
		case <-time.After(10 * time.Second): // the timeout is 60 s
			t.Error("the restart was not noticed")
		}
	}
	c, err := stays.Dial(pair.Context(t), old.Addr().String(), uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Peer() != identity.ID() {
		t.Errorf("peer %s", c.Peer())
	}
}
