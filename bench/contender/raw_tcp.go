package contender

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/certs"
)

// alpn names the protocol of the baselines in their handshakes.
const alpn = "verbose-bench"

// newNetwork makes the network of a baseline.
func newNetwork(c Config) (network, error) {
	tcp := &tcpNetwork{sockets: sockets{congestion: c.Congestion}}
	if c.Kind == RawTCP {
		return tcp, nil
	}
	id, err := c.CA.Issue(uuid.Nil, "")
	if err != nil {
		return nil, err
	}
	if c.Kind == RawTLS {
		tcp.identity = id
		return tcp, nil
	}
	return &quicNetwork{identity: id}, nil
}

// tcpNetwork is TCP, with TLS 1.3 on it where there is an identity.
type tcpNetwork struct {
	identity *certs.Identity
	sockets  sockets
	listener net.Listener
}

func (t *tcpNetwork) listen(ctx context.Context) (addr string, err error) {
	if t.listener, err = t.sockets.listen(ctx, "127.0.0.1:0"); err != nil {
		return "", err
	}
	return t.listener.Addr().String(), nil
}

func (t *tcpNetwork) accept(ctx context.Context) (io.ReadWriteCloser, error) {
	conn, err := t.listener.Accept()
	if err != nil || t.identity == nil {
		return conn, err
	}
	return secured(ctx, tls.Server(conn, t.identity.ServerTLS(alpn)))
}

func (t *tcpNetwork) dial(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	conn, err := t.sockets.dial(ctx, addr)
	if err != nil || t.identity == nil {
		return conn, err
	}
	return secured(ctx, tls.Client(conn, t.identity.ClientTLS(uuid.Nil, alpn)))
}

func secured(ctx context.Context, conn *tls.Conn) (io.ReadWriteCloser, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (t *tcpNetwork) sent() Traffic { return t.sockets.sent() }

func (t *tcpNetwork) close() error {
	if t.listener == nil {
		return nil
	}
	return t.listener.Close()
}
