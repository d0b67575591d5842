package demo

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
)

// wire counts the bytes of the UDP packets that a chain sends.
type wire struct{ bytes atomic.Uint64 }

// transport is a QUIC transport whose packets are counted.
func (w *wire) transport(identity *certs.Identity) *quictransport.Transport {
	return quictransport.New(quictransport.Config{Identity: identity, ListenPacket: w.listenPacket})
}

func (w *wire) listenPacket(ctx context.Context, addr string) (net.PacketConn, error) {
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	return &countedSocket{conn.(*net.UDPConn), w}, nil
}

// countedSocket counts what is sent. Embedding *net.UDPConn keeps what quic-go finds by type assertion.
type countedSocket struct {
	*net.UDPConn
	wire *wire
}

func (s *countedSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := s.UDPConn.WriteTo(b, addr)
	s.wire.bytes.Add(uint64(n))
	return n, err
}

func (s *countedSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = s.UDPConn.WriteMsgUDP(b, oob, addr)
	s.wire.bytes.Add(uint64(n))
	return n, oobn, err
}
