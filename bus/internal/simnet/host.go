package simnet

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// firstPort is where the ports begin that the network picks.
const firstPort = 49152

// Host is a machine with one address.
type Host struct {
	network *Network
	number  int // in the order they were made

	// The network's lock guards the rest.
	addr      netip.Addr
	sockets   map[uint16]*PacketConn
	listeners map[uint16]*Listener
	conns     map[connKey]*Conn
	lastPort  uint16
}

// Rebind gives the host another address, as a NAT does that has forgotten it: sockets and connections keep their
// local address, packets come from the new one, and what is sent to the old one is lost. A peer of a connection knows
// nothing of the new address and resets what comes from there. It panics if the address is none, or taken.
func (h *Host) Rebind(addr string) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.network.place(h, addr)
}

// packet is what links carry: a datagram, or a segment of a connection.
type packet struct {
	from, to netip.AddrPort
	data     []byte
	segment  *segment
}

const (
	maxDatagram    = 1472 // bytes in a packet of 1,500 with headers of IPv4 and UDP
	datagramHeader = 28
	segmentHeader  = 52 // of IPv4 and of TCP with timestamps
)

// size is in bytes on the link.
func (p packet) size() int {
	if p.segment != nil {
		return segmentHeader + len(p.segment.data)
	}
	return datagramHeader + len(p.data)
}

// receive takes a packet that has arrived. The lock is held.
func (h *Host) receive(p packet) {
	if p.segment != nil {
		h.receiveSegment(p)
	} else if s := h.sockets[p.to.Port()]; s != nil {
		s.receive(p)
	}
}

// port reads the port of a local address, or picks one for 0. The address has to be the host's, or none. The lock is held.
func (h *Host) port(addr string, taken func(uint16) bool) (uint16, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || ip != h.addr && !ip.IsUnspecified()) {
		return 0, fmt.Errorf("simnet: listen on %s at %s: %w", addr, h.addr, syscall.EADDRNOTAVAIL)
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0, err
	}
	port := uint16(number)
	if port == 0 {
		port = h.freePort(taken)
	}
	if port == 0 || taken(port) {
		return 0, fmt.Errorf("simnet: listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	return port, nil
}

// freePort is the next that is not taken; 0 if all are.
func (h *Host) freePort(taken func(uint16) bool) uint16 {
	for range 1<<16 - firstPort {
		if h.lastPort++; h.lastPort < firstPort {
			h.lastPort = firstPort
		}
		if !taken(h.lastPort) {
			return h.lastPort
		}
	}
	return 0
}
