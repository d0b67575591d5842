package peer

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
)

// The windows of gRPC's flow control, in bytes. grpc.io's performance guide advises one long stream and a connection that is kept; grpc-go's
// documentation of InitialWindowSize says to set both windows or none: fixed ones take the place of its estimate of the bandwidth,
// which starts at 64 KiB. The guide has no figures: these are above what any path here holds.
const (
	streamWindow = 8 << 20
	connWindow   = 16 << 20
)

// messageCodec passes payloads as they are, which grpc-go's Documentation/encoding.md describes: protocol buffers would copy them
// once more.
type messageCodec struct{}

// message is what a stream sends and receives.
type message struct{ payload []byte }

func (messageCodec) Name() string { return "payload" }

// Marshal copies, for gRPC sends after it has returned.
func (messageCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.Copy(v.(*message).payload, mem.DefaultBufferPool())}, nil
}

func (messageCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m := v.(*message)
	m.payload = grown(m.payload, data.Len())
	data.CopyTo(m.payload)
	return nil
}

func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

var talk = grpc.StreamDesc{StreamName: "Talk", ServerStreams: true, ClientStreams: true}

// talkMethod is the method of the only stream there is.
const talkMethod = "/bench.Bench/Talk"

// grpcNetwork has a stream for each connection.
type grpcNetwork struct {
	uncounted
	config   contender.Config
	security *security
	server   *grpc.Server
	accepted chan contender.Conn
	serving  chan struct{} // closed when the server has ended; nil without one
}

func newGRPC(c contender.Config) (contender.Network, error) {
	s, err := securityOf(c, GRPCTLS)
	return &grpcNetwork{config: c, security: s, accepted: make(chan contender.Conn)}, err
}

func (n *grpcNetwork) Listen(ctx context.Context) (string, error) {
	l, err := listen(ctx, n.config, nil, "")
	if err != nil {
		return "", err
	}
	options := []grpc.ServerOption{
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
		grpc.WriteBufferSize(bufferSize), grpc.ReadBufferSize(bufferSize),
		grpc.MaxRecvMsgSize(maxMessage), grpc.ForceServerCodecV2(messageCodec{}),
	}
	if n.security != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(n.security.server("h2"))))
	}
	n.server = grpc.NewServer(options...)
	desc := talk
	desc.Handler = n.handle
	n.server.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Bench", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, n)
	n.serving = make(chan struct{})
	go func() { // Close waits for it
		n.server.Serve(l)
		close(n.serving)
	}()
	return l.Addr().String(), nil
}

// handle keeps a stream for as long as its end wants it.
func (n *grpcNetwork) handle(_ any, stream grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	select {
	case n.accepted <- &grpcConn{stream: stream, close: cancel}:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return errors.New("closed")
}

func (n *grpcNetwork) Accept(ctx context.Context) (contender.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *grpcNetwork) Dial(ctx context.Context, addr string) (contender.Conn, error) {
	creds := insecure.NewCredentials()
	if n.security != nil {
		creds = credentials.NewTLS(n.security.client("h2"))
	}
	client, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithWriteBufferSize(bufferSize), grpc.WithReadBufferSize(bufferSize),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Control: host.SetCongestion(n.config.Congestion)}).DialContext(ctx, "tcp", addr)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.ForceCodecV2(messageCodec{})))
	if err != nil {
		return nil, err
	}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	end := func() {
		cancel()
		client.Close()
	}
	stop := context.AfterFunc(ctx, cancel)
	stream, err := client.NewStream(lasting, &talk, talkMethod, grpc.WaitForReady(true))
	if err != nil {
		stop()
		end()
		return nil, err
	}
	stop()
	return &grpcConn{stream: stream, close: end}, nil
}

func (n *grpcNetwork) Close() error {
	if n.server != nil {
		n.server.Stop()
		<-n.serving
	}
	return nil
}

type grpcConn struct {
	stream   grpc.Stream
	close    func()
	sent     message
	received message
}

func (c *grpcConn) Send(payload []byte) error {
	c.sent.payload = payload
	return c.stream.SendMsg(&c.sent)
}

// Flush does nothing: gRPC writes by itself.
func (c *grpcConn) Flush() error { return nil }

func (c *grpcConn) Receive() (payload []byte, more bool, err error) {
	err = c.stream.RecvMsg(&c.received)
	return c.received.payload, false, err
}

func (c *grpcConn) Close() error {
	c.close()
	return nil
}
