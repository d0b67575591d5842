package tcptransport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
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
	if p.client.Scheme() != "tcp" {
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
	nobody := silent(t)
	for range maxStreams {
		if _, err := p.dialled.OpenStream(p.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for name, call := range map[string]func(context.Context) error{
		"Dial": func(ctx context.Context) error {
			_, err := p.client.Dial(ctx, nobody.Addr().String(), uuid.Nil)
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

// TestSilentPeerTimesOut has a peer whose process is stopped: its system takes what is sent, and nobody answers.
func TestSilentPeerTimesOut(t *testing.T) {
	ca := newCA(t, "test")
	identity := issue(t, ca)
	client := newTransport(t, Config{Identity: issue(t, ca)})
	client.SetTimeout(0) // ignored
	client.SetTimeout(300 * time.Millisecond)
	nobody := silent(t)
	greeted := make(chan *tls.Conn, 1)
	go func() {
		defer close(greeted)
		raw, err := nobody.Accept()
		if err != nil {
			return
		}
		conn := tls.Server(raw, identity.ServerTLS(alpn))
		if err := conn.Handshake(); err == nil {
			greeted <- conn
		}
	}()
	dialled, err := client.Dial(testContext(t), nobody.Addr().String(), identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	wantPeerError(t, gone(t, dialled), bus.CloseTimeout, false)
	if waited := time.Since(began); waited < 250*time.Millisecond || waited > 5*time.Second {
		t.Errorf("given up after %s", waited)
	}
	if conn := <-greeted; conn != nil {
		conn.NetConn().Close()
	}
}

// TestIdlePeersLive holds that a connection on which nobody says anything outlives its timeout.
func TestIdlePeersLive(t *testing.T) {
	ca := newCA(t, "test")
	client, server := newTransport(t, Config{Identity: issue(t, ca)}), newTransport(t, Config{Identity: issue(t, ca)})
	client.SetTimeout(100 * time.Millisecond) // the server's stays at a minute
	dialled, arrived := connect(t, client, listen(t, server, loopback))
	select {
	case <-dialled.Context().Done():
		t.Error(context.Cause(dialled.Context()))
	case <-arrived.Context().Done():
		t.Error(context.Cause(arrived.Context()))
	case <-time.After(time.Second):
	}
}

// TestIdleGoroutines holds that a connection has two goroutines.
func TestIdleGoroutines(t *testing.T) {
	p := newPair(t)
	before := runtime.NumGoroutine()
	const more = 10
	for range more {
		connect(t, p.client, p.listener)
	}
	// Handshakes have goroutines, which may be about to end.
	deadline := time.Now().Add(patience)
	n := runtime.NumGoroutine() - before
	for ; n > 4*more && time.Now().Before(deadline); n = runtime.NumGoroutine() - before {
		runtime.Gosched()
	}
	if n > 4*more {
		t.Errorf("%d goroutines for both ends of %d connections, want %d", n, more, 4*more)
	}
}
