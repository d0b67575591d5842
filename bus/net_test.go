package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
)

// network is a test's set of nodes with identities of one CA, linked over QUIC
// on loopback.
type network struct {
	t  *testing.T
	ca *certs.CA
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	ca, err := certs.NewCA("test")
	must(t, err)
	return &network{t, ca}
}

// identity issues one; the same id may be asked for again.
func (w *network) identity(id uuid.UUID, name string) *certs.Identity {
	w.t.Helper()
	identity, err := w.ca.Issue(id, name)
	must(w.t, err)
	return identity
}

// node makes a node that is closed with the test.
func (w *network) node(name string, configure ...func(*bus.Config)) *bus.Node {
	w.t.Helper()
	return w.nodeAs(w.identity(uuid.Nil, name), configure...)
}

func (w *network) nodeAs(identity *certs.Identity, configure ...func(*bus.Config)) *bus.Node {
	w.t.Helper()
	cfg := bus.Config{
		Name:       identity.Name(),
		Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: identity})},
	}
	for _, f := range configure {
		f(&cfg)
	}
	n, err := bus.New(cfg)
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, n.Close()) })
	return n
}

// listen returns the URL of a new listener.
func (w *network) listen(n *bus.Node) string {
	w.t.Helper()
	addr, err := n.Listen(w.t.Context(), "quic://127.0.0.1:0")
	must(w.t, err)
	return "quic://" + addr.String()
}

// connect returns once the link is up.
func (w *network) connect(n *bus.Node, url string) *bus.Link {
	w.t.Helper()
	l, err := n.Connect(url)
	must(w.t, err)
	_, err = l.Ready(soon(w.t))
	must(w.t, err)
	return l
}

// chain links nodes in a row; each but the last listens.
func (w *network) chain(nodes ...*bus.Node) {
	w.t.Helper()
	for i := range len(nodes) - 1 {
		w.connect(nodes[i+1], w.listen(nodes[i]))
	}
}

// soon is a context that a test that goes right does not outlive.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// inbox collects what a subscription delivers.
type inbox struct {
	t   *testing.T
	sub *bus.Subscription

	mu      sync.Mutex
	events  []bus.Event
	gaps    []*bus.GapError
	changed chan struct{}
}

func collect(t *testing.T, n *bus.Node, pattern string, options ...bus.OnOption) *inbox {
	t.Helper()
	b := &inbox{t: t, changed: make(chan struct{})}
	options = append(options, bus.OnGap(func(_ context.Context, g *bus.GapError) {
		b.add(func() { b.gaps = append(b.gaps, g) })
	}))
	sub, err := n.On(pattern, func(_ context.Context, e bus.Event) {
		b.add(func() { b.events = append(b.events, e) })
	}, options...)
	must(t, err)
	b.sub = sub
	return b
}

func (b *inbox) add(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits for a state of the inbox.
func (b *inbox) until(what string, ok func() bool) {
	b.t.Helper()
	ctx := soon(b.t)
	for {
		b.mu.Lock()
		done, changed := ok(), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.t.Fatalf("%s: %d events and %d gaps so far", what, len(b.events), len(b.gaps))
		}
	}
}

// want waits for exactly these payloads, in order.
func (b *inbox) want(payloads ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("want %d events", len(payloads)), func() bool { return len(b.events) >= len(payloads) })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) != len(payloads) {
		b.t.Fatalf("%d events, want %d", len(b.events), len(payloads))
	}
	for i, e := range b.events {
		if string(e.Payload) != payloads[i] {
			b.t.Fatalf("event %d is %q, want %q", i, e.Payload, payloads[i])
		}
	}
}

// send emits payloads under a topic.
func send(t *testing.T, n *bus.Node, topic string, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		must(t, n.EmitBytes(soon(t), topic, []byte(p)))
	}
}

// numbers is "from", "from+1", … "to".
func numbers(from, to int) (list []string) {
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// awaitLifecycle waits for an event of a stream that was opened before its cause.
func awaitLifecycle(t *testing.T, stream func(func(bus.LifecycleEvent) bool), ok func(bus.LifecycleEvent) bool) bus.LifecycleEvent {
	t.Helper()
	for e := range stream {
		if ok(e) {
			return e
		}
	}
	t.Fatal("the lifecycle event did not come")
	return bus.LifecycleEvent{}
}

// refusal waits until a link reports that it was refused, and why.
func refusal(t *testing.T, n *bus.Node, url string) *bus.PeerError {
	t.Helper()
	stream := n.Lifecycle(soon(t))
	l, err := n.Connect(url)
	must(t, err)
	var peer *bus.PeerError
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool {
		return e.Kind == bus.LifecycleBackoff && errors.As(e.Err, &peer)
	})
	must(t, l.Close())
	return peer
}

// reserve is a loopback URL that nobody listens on yet.
func reserve(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer c.Close()
	return "quic://" + c.LocalAddr().String()
}
