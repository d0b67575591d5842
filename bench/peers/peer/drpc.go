package peer

import (
	"context"
	"errors"
	"net"

	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcserver"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"

	"github.com/verbose-bus/verbose/bench/contender"
)

// drpcOptions have streams keep messages back until they are flushed: the comment on drpcstream.Options.ManualFlush is what there is of
// advice, for by itself a stream makes a system call for each message.
var drpcOptions = drpcmanager.Options{
	WriterBufferSize: bufferSize,
	Reader:           drpcwire.ReaderOptions{MaximumBufferSize: maxMessage},
	Stream:           drpcstream.Options{ManualFlush: true},
}

// payloadEncoding passes payloads as they are.
type payloadEncoding struct{}

func (payloadEncoding) Marshal(m drpc.Message) ([]byte, error) { return m.(*message).payload, nil }

func (payloadEncoding) Unmarshal(b []byte, m drpc.Message) error {
	into := m.(*message)
	into.payload = append(into.payload[:0], b...)
	return nil
}

// MarshalAppend spares drpc a copy of its own.
func (payloadEncoding) MarshalAppend(b []byte, m drpc.Message) ([]byte, error) {
	return append(b, m.(*message).payload...), nil
}

// drpcALPN names it in handshakes.
const drpcALPN = "drpc"

// drpcNetwork has a stream on each connection.
type drpcNetwork struct {
	uncounted
	config   contender.Config
	security *security
	accepted chan contender.Conn
	stop     context.CancelFunc
	served   chan struct{} // closed when the server has ended; nil without one
}

func newDRPC(c contender.Config) (contender.Network, error) {
	s, err := securityOf(c, DRPCTLS)
	return &drpcNetwork{config: c, security: s, accepted: make(chan contender.Conn)}, err
}

func (n *drpcNetwork) Listen(ctx context.Context) (string, error) {
	l, err := listen(ctx, n.config, n.security, drpcALPN)
	if err != nil {
		return "", err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop, n.served = stop, make(chan struct{})
	server := drpcserver.NewWithOptions(n, drpcserver.Options{Manager: drpcOptions})
	go func() { // Close waits for it
		server.Serve(serving, l)
		close(n.served)
	}()
	return l.Addr().String(), nil
}

// HandleRPC keeps a stream for as long as its end wants it.
func (n *drpcNetwork) HandleRPC(stream drpc.Stream, _ string) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	select {
	case n.accepted <- &drpcConn{stream: stream.(flushed), close: cancel}:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return errors.New("closed")
}

func (n *drpcNetwork) Accept(ctx context.Context) (contender.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *drpcNetwork) Dial(ctx context.Context, addr string) (contender.Conn, error) {
	var conn net.Conn
	conn, err := dial(ctx, n.config, n.security, addr, drpcALPN)
	if err != nil {
		return nil, err
	}
	client := drpcconn.NewWithOptions(conn, drpcconn.Options{Manager: drpcOptions})
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	end := func() {
		cancel()
		client.Close()
	}
	stream, err := client.NewStream(lasting, "talk", payloadEncoding{})
	if err != nil {
		end()
		return nil, err
	}
	return &drpcConn{stream: stream.(flushed), close: end}, nil
}

func (n *drpcNetwork) Close() error {
	if n.stop != nil {
		n.stop()
		<-n.served
	}
	return nil
}

// flushed is what the streams of drpc are.
type flushed interface {
	drpc.Stream
	RawFlush() error
}

type drpcConn struct {
	stream   flushed
	close    func()
	sent     message
	received message
}

func (c *drpcConn) Send(payload []byte) error {
	c.sent.payload = payload
	return c.stream.MsgSend(&c.sent, payloadEncoding{})
}

func (c *drpcConn) Flush() error { return c.stream.RawFlush() }

func (c *drpcConn) Receive() (payload []byte, more bool, err error) {
	err = c.stream.MsgRecv(&c.received, payloadEncoding{})
	return c.received.payload, false, err
}

func (c *drpcConn) Close() error {
	c.close()
	return nil
}
