package contender

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/certs"
)

// alpn names the protocol of the baselines in their handshakes.
const alpn = "verbose-bench"

// newNetwork makes the network of a baseline.
func newNetwork(c Config) (Network, error) {
	tcp := &tcpNetwork{local: c.Local(), sockets: sockets{congestion: c.Congestion}}
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
	return &quicNetwork{local: c.Local(), identity: id}, nil
}

// tcpNetwork is TCP, with TLS 1.3 on it where there is an identity.
type tcpNetwork struct {
	local    string
	identity *certs.Identity
	sockets  sockets
	listener net.Listener
}

func (t *tcpNetwork) Listen(ctx context.Context) (addr string, err error) {
	if t.listener, err = t.sockets.listen(ctx, t.local); err != nil {
		return "", err
	}
	return t.listener.Addr().String(), nil
}

func (t *tcpNetwork) Accept(context.Context) (Conn, error) {
	conn, err := t.listener.Accept()
	if err != nil {
		return nil, err
	}
	if t.identity != nil {
		conn = tls.Server(conn, t.identity.ServerTLS(alpn)) // whose handshake is with the first reading: it holds up no other
	}
	return Framed(conn), nil
}

func (t *tcpNetwork) Dial(ctx context.Context, addr string) (Conn, error) {
	conn, err := t.sockets.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if t.identity != nil {
		secured := tls.Client(conn, t.identity.ClientTLS(uuid.Nil, alpn))
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	return Framed(conn), nil
}

func (t *tcpNetwork) Sent() Traffic { return t.sockets.sent() }

func (t *tcpNetwork) Close() error {
	if t.listener == nil {
		return nil
	}
	return t.listener.Close()
}
