package tcptransport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
	"github.com/verbose-bus/verbose/certs"
)

// handshakeTimeout is how long a handshake may take, the connecting of TCP included.
const handshakeTimeout = 10 * time.Second

// meet does the dialling side's handshake.
func (t *Transport) meet(ctx context.Context, conn net.Conn, want uuid.UUID) (*Conn, error) {
	w := newWire(conn)
	config := t.config.Identity.ClientTLS(want, alpn)
	config.DynamicRecordSizingDisabled = true
	return t.secure(ctx, w, tls.Client(w, config), true)
}

// greet does the listening side's handshake.
func (t *Transport) greet(ctx context.Context, conn net.Conn) (*Conn, error) {
	w := newWire(conn)
	config := t.config.Identity.ServerTLS(alpn)
	config.DynamicRecordSizingDisabled = true
	strange := false
	// What crypto/tls says of these is a text only.
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		strange = !slices.Contains(hello.SupportedProtos, alpn) || !slices.Contains(hello.SupportedVersions, tls.VersionTLS13)
		return nil, nil
	}
	c, err := t.secure(ctx, w, tls.Server(w, config), false)
	if err != nil && strange {
		if _, ok := err.(*bus.PeerError); !ok {
			err = &bus.PeerError{Code: bus.CloseVersion, Reason: refusal.Reason(err.Error()), Err: err}
		}
	}
	return c, err
}

// secure does a handshake, and makes the connection if both sides are satisfied.
func (t *Transport) secure(ctx context.Context, w *wire, conn *tls.Conn, dialled bool) (*Conn, error) {
	timeout := time.Duration(t.timeout.Load())
	prepare(w.Conn, timeout)
	began := time.Now()
	if err := conn.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, refusal.Explain(translate(err), t.config.Identity)
	}
	state := conn.ConnectionState()
	peer, err := certs.PeerID(state)
	if err != nil {
		return nil, translate(err) // verified handshakes have an id
	}
	if state.NegotiatedProtocol != alpn {
		// crypto/tls lets a peer in that does not know of ALPN.
		return nil, &bus.PeerError{Code: bus.CloseVersion, Peer: peer, Reason: fmt.Sprintf("the peer does not speak %s", alpn)}
	}
	c := newConn(socket{conn, w}, peer, t.config.Identity, dialled, timeout)
	c.rtt.seed(time.Since(began))
	return c, nil
}
