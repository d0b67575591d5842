package contender

import (
	"context"
	"sync"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/certs"
)

// quicNetwork is quic-go with its defaults, and one stream on each connection.
type quicNetwork struct {
	local    string
	identity *certs.Identity
	listener *quic.Listener

	mu    sync.Mutex
	conns []*quic.Conn
}

// quicStream is the one stream of a connection.
type quicStream struct {
	*quic.Stream
	conn *quic.Conn
}

func (s quicStream) Close() error { return s.conn.CloseWithError(0, "") }

func (q *quicNetwork) Listen(context.Context) (addr string, err error) {
	if q.listener, err = quic.ListenAddr(q.local, q.identity.ServerTLS(alpn), nil); err != nil {
		return "", err
	}
	return q.listener.Addr().String(), nil
}

func (q *quicNetwork) Accept(ctx context.Context) (Conn, error) {
	conn, err := q.listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return q.stream(conn, func() (*quic.Stream, error) { return conn.AcceptStream(ctx) })
}

func (q *quicNetwork) Dial(ctx context.Context, addr string) (Conn, error) {
	conn, err := quic.DialAddr(ctx, addr, q.identity.ClientTLS(uuid.Nil, alpn), nil)
	if err != nil {
		return nil, err
	}
	return q.stream(conn, conn.OpenStream)
}

func (q *quicNetwork) stream(conn *quic.Conn, get func() (*quic.Stream, error)) (Conn, error) {
	s, err := get()
	if err != nil {
		conn.CloseWithError(0, "")
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.conns = append(q.conns, conn)
	return Framed(quicStream{s, conn}), nil
}

func (q *quicNetwork) Sent() Traffic {
	q.mu.Lock()
	defer q.mu.Unlock()
	var t Traffic
	for _, conn := range q.conns {
		stats := conn.ConnectionStats()
		t.add(stats.PacketsSent, stats.BytesSent)
	}
	return t
}

func (q *quicNetwork) Close() error {
	if q.listener == nil {
		return nil
	}
	return q.listener.Close()
}
