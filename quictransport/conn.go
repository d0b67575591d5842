package quictransport

import (
	"context"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
	"github.com/verbose-bus/verbose/certs"
)

// Conn is one QUIC connection. All methods may be called concurrently.
type Conn struct {
	quic     *quic.Conn
	peer     uuid.UUID
	identity *certs.Identity
	ctx      context.Context // the QUIC connection's, with the cause translated
	cancel   context.CancelCauseFunc
}

var _ bus.Conn = (*Conn)(nil)

func newConn(q *quic.Conn, peer uuid.UUID, identity *certs.Identity) *Conn {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Conn{quic: q, peer: peer, identity: identity, ctx: ctx, cancel: cancel}
}

// end passes on that the QUIC connection is gone, and why.
func (c *Conn) end() { c.cancel(c.translate(context.Cause(c.quic.Context()))) }

// OpenStream opens a stream. It waits while the peer has 80 streams of ours open.
func (c *Conn) OpenStream(ctx context.Context) (bus.Stream, error) {
	s, err := c.quic.OpenStreamSync(ctx)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return &Stream{quic: s, conn: c}, nil
}

// AcceptStream returns the next stream the peer opened.
func (c *Conn) AcceptStream(ctx context.Context) (bus.Stream, error) {
	s, err := c.quic.AcceptStream(ctx)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return &Stream{quic: s, conn: c}, nil
}

// failed says why a call has failed. The cause of a context is another's, and is passed on as it is.
func (c *Conn) failed(ctx context.Context, err error) error {
	if err == ctx.Err() {
		return context.Cause(ctx)
	}
	return c.translate(err)
}

// Peer is the id in the peer's certificate.
func (c *Conn) Peer() uuid.UUID { return c.peer }

// LocalAddr is the socket's address.
func (c *Conn) LocalAddr() net.Addr { return c.quic.LocalAddr() }

// RemoteAddr is the peer's address at the moment: a dialling peer's may change.
func (c *Conn) RemoteAddr() net.Addr { return c.quic.RemoteAddr() }

// RTT is the smoothed round-trip time (RFC 9002 section 5.3).
func (c *Conn) RTT() time.Duration { return c.quic.ConnectionStats().SmoothedRTT }

// Context is done when the connection is gone; its cause says why.
func (c *Conn) Context() context.Context { return c.ctx }

// CloseWithCode ends the connection and returns once it is gone on this side. The reason is cut to 256 bytes.
func (c *Conn) CloseWithCode(code bus.CloseCode, reason string) error {
	err := c.quic.CloseWithError(quic.ApplicationErrorCode(code), refusal.Reason(reason))
	<-c.ctx.Done()
	return err
}

// translate is the package's translate with what the connection knows.
func (c *Conn) translate(err error) error {
	err = refusal.Explain(translate(err), c.identity)
	if closed, ok := err.(*bus.PeerError); ok {
		closed.Peer = c.peer
	}
	return err
}
