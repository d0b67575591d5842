package contender

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/verbose-bus/verbose/bench/host"
)

// sockets opens the sockets of an end, and counts what they send.
type sockets struct {
	congestion string

	mu  sync.Mutex
	tcp []*net.TCPConn
	udp []*countedSocket
}

func (s *sockets) listenPacket(ctx context.Context, addr string) (net.PacketConn, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	counted := &countedSocket{UDPConn: conn.(*net.UDPConn)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.udp = append(s.udp, counted)
	return counted, nil
}

func (s *sockets) dial(ctx context.Context, addr string) (net.Conn, error) {
	dialer := net.Dialer{Control: host.SetCongestion(s.congestion)}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return s.keep(conn), nil
}

func (s *sockets) listen(ctx context.Context, addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: host.SetCongestion(s.congestion)} // accepted sockets inherit it
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &countedListener{l, s}, nil
}

func (s *sockets) keep(conn net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tcp = append(s.tcp, conn.(*net.TCPConn))
	return conn
}

func (s *sockets) sent() Traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t Traffic
	for _, conn := range s.tcp {
		t.add(host.Sent(conn))
	}
	for _, socket := range s.udp {
		t.add(socket.packets.Load(), socket.bytes.Load())
	}
	return t
}

type countedListener struct {
	net.Listener
	sockets *sockets
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.sockets.keep(conn), nil
}

// countedSocket counts what quic-go sends. Embedding *net.UDPConn keeps what quic-go finds by type assertion: batched
// reads, segmentation offload and ECN.
type countedSocket struct {
	*net.UDPConn
	packets, bytes atomic.Uint64
}

func (s *countedSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := s.UDPConn.WriteTo(b, addr)
	s.count(n, nil)
	return n, err
}

func (s *countedSocket) WriteMsgUDP(b, control []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = s.UDPConn.WriteMsgUDP(b, control, addr)
	s.count(n, control)
	return n, oobn, err
}

func (s *countedSocket) count(n int, control []byte) {
	if n > 0 {
		s.packets.Add(host.Datagrams(n, control))
		s.bytes.Add(uint64(n))
	}
}
