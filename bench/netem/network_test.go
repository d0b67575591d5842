package netem

import (
	"io"
	"net/netip"
	"testing"
	"time"
)

// placed is a host without a machine.
func placed(n *Network, name string) *Host {
	h := n.newHost(name)
	n.places[h.outer] = h
	return h
}

// datagram is an empty one, without checksums.
func datagram(from, to netip.Addr) []byte {
	p := make([]byte, 28)
	p[0], p[9] = 0x45, protocolUDP
	copy(p[sourceAt:], from.AsSlice())
	copy(p[destinationAt:], to.AsSlice())
	return p
}

func TestEnter(t *testing.T) {
	n := newNetwork(1)
	a, b := placed(n, "a"), placed(n, "b")
	n.Link(a, b).OneWay().Set(Profile{Delay: time.Second})
	for _, test := range []struct {
		what  string
		p     []byte
		times int
	}{
		{"a packet", datagram(a.inner, b.outer), 1},
		{"one to nobody", datagram(a.inner, b.outer.Next()), 0},
		{"one from another's address", datagram(b.inner, b.outer), 0},
		{"one of IPv6", append([]byte{0x60}, make([]byte, 39)...), 0},
	} {
		way, to, arrivals, times := n.enter(a, test.p)
		if times != test.times {
			t.Errorf("%s arrives %d times", test.what, times)
		}
		if times > 0 && (to != b || way != n.direction(a, b) || arrivals[0] < time.Second) {
			t.Errorf("%s arrives at %v at %v", test.what, to, arrivals[0])
		}
	}
	if s := n.Stats(); s.Packets != 1 || s.Flying != 1 {
		t.Errorf("%+v", s)
	}
}

// The network sees the address that a NAT gives, and the host never does.
func TestTranslation(t *testing.T) {
	n := newNetwork(1)
	a, b := placed(n, "a"), placed(n, "b")
	inner := a.inner
	outer := a.Rebind()
	out := datagram(inner, b.outer)
	n.enter(a, out)
	if got := address(out, sourceAt); got != outer {
		t.Errorf("a packet comes from %v, want %v", got, outer)
	}
	back := &packet{size: 28}
	copy(back.data[:], datagram(b.inner, outer))
	back.way, back.to, _, _ = n.enter(b, back.bytes())
	if ok := n.arrive(back); !ok || address(back.bytes(), destinationAt) != inner {
		t.Errorf("a packet arrives (%t) for %v, want %v", ok, address(back.bytes(), destinationAt), inner)
	}
	if _, _, _, times := n.enter(b, datagram(b.inner, inner)); times != 0 {
		t.Error("the old address still works")
	}
}

// What is on its way to an address that is gone goes astray.
func TestAstray(t *testing.T) {
	n := newNetwork(1)
	a, b := placed(n, "a"), placed(n, "b")
	p := &packet{size: 28}
	copy(p.data[:], datagram(a.inner, b.outer))
	p.way, p.to, _, _ = n.enter(a, p.bytes())
	b.Rebind()
	if n.arrive(p) {
		t.Error("it arrived")
	}
	if s := n.Stats(); s.Packets != 1 || s.Astray != 1 || s.Flying != 0 {
		t.Errorf("%+v", s)
	}
}

// A packet is as late as it is handed over after it was due. One that is not handed over is unplanned, as is one too many.
func TestLateness(t *testing.T) {
	n := newNetwork(1)
	way := n.direction(placed(n, "a"), placed(n, "b"))
	for range 99 {
		n.handed(&packet{way: way, due: n.now() + time.Hour}, nil)
	}
	n.handed(&packet{way: way, due: n.now() - time.Second}, nil)
	n.handed(&packet{way: way}, io.ErrShortWrite)
	way.model.counts.overrun++
	s := n.Stats()
	if l := s.Lateness; l.P50 != 0 || l.P99 != 0 || l.Max < 900*time.Millisecond || l.Max > time.Minute {
		t.Errorf("%+v", l)
	}
	if s.Delivered != 100 || s.Unplanned != 2 {
		t.Errorf("%+v", s)
	}
}
