package quictransport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// strangerAt is what a handshake from a proved address begins with.
func strangerAt(ip string) *quic.ClientInfo {
	return &quic.ClientInfo{AddrVerified: true, RemoteAddr: &net.UDPAddr{IP: net.ParseIP(ip), Port: 1}}
}

// fill begins handshakes until one is refused, and returns how many were not.
func (a *admission) fill(ctx context.Context, info *quic.ClientInfo) (n int) {
	for {
		if _, err := a.connContext(ctx, info); err != nil {
			return n
		}
		n++
	}
}

// TestAdmissionLimit holds that handshakes are bounded in all, and places come back.
func TestAdmissionLimit(t *testing.T) {
	a := newAdmission(nil)
	ctx, cancel := context.WithCancel(context.Background())
	for i := range maxHandshakes {
		if _, err := a.connContext(ctx, strangerAt(fmt.Sprintf("192.0.2.%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.connContext(ctx, strangerAt("198.51.100.1")); err == nil {
		t.Errorf("handshake %d was admitted", maxHandshakes+1)
	}
	cancel()
	a.wait()
	if a.pending != 0 || len(a.hosts) != 0 {
		t.Errorf("%d handshakes of %d hosts are counted after all ended", a.pending, len(a.hosts))
	}
	if n := a.fill(t.Context(), strangerAt("198.51.100.1")); n != maxHandshakes/2 {
		t.Errorf("a host alone had %d places, want half", n)
	}
}

// TestHostsLeaveRoom holds that hosts that take what they can get leave places for the next.
func TestHostsLeaveRoom(t *testing.T) {
	a := newAdmission(nil)
	ctx, cancel := context.WithCancel(context.Background())
	last := maxHandshakes
	for i := range 8 {
		n := a.fill(ctx, strangerAt(fmt.Sprintf("2001:db8:0:%d::1", i)))
		if more := a.fill(ctx, strangerAt(fmt.Sprintf("2001:db8:0:%d:ffff::1", i))); n == 0 || n > last || more != 0 {
			t.Errorf("host %d had %d places, and %d by another address; the one before %d", i, n, more, last)
		}
		last = n
	}
	cancel()
	a.wait()
}

// TestAcceptedConnsAreNotPending holds that accepting a connection frees its place.
func TestAcceptedConnsAreNotPending(t *testing.T) {
	p := newPair(t)
	if n := p.Server.endpoints[0].admission.unfinished(); n != 0 {
		t.Errorf("%d unfinished handshakes beside an accepted connection", n)
	}
}

func (a *admission) unfinished() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending
}

// proving is a socket that hears no more than it takes to prove its address.
type proving struct{ deaf }

func (p *proving) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.PacketConn.ReadFrom(b)
		if err != nil || n > 0 && b[0]&0xf0 == 0xf0 { // a Retry of QUIC 1 (RFC 9000 section 17.2.5)
			return n, from, err
		}
	}
}

func (p *proving) SetReadDeadline(d time.Time) error { return p.PacketConn.SetReadDeadline(d) }

// TestStrangersWithAnAddress holds that a node connects while more strangers than there are places prove their address
// and then say nothing new, and begin again and again.
func TestStrangersWithAnAddress(t *testing.T) {
	p := newPair(t)
	ctx, cancel := context.WithCancel(p.Ctx)
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer cancel()
	socket, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this system has one loopback address: ", err)
	}
	flood := &quic.Transport{Conn: &proving{deaf{PacketConn: socket}}}
	defer socket.Close()
	defer flood.Close()
	tick := time.NewTicker(time.Millisecond) // apart, or their Retries are lost; and nothing tells of a handshake's begin
	defer tick.Stop()
	for range 2 * maxHandshakes {
		<-tick.C
		strangers.Go(func() {
			config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{alpn},
				CurvePreferences: []tls.CurveID{tls.X25519}} // others take two packets
			for ctx.Err() == nil {
				if _, err := flood.Dial(ctx, p.Listener.Addr(), config, nil); err == nil {
					t.Error("a stranger finished a handshake")
				}
			}
		})
	}
	admission := p.Server.endpoints[0].admission
	full := func() bool {
		admission.mu.Lock()
		defer admission.mu.Unlock()
		return !admission.hasRoom(&handshake{proved: true, host: hostOf(socket.LocalAddr())})
	}
	for !full() {
		select {
		case <-tick.C:
		case <-p.Ctx.Done():
			t.Fatalf("the strangers have %d unfinished handshakes", admission.unfinished())
		}
	}
	for range 5 {
		node := newTransport(t, Config{Identity: p.Client.config.Identity})
		c, err := node.Dial(p.Ctx, p.Listener.Addr().String(), uuid.Nil)
		if err != nil {
			t.Fatalf("beside %d unfinished handshakes: %v", admission.unfinished(), err)
		}
		c.CloseWithCode(bus.CloseNormal, "")
	}
	t.Logf("%d unfinished handshakes", admission.unfinished())
}

// TestUnfinished holds what is made of a handshake's end.
func TestUnfinished(t *testing.T) {
	for _, late := range []error{&quic.IdleTimeoutError{}, &quic.HandshakeTimeoutError{}} {
		pair.WantPeerError(t, unfinished(late), bus.CloseHelloTimeout, false)
	}
	var peer *bus.PeerError
	if err := unfinished(net.ErrClosed); errors.As(err, &peer) {
		t.Errorf("who went away was refused: %v", err)
	}
}
