package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// The tests of the files virtual_*_test.go run whole nodes with their real transports over a simulated packet
// network, in virtual time: what takes minutes there takes milliseconds here.

const ms = time.Millisecond

// world is a simulated network with nodes. Everything in it is made inside the bubble.
type world struct {
	*network
	net     *simnet.Network
	members map[*bus.Node]*member
	count   int
}

// member is what stays of a node when it is made again. It has a host for each transport, so that
// each can be cut off alone.
type member struct {
	identity  *certs.Identity
	hosts     map[string]*simnet.Host
	homes     map[string]string // the addresses that others dial
	configure []func(*bus.Config)
}

// virtually runs a test in a bubble.
func virtually(t *testing.T, seed uint64, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// A bubble begins in the year 2000. quic-go counts time from the start of the process, takes zero for "never",
		// and spins where that seems to lie ahead: after a path probe, for one.
		pass(50 * 365 * 24 * time.Hour)
		test(t, &world{network: newNetwork(t), net: simnet.New(seed), members: make(map[*bus.Node]*member)})
	})
}

// schemes are the transports' names, in the order that nodes here prefer them.
var schemes = []string{"quic", "tcp"}

// pass lets virtual time pass.
func pass(d time.Duration) { time.Sleep(d) }

// overEach runs a test over each transport alone, in a bubble.
func overEach(t *testing.T, test func(t *testing.T, w *world, scheme string)) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			virtually(t, 1, func(t *testing.T, w *world) { test(t, w, scheme) })
		})
	}
}

// node makes a node that listens over both transports. Its id is larger than those of the nodes made before.
func (w *world) node(name string, configure ...func(*bus.Config)) *bus.Node {
	w.t.Helper()
	w.count++
	m := &member{w.identity(uuid.UUID{0: byte(w.count)}, name), make(map[string]*simnet.Host), make(map[string]string), configure}
	for i, scheme := range schemes {
		m.homes[scheme] = fmt.Sprintf("10.0.%d.%d", i, w.count)
		m.hosts[scheme] = w.net.Host(m.homes[scheme])
	}
	return w.start(m)
}

func (w *world) start(m *member) *bus.Node {
	w.t.Helper()
	n := w.nodeAs(m.identity, append(m.configure, func(c *bus.Config) {
		c.Transports = []bus.Transport{
			quictransport.New(quictransport.Config{Identity: m.identity, ListenPacket: m.hosts["quic"].ListenPacket}),
			tcptransport.New(tcptransport.Config{Identity: m.identity, Dial: m.hosts["tcp"].Dial, Listen: m.hosts["tcp"].Listen}),
		}
	})...)
	w.members[n] = m
	for _, scheme := range schemes {
		_, err := n.Listen(w.t.Context(), w.url(n, scheme))
		must(w.t, err)
	}
	return n
}

// restart closes a node and starts it again, under its id and addresses.
func (w *world) restart(n *bus.Node) *bus.Node {
	w.t.Helper()
	must(w.t, n.Close())
	return w.start(w.members[n])
}

func (w *world) url(n *bus.Node, scheme string) string {
	return fmt.Sprintf("%s://%s:7000", scheme, w.members[n].homes[scheme])
}

// between is what lies between two nodes for a transport.
func (w *world) between(a, b *bus.Node, scheme string) *simnet.Link {
	return w.net.Link(w.members[a].hosts[scheme], w.members[b].hosts[scheme])
}

// link has a connect to b over a transport, and returns once both have each other for a peer.
func (w *world) link(a, b *bus.Node, scheme string) {
	w.t.Helper()
	w.connect(a, w.url(b, scheme))
	for !slices.ContainsFunc(b.Peers(), func(p *bus.Peer) bool { return p.ID() == a.ID() }) {
		pass(ms)
	}
}

// pair makes two linked nodes whose link has some conditions; b listens for everything.
func (w *world) pair(scheme string, conditions simnet.Conditions, configure ...func(*bus.Config)) (a, b *bus.Node, at *receiver) {
	w.t.Helper()
	a, b = w.node("a", configure...), w.node("b", configure...)
	w.between(a, b, scheme).Set(conditions)
	at = w.receive(b)
	w.link(a, b, scheme)
	w.settled(at)
	return a, b, at
}

func timeoutOf(d time.Duration) func(*bus.Config) { return func(c *bus.Config) { c.Timeout = d } }

// settled returns once everybody knows what the receivers want.
func (w *world) settled(receivers ...*receiver) {
	w.t.Helper()
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	for _, r := range receivers {
		must(w.t, r.sub.Ready(ctx))
	}
}

func lasting(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// counts returns how many lifecycle events of a kind a node has had since.
func (w *world) counts(n *bus.Node, kind bus.LifecycleKind) func() int {
	stream := n.Lifecycle(w.t.Context())
	var count atomic.Int64
	go func() { // ends with the node
		for e := range stream {
			if e.Kind == kind {
				count.Add(1)
			}
		}
	}()
	return func() int {
		synctest.Wait()
		return int(count.Load())
	}
}

// emit emits the events from to to of a topic, so far apart. Each is its number and a filling.
func (w *world) emit(n *bus.Node, topic string, from, to int, apart time.Duration, filling string) {
	w.t.Helper()
	ctx, cancel := lasting(time.Hour)
	defer cancel()
	for i := from; i <= to; i++ {
		must(w.t, n.EmitBytes(ctx, topic, fmt.Appendf(nil, "%d %s", i, filling)))
		if apart > 0 {
			pass(apart)
		}
	}
}

// receiver holds that the events of every topic come as 1, 2, 3… while they come.
type receiver struct {
	t     *testing.T
	sub   *bus.Subscription
	pause func()

	mu      sync.Mutex
	last    map[string]int
	gaps    []*bus.GapError
	came    time.Time // the last event
	changed chan struct{}
}

// receive has a node listen for everything.
func (w *world) receive(n *bus.Node) *receiver {
	w.t.Helper()
	return w.receiveOnly(n, ">", nil)
}

// receiveOnly has a node listen for a pattern; its handler pauses, unless that is nil. In the end there must be no gap.
func (w *world) receiveOnly(n *bus.Node, pattern string, pause func()) *receiver {
	w.t.Helper()
	r := &receiver{t: w.t, pause: pause, last: make(map[string]int), changed: make(chan struct{})}
	sub, err := n.On(pattern, r.handle, bus.OnGap(func(_ context.Context, g *bus.GapError) {
		r.change(func() { r.gaps = append(r.gaps, g) })
	}))
	must(w.t, err)
	r.sub = sub
	w.t.Cleanup(func() {
		for _, g := range r.gaps {
			w.t.Errorf("a gap: %v", g)
		}
	})
	return r
}

func (r *receiver) handle(_ context.Context, e bus.Event) {
	text, _, _ := strings.Cut(string(e.Payload), " ")
	number, err := strconv.Atoi(text)
	if r.pause != nil {
		r.pause()
	}
	r.change(func() {
		if err != nil || number != r.last[e.Topic]+1 {
			r.t.Errorf("event %q of %s after %d", text, e.Topic, r.last[e.Topic])
		}
		r.last[e.Topic], r.came = number, time.Now()
	})
}

func (r *receiver) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits for an event, and returns when it came. It fails the test if that takes longer than patience.
func (r *receiver) until(topic string, number int, patience time.Duration) time.Time {
	r.t.Helper()
	ctx, cancel := lasting(patience)
	defer cancel()
	for {
		r.mu.Lock()
		last, came, changed := r.last[topic], r.came, r.changed
		r.mu.Unlock()
		if last >= number {
			return came
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatalf("%v later, event %d of %s has not come; %d was the last", patience, number, topic, last)
		}
	}
}

// reached is the last event of a topic so far.
func (r *receiver) reached(topic string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[topic]
}

// exactly waits for the last event of a topic, and then some time, in which no other may come.
func (r *receiver) exactly(topic string, number int, patience time.Duration) {
	r.t.Helper()
	r.until(topic, number, patience)
	pass(10 * time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last[topic] != number {
		r.t.Errorf("%d events of %s, want %d", r.last[topic], topic, number)
	}
}
