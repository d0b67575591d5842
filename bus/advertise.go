package bus

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

// listening is a listener, and the URLs at which others can dial the node there.
type listening struct {
	Listener
	endpoints []string
}

// advertise tells the others where to dial this node, if they are to know. The node's lock is held, or nobody else has the
// node yet.
func (n *Node) advertise() {
	if !n.cfg.Mesh && len(n.cfg.Advertise) == 0 {
		return
	}
	var endpoints []string
	for _, address := range n.cfg.Advertise {
		if e, err := n.cfg.parseAddress(address); err == nil { // as it was when the configuration was checked
			endpoints = append(endpoints, e.url())
		}
	}
	if len(endpoints) == 0 {
		for _, l := range n.listeners {
			endpoints = append(endpoints, l.endpoints...)
		}
	}
	n.engine.do(func(m *protocol.Machine, now time.Duration) { m.SetEndpoints(now, endpoints) })
}

// withdraw takes back what was advertised for a listener that is down.
func (n *Node) withdraw(ln Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners = slices.DeleteFunc(n.listeners, func(l listening) bool { return l.Listener == ln })
	n.advertise()
}

// reachedAt lists the URLs at which a listener's address can be dialled. Instead of the unspecified address they have
// those of the host's interfaces.
func reachedAt(scheme string, bound net.Addr) (urls []string) {
	addresses := []string{bound.String()}
	if host, port, err := net.SplitHostPort(bound.String()); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			addresses = nil
			for _, own := range hostAddresses() {
				if own.Is4() || ip.Is6() { // [::] takes both
					addresses = append(addresses, net.JoinHostPort(own.String(), port))
				}
			}
		}
	}
	for _, a := range addresses {
		if url := scheme + "://" + a; len(url) <= maxURL {
			urls = append(urls, url)
		}
	}
	return urls
}

// hostAddresses are those of the interfaces that are up, but for loopback and link-local ones.
func hostAddresses() (list []netip.Addr) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range interfaces {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Unmap().IsGlobalUnicast() {
			list = append(list, prefix.Addr().Unmap())
		}
	}
	return list
}
