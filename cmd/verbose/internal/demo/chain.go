package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// topicName is what the earthquakes are emitted under.
const topicName = "earthquakes"

// busChain is four nodes in a row: the first emits, the last listens, and those between join a link over QUIC to one over TCP.
type busChain struct {
	nodes   [hops + 1]*bus.Node
	cutters [hops]*cutter
	wire    wire
	show    *screen
	cancel  context.CancelFunc
	watches sync.WaitGroup
	emitted atomic.Uint64
	sent    atomic.Uint64 // bytes of payload

	mu       sync.Mutex
	received [][]byte
}

func newBusChain(ctx context.Context, ca *certs.CA, show *screen) (*busChain, error) {
	c := &busChain{show: show}
	ctx, c.cancel = context.WithCancel(ctx)
	for i := range c.nodes {
		if err := c.addNode(ca, i); err != nil {
			c.close()
			return nil, err
		}
	}
	if _, err := c.nodes[hops].On(topicName, c.receive, bus.OnGap(func(_ context.Context, gap *bus.GapError) {
		show.note("%v", gap)
	})); err != nil {
		c.close()
		return nil, err
	}
	for i := hops - 1; i >= 0; i-- { // each node connects to the next
		addr, err := c.nodes[i+1].Listen(ctx, schemes[i]+"://127.0.0.1:0")
		if err == nil {
			c.watches.Add(1)
			go c.watch(c.nodes[i].Lifecycle(ctx), i) // ends with ctx; close waits for it
			_, err = c.nodes[i].Connect(schemes[i] + "://" + addr.String())
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *busChain) addNode(ca *certs.CA, i int) error {
	identity, err := issue(ca, names[i])
	if err != nil {
		return err
	}
	var transports []bus.Transport
	if i > 0 { // for listening
		transports = append(transports, c.wire.transport(schemes[i-1], identity))
	}
	if i < hops { // for dialling, and of another scheme
		c.cutters[i] = newCutter(c.wire.transport(schemes[i], identity), func(closed time.Duration) { c.show.cut(i, closed) })
		transports = append(transports, c.cutters[i])
	}
	c.nodes[i], err = bus.New(bus.Config{Name: names[i], Channel: "demo", Transports: transports})
	return err
}

// watch notes when a link is up again.
func (c *busChain) watch(events func(func(bus.LifecycleEvent) bool), hop int) {
	defer c.watches.Done()
	for e := range events {
		if e.Kind != bus.LifecyclePathUp || e.URL == "" {
			continue
		}
		if took, ok := c.cutters[hop].isUp(); ok {
			c.show.resumed(hop, took)
		}
	}
}

// ready waits until the whole chain is up.
func (c *busChain) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("the chain of nodes did not come up within 10 s"))
	defer cancel()
	return c.nodes[0].WaitInterest(ctx, topicName)
}

func (c *busChain) emit(ctx context.Context, line []byte) error {
	if err := c.nodes[0].EmitBytes(ctx, topicName, line); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	c.emitted.Add(1)
	c.sent.Add(uint64(len(line)))
	return nil
}

func (c *busChain) receive(_ context.Context, e bus.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, e.Payload)
}

func (c *busChain) delivered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.received)
}

// finish waits until every node has passed on what it holds. If that does not happen in time, what is
// missing is found by comparing.
func (c *busChain) finish(ctx context.Context) {
	for _, node := range c.nodes[:hops] {
		if err := node.Drain(ctx); err != nil {
			c.show.note("%v", err)
		}
	}
}

func (c *busChain) side(lines [][]byte) Side {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Side{Counts: compare(lines, c.received), WireBytes: c.wire.bytes.Load(), Payload: c.sent.Load()}
	for _, cutter := range c.cutters {
		cutter.addTo(&s)
	}
	return s
}

func (c *busChain) close() {
	var wg sync.WaitGroup
	for _, node := range c.nodes {
		if node != nil {
			wg.Go(func() { node.Close() })
		}
	}
	wg.Wait()
	c.cancel()
	c.watches.Wait()
}
