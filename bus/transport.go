package bus

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/google/uuid"
)

// Transport dials and accepts authenticated connections for one node. It moves
// bytes over reliable, ordered streams and knows nothing of events.
//
// A Transport belongs to the Node it is given to in [Config]; the node closes it.
// All methods may be called concurrently. Dial, Accept, OpenStream and AcceptStream end with their context, and their error is
// then its [context.Cause], or wraps that.
type Transport interface {
	// Scheme is the URL scheme the transport answers to, such as "quic".
	Scheme() string

	// ID is the node id this transport proves to its peers.
	ID() uuid.UUID

	// Dial connects to addr (host:port, or a path, as the URL has it) and returns once the peer has proved who
	// it is. A want other than [uuid.Nil] is the only id accepted; any other peer ends
	// the attempt. A refusal by either side is a *[PeerError] with its
	// [CloseCode]; one by the peer may also come just after, as the end of the connection. Dial ends with ctx.
	Dial(ctx context.Context, addr string, want uuid.UUID) (Conn, error)

	// Listen accepts connections on addr (as for Dial; port 0 picks one).
	Listen(ctx context.Context, addr string) (Listener, error)

	// Close releases what the connections and listeners share, such as a
	// socket. The node closes those first.
	Close() error
}

// Listener accepts the connections of one listening address.
type Listener interface {
	// Accept returns the next connection whose peer has proved who it is. A peer
	// that fails to is not reported as an error here. Accept returns an error
	// wrapping [net.ErrClosed] once the listener is closed, and ends with ctx.
	Accept(ctx context.Context) (Conn, error)
	Addr() net.Addr
	// Close stops accepting. Connections already accepted go on.
	Close() error
}

// Conn is one authenticated connection to a peer. All methods may be called
// concurrently.
type Conn interface {
	// OpenStream opens a stream in both directions. It waits while the peer
	// allows no more streams. The peer sees the stream once something is written.
	OpenStream(ctx context.Context) (Stream, error)
	// AcceptStream returns the next stream the peer opened and wrote to. Which of
	// several comes first is not said, and one that was opened before such a stream may come though nothing was written to it.
	AcceptStream(ctx context.Context) (Stream, error)
	// Peer is the id the peer's certificate proves.
	Peer() uuid.UUID
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	// Context is done when the connection is gone; its cause says why, as a
	// *[PeerError] if a side closed it with a code.
	Context() context.Context
	// CloseWithCode ends the connection and every stream at once. The peer
	// learns code and reason if it can still be reached. Later calls do nothing.
	CloseWithCode(code CloseCode, reason string) error
}

// Stream is a reliable, ordered stream of bytes in both directions. One
// goroutine may read while another writes; CloseWrite belongs to the writer.
// Reset and the deadlines may be called from anywhere.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite ends our direction: the peer reads io.EOF after the last byte.
	CloseWrite() error
	// Reset abandons both directions at once and unblocks both sides.
	Reset(code CloseCode)
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// TimeoutSetter is implemented by transports that notice a silent peer by
// themselves. A Node calls SetTimeout once with [Config].Timeout, before it dials or
// listens.
type TimeoutSetter interface {
	SetTimeout(d time.Duration)
}

// Prioritizer is implemented by streams that can be served before others of
// their connection; the node gives its control stream the highest priority.
type Prioritizer interface {
	// SetPriority orders the streams of a connection: lower urgency is served first
	// (RFC 9218: 0 to 7, 3 by default).
	SetPriority(urgency uint8)
}

// TryWriter is implemented by streams that can take a few bytes without waiting. A node that has nothing else to
// send on a stream sends an event by it on the goroutine that emits, instead of waking another.
type TryWriter interface {
	// TryWrite is Write that never waits for the peer or the network: it writes all of p, or nothing.
	TryWrite(p []byte) (ok bool, err error)
}

// Pusher is implemented by streams that can hand over what arrives on the goroutine that it arrives on, and put it where it
// is to stay. A node reads by it instead of Read.
type Pusher interface {
	// Push gives the sink all that has arrived and that still will, in order, one call at a time, and returns when the stream
	// has ended: nil after the peer's CloseWrite, the sink's own error, or what Read would return. The sink is not
	// called after that, but the last place that it gave may still be written to. The read deadline does not count, and
	// what came is as good as read.
	Push(sink Sink) error
}

// Sink takes the bytes of a stream. It must not wait for anything, for other streams of the connection wait for it, and must not use
// the stream, which may be locked.
type Sink interface {
	// Place is where the next bytes go. It is never empty.
	Place() []byte
	// Came says that so many bytes were written to the last place. An error ends the reading half. Work, if it is not nil, is
	// to be done then, error or not.
	Came(n int) (Work, error)
}

// Work is what bytes that came have brought about, and may take long: the handler of an event runs in it. Who called Came calls it as
// soon as it holds no lock, before it reads on; several times do no harm, also at the same time, for one of them does it. When it takes too long it
// calls readOn, from any goroutine, which starts another goroutine that reads on and does not wait. Work returns whether its
// caller is to read on itself: false after readOn, true otherwise. It may not return at all, for a handler may end its goroutine
// (runtime.Goexit): it has called readOn then. Where there is nothing more to read, or another reads, readOn does
// nothing. Work may be called after Push has returned.
type Work func(readOn func()) (on bool)

// RTTMeasurer is implemented by connections that measure the round-trip time to
// the peer; [Node.Topology] shows it.
type RTTMeasurer interface {
	// RTT is a smoothed value, or 0 while none is known. It does not block.
	RTT() time.Duration
}
