package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
)

// natsEnd is a NATS server in this process with a client beside it, or a client of the other end's server. As its documentation advises for
// embedding, the client beside a server has no socket (nats.InProcessServer). Servers don't log. Leaf links are not
// compressed, as the bus is not. All limits of what waits are the defaults; for speed, NATS drops what is beyond them (docs.nats.io, Slow
// Consumers).
type natsEnd struct {
	uncounted
	config   contender.Config
	security *security
	leaf     bool
	server   *server.Server // nil: a client of another end's
	client   *nats.Conn
	slow     atomic.Bool   // the subscription has dropped events
	dropped  atomic.Uint64 // so many are told of
}

func newNATS(c contender.Config) (contender.End, error) {
	s, err := securityOf(c, NATSTLS, NATSLeafTLS)
	return &natsEnd{config: c, security: s, leaf: c.Kind == NATSLeaf || c.Kind == NATSLeafTLS}, err
}

// natsStart is how long a server may take to be ready.
const natsStart = 10 * time.Second

// serve starts a server, and a client beside it.
func (e *natsEnd) serve(options *server.Options) error {
	options.Host, options.Port = e.config.Host(), server.RANDOM_PORT
	options.NoLog, options.NoSigs, options.MaxPayload = true, true, server.MAX_PAYLOAD_MAX_SIZE
	options.LeafNode.NoAdvertise = true // what stands in between is not gone round
	options.LeafNode.Compression.Mode = server.CompressionOff
	var err error
	if e.server, err = server.NewServer(options); err != nil {
		return err
	}
	e.server.Start()
	if !e.server.ReadyForConnections(natsStart) {
		return errors.New("the NATS server is not ready")
	}
	return e.connect("", nats.InProcessServer(e.server))
}

func (e *natsEnd) Listen(context.Context) (string, error) {
	if !e.leaf {
		options := &server.Options{}
		if e.security != nil {
			options.TLSConfig, options.TLSTimeout, options.TLS = e.security.server("nats"), natsStart.Seconds(), true
		}
		if err := e.serve(options); err != nil {
			return "", err
		}
		return e.server.Addr().String(), nil
	}
	if err := e.serve(e.hub()); err != nil {
		return "", err
	}
	v, err := e.server.Varz(nil)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(e.config.Host(), strconv.Itoa(v.LeafNode.Port)), nil
}

// hub has the server take leaf nodes.
func (e *natsEnd) hub() *server.Options {
	options := &server.Options{DontListen: true}
	options.LeafNode.Host, options.LeafNode.Port = e.config.Host(), server.RANDOM_PORT
	if e.security != nil {
		options.LeafNode.TLSConfig, options.LeafNode.TLSTimeout = e.security.server("nats"), natsStart.Seconds()
	}
	return options
}

func (e *natsEnd) Dial(ctx context.Context, addr string) error {
	if !e.leaf {
		return e.connect("nats://" + addr)
	}
	remote := &server.RemoteLeafOpts{URLs: []*url.URL{{Scheme: "nats-leaf", Host: addr}}, Compression: server.CompressionOpts{Mode: server.CompressionOff}}
	if e.security != nil {
		remote.TLS, remote.TLSConfig, remote.TLSTimeout = true, e.security.client("nats"), natsStart.Seconds()
	}
	options := &server.Options{DontListen: true}
	options.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	if err := e.serve(options); err != nil {
		return err
	}
	return await(ctx, "no leaf link", func() bool { return e.server.NumLeafNodes() > 0 })
}

// connect has the client connect, and subscribe.
func (e *natsEnd) connect(where string, options ...nats.Option) (err error) {
	options = append(options,
		nats.MaxReconnects(-1),
		nats.Dialer(&net.Dialer{Timeout: nats.DefaultTimeout, Control: host.SetCongestion(e.config.Congestion)}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { e.hear(sub, err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { e.tell(0, fmt.Sprint("disconnected: ", err)) }))
	if e.security != nil && where != "" {
		options = append(options, nats.Secure(e.security.client("nats")))
	}
	if e.client, err = nats.Connect(where, options...); err != nil {
		return err
	}
	if e.config.Pattern != "" {
		receive := e.config.Receive
		_, err := e.client.Subscribe(e.config.Pattern, func(m *nats.Msg) {
			receive(m.Data)
			if e.slow.Load() {
				e.tellDropped(m.Sub)
			}
		})
		if err != nil {
			return err
		}
	}
	return e.client.Flush()
}

// hear passes on what NATS says of an error. It says once that a subscription is slow; how many events it drops has to be asked.
func (e *natsEnd) hear(sub *nats.Subscription, err error) {
	e.tell(0, err.Error())
	if sub != nil && errors.Is(err, nats.ErrSlowConsumer) {
		e.slow.Store(true)
		e.tellDropped(sub)
	}
}

// tellDropped asks how many events a subscription has dropped, and tells of those that were not told of.
func (e *natsEnd) tellDropped(sub *nats.Subscription) {
	total, err := sub.Dropped()
	if err != nil {
		return
	}
	if before := e.dropped.Swap(uint64(total)); uint64(total) > before {
		e.tell(uint64(total)-before, "the subscription dropped events")
	}
}

func (e *natsEnd) tell(lost uint64, text string) {
	if e.config.Told != nil {
		e.config.Told(contender.Notice{Text: text, Lost: lost})
	}
}

// Ready waits for interest where this end can see it: in its own server. A client's messages go to a server that has it.
func (e *natsEnd) Ready(ctx context.Context, dialled int) error {
	if e.server == nil || e.config.Topic == "" {
		return nil
	}
	return await(ctx, "nobody subscribes", func() bool {
		return e.server.GlobalAccount().Interest(e.config.Topic) >= max(dialled, 1)
	})
}

func (e *natsEnd) Send(payload []byte) error { return e.client.Publish(e.config.Topic, payload) }

// Flush does nothing: the client writes by itself, and its own Flush waits for an answer.
func (e *natsEnd) Flush() error { return nil }

func (e *natsEnd) Close() error {
	if e.client != nil {
		e.client.SetDisconnectErrHandler(nil) // this is no trouble
		e.client.Close()
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return nil
}
