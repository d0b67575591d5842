package contender

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// The defaults of bus.Config.
const (
	bufferMax   = 65_536
	bufferBytes = 64 << 20
)

// busEnd is a node with the defaults of bus.Config but for what Config says.
type busEnd struct {
	config  Config
	node    *bus.Node
	scheme  string
	sockets sockets
	sub     *bus.Subscription // nil: listens for nothing
	link    *bus.Link         // nil: was dialled
	sent    int               // messages, where there are several lanes
	hearing sync.WaitGroup    // who tells what the node says
}

func newBusEnd(c Config) (*busEnd, error) {
	id, err := c.CA.Issue(uuid.Nil, "")
	if err != nil {
		return nil, err
	}
	e := &busEnd{config: c, sockets: sockets{congestion: c.Congestion}}
	var transport bus.Transport
	if c.Kind == BusQUIC {
		config := quictransport.Config{Identity: id}
		if c.Count {
			config.ListenPacket = e.sockets.listenPacket
		}
		transport = quictransport.New(config)
	} else {
		transport = tcptransport.New(tcptransport.Config{Identity: id, Dial: e.sockets.dial, Listen: e.sockets.listen})
	}
	e.scheme = transport.Scheme() + "://"
	config := bus.Config{Transports: []bus.Transport{transport}, Compression: c.Compression, Lanes: c.Lanes}
	if c.Sharing > 1 {
		config.BufferMax, config.BufferBytes = max(bufferMax/c.Sharing, 64), bufferBytes/int64(c.Sharing)
	}
	if e.node, err = bus.New(config); err != nil {
		return nil, err
	}
	if c.Told != nil {
		e.hear()
	}
	if err := e.subscribe(); err != nil {
		e.node.Close()
		return nil, err
	}
	return e, nil
}

func (e *busEnd) subscribe() (err error) {
	if e.config.Pattern == "" {
		return nil
	}
	ignore := func(context.Context, bus.Event) {}
	for i := range e.config.Subscriptions - 1 {
		if _, err := e.node.On("bench.other."+strconv.Itoa(i), ignore); err != nil {
			return err
		}
	}
	receive := e.config.Receive
	var options []bus.OnOption
	if e.config.Borrow {
		options = append(options, bus.Borrow())
	}
	e.sub, err = e.node.On(e.config.Pattern, func(_ context.Context, event bus.Event) { receive(event.Payload) }, options...)
	return err
}

func (e *busEnd) Listen(ctx context.Context) (string, error) {
	addr, err := e.node.Listen(ctx, e.scheme+e.config.Local())
	if err != nil {
		return "", err
	}
	return addr.String(), nil
}

func (e *busEnd) Dial(ctx context.Context, addr string) (err error) {
	if e.link, err = e.node.Connect(e.scheme + addr); err != nil {
		return err
	}
	if _, err = e.link.Ready(ctx); err != nil {
		return fmt.Errorf("the link is not up: %w", err)
	}
	if e.sub != nil {
		return e.sub.Ready(ctx)
	}
	return nil
}

// Ready need not count: an end that dialled has made sure that its subscription is known here.
func (e *busEnd) Ready(ctx context.Context, _ int) error {
	if e.config.Topic == "" || e.config.Unheard {
		return nil
	}
	return e.node.WaitInterest(ctx, e.config.Topic)
}

func (e *busEnd) Send(payload []byte) error {
	if e.config.Lanes < 2 {
		return e.node.EmitBytes(context.Background(), e.config.Topic, payload)
	}
	e.sent++
	_, err := e.node.EmitMessage(context.Background(), bus.Message{Topic: e.config.Topic, Key: keys[e.sent%len(keys)], Payload: payload})
	return err
}

// keys are so many that every lane has about as many as any other.
var keys = func() (list [1024]string) {
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return list
}()

// Flush does nothing: the bus sends by itself.
func (e *busEnd) Flush() error { return nil }

func (e *busEnd) Sent() Traffic { return e.sockets.sent() }

func (e *busEnd) Close() error {
	err := e.node.Close()
	e.hearing.Wait()
	return err
}
