package simnet

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// maxInbox is how many packets wait in a socket to be read; what comes on top is dropped.
const maxInbox = 4096

// PacketConn is a packet socket, as a UDP socket. It implements [net.PacketConn].
type PacketConn struct {
	host  *Host
	local netip.AddrPort

	// The network's lock guards the rest.
	inbox     []packet
	closed    bool
	readUntil time.Time
	changed   notice
}

var _ net.PacketConn = (*PacketConn)(nil)

// ListenPacket opens a socket on a local address (host:port; no host: the host's own; port 0: any). Its signature
// is that of quictransport.Config.ListenPacket.
func (h *Host) ListenPacket(_ context.Context, addr string) (net.PacketConn, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	port, err := h.port(addr, func(p uint16) bool { return h.sockets[p] != nil })
	if err != nil {
		return nil, err
	}
	s := &PacketConn{host: h, local: netip.AddrPortFrom(h.addr, port)}
	h.sockets[port] = s
	return s, nil
}

// receive takes a packet that has arrived. The lock is held.
func (s *PacketConn) receive(p packet) {
	if len(s.inbox) < maxInbox {
		s.inbox = append(s.inbox, p)
		s.changed.tell()
	}
}

// ReadFrom returns the next packet. What does not fit p is cut off.
func (s *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n := s.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, nil, s.errClosed()
		case expired(s.readUntil):
			return 0, nil, os.ErrDeadlineExceeded
		case len(s.inbox) > 0:
			first := s.inbox[0]
			s.inbox[0] = packet{}
			if s.inbox = s.inbox[1:]; len(s.inbox) == 0 {
				s.inbox = nil
			}
			return copy(p, first.data), net.UDPAddrFromAddrPort(first.from), nil
		}
		n.wait(&s.changed, s.readUntil)
	}
}

// WriteTo sends a packet, and never waits. One of more than 1,472 bytes is lost.
func (s *PacketConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return 0, err
	}
	n := s.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return 0, s.errClosed()
	}
	if len(p) <= maxDatagram {
		n.send(s.host, packet{from: s.local, to: to, data: bytes.Clone(p)})
	}
	return len(p), nil
}

func (s *PacketConn) errClosed() error {
	return fmt.Errorf("simnet: socket %s: %w", s.local, net.ErrClosed)
}

// Close frees the port. Later calls do nothing.
func (s *PacketConn) Close() error {
	s.host.network.mu.Lock()
	defer s.host.network.mu.Unlock()
	if !s.closed {
		s.closed, s.inbox = true, nil
		delete(s.host.sockets, s.local.Port())
		s.changed.tell()
	}
	return nil
}

// LocalAddr is the address the socket was opened on.
func (s *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.local) }

// SetDeadline is SetReadDeadline: writing never waits.
func (s *PacketConn) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline may be called while ReadFrom waits.
func (s *PacketConn) SetReadDeadline(t time.Time) error {
	s.host.network.mu.Lock()
	defer s.host.network.mu.Unlock()
	s.readUntil = t
	s.changed.tell()
	return nil
}

// SetWriteDeadline does nothing: writing never waits.
func (s *PacketConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer does nothing. quic-go asks for it.
func (s *PacketConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing. quic-go asks for it.
func (s *PacketConn) SetWriteBuffer(int) error { return nil }
