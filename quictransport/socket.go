package quictransport

import (
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/quictransport/gro"
)

// newSocket is what quic-go gets of a UDP socket: with receive offload where receive gives a reader for it (gro.New).
func newSocket(conn *net.UDPConn, receive func(*net.UDPConn) (*gro.Reader, error)) net.PacketConn {
	socket := &udpSocket{conn}
	reader, err := receive(conn)
	if err != nil {
		return socket
	}
	return &offloadSocket{socket, reader}
}

// udpSocket is a UDP socket for which a network that is down for a moment is a
// network that loses packets. quic-go ends a connection when a send fails, so an unplugged cable would
// cut links that could have waited. Reported as sent, such packets are retransmitted, and a
// network that stays down ends the connection by its timeout.
//
// Embedding *net.UDPConn keeps what quic-go finds by type assertion: batched reads,
// segmentation offload and ECN.
type udpSocket struct{ *net.UDPConn }

// offloadSocket is one whose packets come in bursts. quic-go reads through ReadBatch where it finds it, and
// nothing else reads from its sockets.
type offloadSocket struct {
	*udpSocket
	*gro.Reader
}

var (
	_ quic.OOBCapablePacketConn = (*udpSocket)(nil)
	_ net.Conn                  = (*udpSocket)(nil) // without it quic-go finds no batched reads
	_ quic.OOBCapablePacketConn = (*offloadSocket)(nil)
)

// WriteTo is what quic-go sends with where it has no offloads.
func (s *udpSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := s.UDPConn.WriteTo(b, addr)
	if err != nil && isOutage(err) {
		return len(b), nil
	}
	return n, err
}

// WriteMsgUDP is what quic-go sends with elsewhere. Package net allocates nothing for an address of package netip.
func (s *udpSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	to := addr.AddrPort()
	n, oobn, err = s.UDPConn.WriteMsgUDPAddrPort(b, oob, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil && (isOutage(err) || isSourceGone(err, oob)) {
		return len(b), len(oob), nil
	}
	return n, oobn, err
}
