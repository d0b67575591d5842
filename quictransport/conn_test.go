package quictransport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bus"
)

func TestPeersKnowEachOther(t *testing.T) {
	p := newPair(t)
	if p.dialled.Peer() != p.server.ID() || p.arrived.Peer() != p.client.ID() {
		t.Errorf("peers %s and %s, want %s and %s", p.dialled.Peer(), p.arrived.Peer(), p.server.ID(), p.client.ID())
	}
	if p.dialled.RemoteAddr().String() != p.listener.Addr().String() || port(p.dialled.LocalAddr()) != port(p.arrived.RemoteAddr()) {
		t.Errorf("dialled %s to %s, arrived from %s", p.dialled.LocalAddr(), p.dialled.RemoteAddr(), p.arrived.RemoteAddr())
	}
	if rtt := p.dialled.(*Conn).RTT(); rtt <= 0 || rtt > patience {
		t.Errorf("round-trip time %s", rtt)
	}
	if p.client.Scheme() != "quic" {
		t.Errorf("scheme %q", p.client.Scheme())
	}
}

func TestEchoAndHalfClose(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.streams(t)
	var g errgroup.Group
	g.Go(func() error {
		if _, err := io.Copy(accepted, accepted); err != nil {
			return err
		}
		_, err := accepted.Write([]byte(" after EOF"))
		return errors.Join(err, accepted.CloseWrite())
	})
	if _, err := io.WriteString(opened, "there and back"); err != nil {
		t.Fatal(err)
	}
	if err := opened.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(opened)
	if err != nil || string(got) != "there and back after EOF" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := opened.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after CloseWrite: %v, want net.ErrClosed", err)
	}
}

func TestResetUnblocksBothSides(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.streams(t)
	results := make(chan error, 4)
	for _, s := range []bus.Stream{opened, accepted} {
		go func() { _, err := s.Read(make([]byte, 1)); results <- err }()
	}
	// More than the windows hold, so that the writers wait.
	big := make([]byte, 20<<20)
	for _, s := range []bus.Stream{opened, accepted} {
		go func() { _, err := s.Write(big); results <- err }()
	}
	<-results // both reads return data from the other side's writer
	<-results
	opened.Reset(bus.CloseTooSlow)
	for range 2 {
		err := <-results
		if err == nil || !strings.Contains(err.Error(), bus.CloseTooSlow.String()) {
			t.Errorf("write on a reset stream: %v, want the code", err)
		}
	}
	if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Reset: %v, want net.ErrClosed", err)
	}
	if _, err := io.Copy(io.Discard, accepted); err == nil || !strings.Contains(err.Error(), "by the peer") {
		t.Errorf("the peer's read: %v, want a reset", err)
	}
	// The connection goes on.
	p.streams(t)
}

func TestDeadlines(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.streams(t)
	if err := opened.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want os.ErrDeadlineExceeded", err)
	}
	if err := opened.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Write(make([]byte, 20<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v, want os.ErrDeadlineExceeded", err)
	}
	// Without deadlines the stream works again.
	opened.SetReadDeadline(time.Time{})
	if _, err := accepted.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := opened.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read after the deadline: %d, %v", n, err)
	}
}

func TestCancelledCalls(t *testing.T) {
	p := newPair(t)
	// A socket that never answers.
	silent, err := net.ListenPacket("udp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for range maxStreams {
		if _, err := p.dialled.OpenStream(p.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for name, call := range map[string]func(context.Context) error{
		"Dial": func(ctx context.Context) error {
			_, err := p.client.Dial(ctx, silent.LocalAddr().String(), uuid.Nil)
			return err
		},
		"Accept":       func(ctx context.Context) error { _, err := p.listener.Accept(ctx); return err },
		"AcceptStream": func(ctx context.Context) error { _, err := p.dialled.AcceptStream(ctx); return err },
		"OpenStream":   func(ctx context.Context) error { _, err := p.dialled.OpenStream(ctx); return err }, // one over the limit
	} {
		ctx, cancel := context.WithTimeout(p.ctx, 30*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want context.DeadlineExceeded", name, err)
		}
		cancel()
	}
}

func TestCloseCodeArrives(t *testing.T) {
	p := newPair(t)
	opened, _ := p.streams(t)
	reading := make(chan error, 1)
	go func() { _, err := opened.Read(make([]byte, 1)); reading <- err }()
	p.arrived.CloseWithCode(bus.CloseFull, "1,000 peers\nare enough")
	for _, err := range []error{gone(t, p.dialled), <-reading} {
		refusal := wantPeerError(t, err, bus.CloseFull, true)
		if refusal.Reason != "1,000 peers.are enough" || refusal.Peer != p.server.ID() {
			t.Errorf("reason %q from %s", refusal.Reason, refusal.Peer)
		}
	}
	err := gone(t, p.arrived)
	wantPeerError(t, err, bus.CloseFull, false)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v is not net.ErrClosed", err)
	}
	if err := p.arrived.CloseWithCode(bus.CloseInternal, "later"); err != nil {
		t.Error(err)
	}
	wantPeerError(t, gone(t, p.arrived), bus.CloseFull, false)
	_, err = p.dialled.OpenStream(p.ctx)
	wantPeerError(t, err, bus.CloseFull, true)
}

// TestPriority holds that an urgent stream overtakes one that began earlier and has as much to send.
func TestPriority(t *testing.T) {
	p := newPair(t)
	const total, headStart = 24 << 20, 2 << 20
	bulk, bulkIn := p.streams(t)
	urgent, urgentIn := p.streams(t)
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
	g.Go(receive("bulk", bulkIn, total-headStart))
	g.Go(receive("urgent", urgentIn, total))
	if first := <-arrivals; first != "urgent" {
		t.Errorf("%s arrived first", first)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestSilentPeerTimesOut(t *testing.T) {
	ca := newCA(t, "test")
	client := newTransport(t, Config{Identity: issue(t, ca)})
	client.SetTimeout(0) // ignored
	client.SetTimeout(300 * time.Millisecond)
	server := New(Config{Identity: issue(t, ca)})
	dialled, _ := connect(t, client, listen(t, server, loopback))
	// The server's process is gone: its socket no longer reads.
	server.mu.Lock()
	socket := server.endpoints[0].socket
	server.mu.Unlock()
	socket.Close()
	wantPeerError(t, gone(t, dialled), bus.CloseTimeout, false)
	server.Close() // its error is the socket's
}
