package bus_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// wantEndpoints waits until a node hears of a subscription that another makes now, and what that can be dialled at.
func wantEndpoints(t *testing.T, at, of *bus.Node, want ...string) {
	t.Helper()
	_, err := of.On("x", ignore)
	must(t, err)
	awaitTopology(t, at, func(now bus.Topology) bool {
		return slices.ContainsFunc(now.Members, func(m bus.Member) bool {
			return m.ID == of.ID() && slices.Equal(m.Patterns, []string{"x"}) && slices.Equal(m.Endpoints, want)
		})
	})
}

// Over real sockets, one address is enough: it is told where the others listen, and dials them.
func TestMeshOverSockets(t *testing.T) {
	w := newNetwork(t)
	var nodes []*bus.Node
	var first string
	for i := range 4 {
		n := w.node("n", meshOn)
		nodes = append(nodes, n)
		url := w.listen(n)
		if i == 0 {
			first = url
			continue
		}
		w.connect(n, first)
	}
	for _, n := range nodes {
		awaitTopology(t, n, func(now bus.Topology) bool {
			direct := 0
			for _, m := range now.Members {
				if m.Distance == 1 {
					direct++
				}
			}
			return direct == 3
		})
	}
}

// Where a node listens is told with Mesh; without, nothing is, but what Advertise has.
func TestConfigAdvertise(t *testing.T) {
	w := bustest.NewNetwork(1)
	told := func(configure func(*bus.Config)) (n, at *bus.Node) {
		n, at = w.Node(t, "a", configure), w.Node(t, "b")
		_, err := n.Listen(t.Context(), "mem://a:2")
		must(t, err)
		w.Connect(t, "b", "a")
		return n, at
	}
	for _, c := range []struct {
		configure func(*bus.Config)
		want      []string
	}{
		{func(*bus.Config) {}, nil},
		{meshOn, []string{"mem://a:1", "mem://a:2"}},
		{func(c *bus.Config) {
			c.Advertise = []string{"elsewhere:7", "mem://" + c.Transports[0].ID().String() + "@there:8"}
		},
			[]string{"mem://elsewhere:7", "mem://there:8"}},
		{func(c *bus.Config) { c.Mesh, c.Advertise = true, []string{"elsewhere:7"} }, []string{"mem://elsewhere:7"}},
	} {
		n, at := told(c.configure)
		wantEndpoints(t, at, n, c.want...)
		if own := n.Topology().Members[0].Endpoints; !slices.Equal(own, c.want) {
			t.Errorf("of itself, it says %q", own)
		}
		must(t, at.Close())
		must(t, n.Close())
	}
}

// A listener on the unspecified address is told as the addresses of the host, and never as what nobody can dial.
func TestMeshAdvertisesInterfaces(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n", meshOn)
	wild, err := n.Listen(t.Context(), "quic://0.0.0.0:0")
	must(t, err)
	bound := netip.MustParseAddrPort(wild.String()) // [::] where the system takes that to be both
	addresses, err := net.InterfaceAddrs()
	must(t, err)
	var want []string
	for _, a := range addresses {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && (ip.Is4() || bound.Addr().Is6()) {
			want = append(want, "quic://"+netip.AddrPortFrom(ip, bound.Port()).String())
		}
	}
	local := w.listen(n)
	want = append(want, local)
	at := w.node("at")
	w.connect(at, local)
	wantEndpoints(t, at, n, want[:min(len(want), 16)]...)
	t.Log(want)
}

// Of the addresses that a member tells, those of the preferred transport are dialled first, whatever their order.
func TestVirtualMeshPrefersATransport(t *testing.T) {
	virtually(t, 1, func(t *testing.T, w *world) {
		seed := w.node("seed")
		var members []*bus.Node
		for range 2 {
			n := w.node("member", func(c *bus.Config) {
				c.Mesh = true
				c.Advertise = []string{"quic://10.9.9.9:1", "tcp://10.0.1.2:7000", "tcp://10.0.1.3:7000", "quic://10.0.0.2:7000", "quic://10.0.0.3:7000"}
			})
			w.link(n, seed, "tcp")
			members = append(members, n)
		}
		wantPath := func(n, peer *bus.Node, scheme string) {
			t.Helper()
			awaitTopology(t, n, func(now bus.Topology) bool {
				return slices.ContainsFunc(now.Members, func(m bus.Member) bool {
					return m.ID == peer.ID() && len(m.Paths) == 1 && m.Paths[0].Scheme == scheme
				})
			})
		}
		wantPath(members[0], members[1], "quic")
		wantPath(members[1], members[0], "quic")
	})
}
