package netem

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// patience ends a test that hangs.
const patience = 20 * time.Second

// pair is two hosts, with a UDP socket in each.
type pair struct {
	*Network
	a, b     *Host
	from, to net.PacketConn
	there    *Link // from a to b only
	both     *Link
}

const port = 7

func newPair(t *testing.T, seed uint64, profile Profile) *pair {
	t.Helper()
	p := &pair{Network: Test(t, seed)}
	p.a, p.b = host(t, p.Network, "a"), host(t, p.Network, "b")
	p.from, p.to = socket(t, p.a), socket(t, p.b)
	p.both = p.Link(p.a, p.b)
	p.there = p.both.OneWay()
	p.there.Set(profile)
	return p
}

func host(t *testing.T, n *Network, name string) *Host {
	t.Helper()
	h, err := n.NewHost(name)
	must(t, err)
	return h
}

// socket opens one with room for some thousands of packets.
func socket(t *testing.T, h *Host) net.PacketConn {
	t.Helper()
	conn, err := h.ListenPacket(t.Context(), ":7")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.(*net.UDPConn).SetReadBuffer(4<<20))
	return conn
}

func udp(addr netip.Addr) net.Addr { return net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)) }

const (
	payload    = 100
	wirePacket = payload + 28 // with headers of IPv4 and UDP
)

// send sends numbered packets to b, as fast as it can.
func (p *pair) send(t *testing.T, first, packets int) {
	t.Helper()
	message, target := make([]byte, payload), udp(p.b.Addr())
	for i := range packets {
		binary.BigEndian.PutUint32(message, uint32(first+i))
		_, err := p.from.WriteTo(message, target)
		must(t, err)
	}
}

// entered waits until so many packets are on the link, which those in the kernel's queue are not yet. Nothing may be sent to a.
func (p *pair) entered(t *testing.T, packets uint64) {
	t.Helper()
	for began := time.Now(); p.there.Stats().Packets < packets; {
		p.from.SetReadDeadline(time.Now().Add(ms))
		if _, _, err := p.from.ReadFrom(nil); err == nil || time.Since(began) > patience {
			t.Fatalf("waiting for %d packets to enter: %v; %v", packets, p.there.Stats(), err)
		}
	}
}

// receive returns the numbers of the packets that arrive at b, until all of the link's packets have come to an end.
func (p *pair) receive(t *testing.T, sent int) (numbers []int) {
	t.Helper()
	message, began, before := make([]byte, 2*payload), time.Now(), 0
	for {
		p.to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _, err := p.to.ReadFrom(message)
		s := p.there.Stats()
		switch {
		case err == nil && n == payload:
			numbers = append(numbers, int(binary.BigEndian.Uint32(message)))
		case err == nil:
			t.Fatalf("a packet of %d bytes arrived", n)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatal(err)
		case int(s.Packets) == sent && s.Flying == 0 && before+len(numbers) == int(s.Delivered):
			p.account(t, s)
			return numbers
		case time.Since(began) > patience:
			t.Fatalf("%d of %d packets arrived: %v", len(numbers), sent, s)
		}
	}
}

// account checks that every packet is in one count.
func (p *pair) account(t *testing.T, s Stats) {
	t.Helper()
	if got, want := s.Delivered+s.Lost+s.Cut+s.Full+s.Astray+s.Unplanned+s.Flying, s.Packets+s.Duplicated; got != want {
		t.Errorf("%d packets and copies, %d in the counts: %+v", want, got, s)
	}
	if want := s.Packets * wirePacket; s.Bytes != want {
		t.Errorf("%d bytes, want %d", s.Bytes, want)
	}
	t.Log(s)
}

// exchange has b receive one packet of a, and a an answer. It returns a's address as b sees it.
func (p *pair) exchange(t *testing.T) netip.Addr {
	t.Helper()
	b := make([]byte, payload)
	p.from.SetReadDeadline(time.Now().Add(patience))
	p.to.SetReadDeadline(time.Now().Add(patience))
	_, err := p.from.WriteTo([]byte("question"), udp(p.b.Addr()))
	must(t, err)
	_, seen, err := p.to.ReadFrom(b)
	must(t, err)
	_, err = p.to.WriteTo([]byte("answer"), seen)
	must(t, err)
	_, by, err := p.from.ReadFrom(b)
	must(t, err)
	if got := by.(*net.UDPAddr).AddrPort().Addr().Unmap(); got != p.b.Addr() {
		t.Errorf("the answer is from %v, b is %v", got, p.b.Addr())
	}
	return seen.(*net.UDPAddr).AddrPort().Addr().Unmap()
}
