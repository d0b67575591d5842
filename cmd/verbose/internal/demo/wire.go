package demo

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// wire counts the bytes that a chain gives its sockets to send.
type wire struct{ bytes atomic.Uint64 }

// transport is one of a scheme whose bytes are counted.
func (w *wire) transport(scheme string, identity *certs.Identity) bus.Transport {
	if scheme == "tcp" {
		return tcptransport.New(tcptransport.Config{Identity: identity, Dial: w.dial, Listen: w.listen})
	}
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

func (w *wire) dial(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &countedConn{conn.(*net.TCPConn), w}, nil
}

func (w *wire) listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &countedListener{l, w}, nil
}

// countedListener counts what its connections send.
type countedListener struct {
	net.Listener
	wire *wire
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{conn.(*net.TCPConn), l.wire}, nil
}

// countedConn counts what is sent. Embedding *net.TCPConn keeps its CloseWrite.
type countedConn struct {
	*net.TCPConn
	wire *wire
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.wire.bytes.Add(uint64(n))
	return n, err
}
