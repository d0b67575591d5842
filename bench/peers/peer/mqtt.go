package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/uuid"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
)

// unanswered is how many messages of quality of service 1 may wait for their acknowledgement: as many as mochi takes of one client by
// default.
const unanswered = 1024

// mqttEnd is an embedded mochi broker that is used by its inline client, as its README advises for the embedding program, or a client of the
// other end's, which is paho. Buffers are those of the baselines; order is kept, for an event bus keeps it.
type mqttEnd struct {
	uncounted
	config   contender.Config
	security *security
	once     bool // at least once, really
	broker   *mochi.Server
	client   paho.Client
	waiting  []publication // what was sent and is not known to be acknowledged, oldest first
	closing  chan struct{}
}

func newMQTT(c contender.Config) (contender.End, error) {
	s, err := securityOf(c, MQTTTLS)
	return &mqttEnd{config: c, security: s, once: c.Kind == MQTTOnce, closing: make(chan struct{})}, err
}

func (e *mqttEnd) qos() byte {
	if e.once {
		return 1
	}
	return 0
}

func (e *mqttEnd) Listen(ctx context.Context) (string, error) {
	e.broker = mochi.New(&mochi.Options{
		InlineClient: true, ClientNetWriteBufferSize: bufferSize, ClientNetReadBufferSize: bufferSize,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err := e.broker.AddHook(new(auth.AllowHook), nil); err != nil {
		return "", err
	}
	if err := e.broker.AddHook(&mqttTold{config: e.config}, nil); err != nil {
		return "", err
	}
	if e.config.Pattern != "" {
		receive := e.config.Receive
		err := e.broker.Subscribe(e.config.Pattern, 1, func(_ *mochi.Client, _ packets.Subscription, p packets.Packet) { receive(p.Payload) })
		if err != nil {
			return "", err
		}
	}
	l, err := listen(ctx, e.config, e.security, "mqtt")
	if err != nil {
		return "", err
	}
	if err := e.broker.AddListener(listeners.NewNet("bench", l)); err != nil {
		return "", err
	}
	return l.Addr().String(), e.broker.Serve()
}

// mqttTold passes on what the broker says.
type mqttTold struct {
	mochi.HookBase
	config contender.Config
}

func (*mqttTold) ID() string { return "told" }

func (*mqttTold) Provides(b byte) bool { return b == mochi.OnDisconnect || b == mochi.OnPublishDropped }

func (h *mqttTold) OnDisconnect(_ *mochi.Client, err error, _ bool) {
	if h.config.Told != nil && err != nil {
		h.config.Told(contender.Notice{Text: "disconnected: " + err.Error()})
	}
}

func (h *mqttTold) OnPublishDropped(*mochi.Client, packets.Packet) {
	if h.config.Told != nil {
		h.config.Told(contender.Notice{Text: "dropped", Lost: 1})
	}
}

func (e *mqttEnd) Dial(ctx context.Context, addr string) error {
	options := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(uuid.NewString()).SetOrderMatters(true).
		SetDialer(&net.Dialer{Control: host.SetCongestion(e.config.Congestion)}).
		SetMaxReconnectInterval(time.Second).
		SetConnectionLostHandler(func(_ paho.Client, err error) {
			if e.config.Told != nil {
				e.config.Told(contender.Notice{Text: "connection lost: " + err.Error()})
			}
		})
	if e.security != nil {
		options.Servers[0].Scheme = "tls"
		options.SetTLSConfig(e.security.client("mqtt"))
	}
	if e.once {
		options.SetCleanSession(false).SetResumeSubs(true)
	}
	e.client = paho.NewClient(options)
	if err := done(ctx, e.client.Connect()); err != nil {
		return err
	}
	if e.config.Pattern == "" {
		return nil
	}
	receive := e.config.Receive
	return done(ctx, e.client.Subscribe(e.config.Pattern, e.qos(), func(_ paho.Client, m paho.Message) { receive(m.Payload()) }))
}

func done(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready waits for as many subscribers as dialled, where they are to hear this end.
func (e *mqttEnd) Ready(ctx context.Context, dialled int) error {
	if e.broker == nil || e.config.Topic == "" {
		return nil
	}
	return await(ctx, "nobody subscribes", func() bool {
		return len(e.broker.Topics.Subscribers(e.config.Topic).Subscriptions) >= dialled
	})
}

// publication is a message on its way.
type publication struct {
	payload []byte
	token   paho.Token
}

// Send gives paho a copy, for it writes later.
func (e *mqttEnd) Send(payload []byte) error {
	if e.broker != nil {
		return e.broker.Publish(e.config.Topic, slices.Clone(payload), false, e.qos())
	}
	if len(e.waiting) >= unanswered {
		if err := e.awaitOldest(); err != nil {
			return err
		}
	}
	e.review()
	return e.publish(slices.Clone(payload))
}

// awaitOldest waits for an acknowledgement, unless the end is closed meanwhile.
func (e *mqttEnd) awaitOldest() error {
	late := time.NewTimer(acknowledged)
	defer late.Stop()
	select {
	case <-e.waiting[0].token.Done():
		return nil
	case <-late.C:
		return errors.New("no acknowledgement")
	case <-e.closing:
		return net.ErrClosed
	}
}

// acknowledged is how long an acknowledgement may take: longer than connecting again.
const acknowledged = 30 * time.Second

// publish returns the failures that are known at once. Of quality of service 0 no others ever are.
func (e *mqttEnd) publish(payload []byte) error {
	t := e.client.Publish(e.config.Topic, e.qos(), false, payload)
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return err
		}
	default:
	}
	if e.once {
		e.waiting = append(e.waiting, publication{payload, t})
	}
	return nil
}

// review forgets what was acknowledged, and publishes again what failed, as a program has to that wants quality of service 1.
func (e *mqttEnd) review() {
	for len(e.waiting) > 0 {
		oldest := e.waiting[0]
		select {
		case <-oldest.token.Done():
		default:
			return
		}
		if oldest.token.Error() != nil && e.publish(oldest.payload) != nil {
			return // not now
		}
		e.waiting = e.waiting[1:]
	}
}

// Flush waits for nothing: both write by themselves.
func (e *mqttEnd) Flush() error {
	e.review()
	return nil
}

// endsWithin is longer than a client sleeps that is connecting again: with less, Disconnect leaves it and its own goroutine behind.
const endsWithin = 3 * time.Second

func (e *mqttEnd) Close() error {
	close(e.closing)
	if e.client != nil {
		e.client.Disconnect(uint(endsWithin / time.Millisecond))
	}
	if e.broker != nil {
		if err := e.broker.Close(); err != nil {
			return fmt.Errorf("mochi: %w", err)
		}
	}
	return nil
}
