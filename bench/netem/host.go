package netem

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
)

// Host is a machine of the network. Its sockets and processes see its own device and loopback interface, and nothing else.
// All methods may be called concurrently.
type Host struct {
	network *Network
	name    string
	number  int // in the order they were made, from 1
	machine *machine

	// The network's lock guards the rest.
	inner, outer netip.Addr // its device's address, and the one that others know
}

// NewHost makes a host with the next free address. The name is for people.
func (n *Network) NewHost(name string) (*Host, error) {
	h := n.newHost(name)
	var err error
	if h.machine, err = newMachine(h.inner); err != nil {
		return nil, err
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.hosts = append(n.hosts, h)
		n.places[h.outer] = h
		n.wire.attach(h)
	}
	n.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosed, h.machine.close())
	}
	return h, nil
}

// newHost is one without a machine, and not yet in its place.
func (n *Network) newHost(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := n.freeAddr()
	n.made++
	return &Host{network: n, name: name, number: n.made, inner: addr, outer: addr}
}

var errClosed = fmt.Errorf("netem: the network is closed: %w", net.ErrClosed)

// freeAddr is an address that nobody has had. The lock is held.
func (n *Network) freeAddr() netip.Addr {
	n.lastAddr = n.lastAddr.Next()
	return n.lastAddr
}

// String is the host's name.
func (h *Host) String() string { return h.name }

// Addr is the address at which other hosts reach the host now.
func (h *Host) Addr() netip.Addr {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return h.outer
}

// Rebind gives the host another address in the eyes of all others, as a NAT does that has forgotten it. The host itself
// notices nothing: its packets come from the new address, and what is sent to the old one, or on its way there, is lost.
func (h *Host) Rebind() netip.Addr {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.places, h.outer)
	h.outer = n.freeAddr()
	n.places[h.outer] = h
	return h.outer
}

// Renumber gives the host's device another address, as happens to a machine that changes its network: the kernel
// knows. Sockets bound to no address send from the new one, others can't send any more. What is sent to the
// old one, or on its way there, is lost. It must not be called concurrently for the same host.
func (h *Host) Renumber() (netip.Addr, error) {
	n := h.network
	n.mu.Lock()
	addr := n.freeAddr()
	n.mu.Unlock()
	if err := h.machine.renumber(addr); err != nil {
		return netip.Addr{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.places, h.outer)
	h.inner, h.outer = addr, addr
	n.places[addr] = h
	return addr, nil
}

// Do runs f on a thread that is in the host: sockets that f opens and processes that it starts are the host's. Goroutines
// that f starts are not on that thread.
func (h *Host) Do(f func() error) error { return h.machine.do(f) }

// Start starts a process in the host.
func (h *Host) Start(c *exec.Cmd) error { return h.Do(c.Start) }

// ListenPacket opens a UDP socket at a local address (ip:port, or :port for all addresses). Its signature is that of
// quictransport.Config.ListenPacket.
func (h *Host) ListenPacket(ctx context.Context, addr string) (conn net.PacketConn, err error) {
	err = h.Do(func() error {
		conn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
		return err
	})
	return conn, err
}

// Listen listens for TCP connections at a local address. Its signature is that of tcptransport.Config.Listen.
func (h *Host) Listen(ctx context.Context, addr string) (listener net.Listener, err error) {
	err = h.Do(func() error {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", addr)
		return err
	})
	return listener, err
}

// Dial connects to addr (ip:port; there are no names here) over TCP. Its signature is that of tcptransport.Config.Dial.
func (h *Host) Dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("netem: dial: %w", err)
	}
	err = h.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	return conn, err
}
