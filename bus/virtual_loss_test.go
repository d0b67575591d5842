package bus_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
	"github.com/verbose-bus/verbose/codec"
)

// Thousands of events in both directions of a link that loses, reorders and duplicates.
func TestVirtualLossyLink(t *testing.T) {
	seeds := uint64(3)
	if raceEnabled {
		seeds = 1
	}
	for _, scheme := range schemes {
		for _, loss := range []float64{0, 0.02, 0.2} {
			for seed := range seeds {
				t.Run(fmt.Sprintf("%s/%v/%d", scheme, loss, seed), func(t *testing.T) {
					virtually(t, seed, func(t *testing.T, w *world) {
						a, b, atB := w.pair(scheme, simnet.Conditions{Delay: 20 * ms, Jitter: 5 * ms,
							Loss: loss, Reorder: 0.1, Duplicate: 0.05})
						atA := w.receive(a)
						w.settled(atA)
						const count = 2000
						var both sync.WaitGroup
						for _, n := range []*bus.Node{a, b} {
							both.Go(func() { w.emit(n, "x", 1, count, ms, strings.Repeat("filling ", 10)) })
						}
						both.Wait()
						atA.exactly("x", count, 2*time.Minute)
						atB.exactly("x", count, 2*time.Minute)
					})
				})
			}
		}
	}
}

// Bulk on a narrow link cannot fake a death: keepalives get through while the data of many lanes waits.
func TestVirtualNarrowLink(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b, at := w.pair(scheme, simnet.Conditions{Delay: 20 * ms, Rate: 2_000_000, Queue: 16 << 10}, func(c *bus.Config) {
			c.Timeout, c.Lanes, c.Compression = 1500*ms, 64, codec.Off
		})
		downs := []func() int{w.counts(a, bus.LifecyclePeerDown), w.counts(b, bus.LifecyclePeerDown)}
		const topics, count = 200, 5 // 10 MB, which take 40 s
		filling := strings.Repeat("x", 10_000)
		var emitting sync.WaitGroup
		for i := range topics {
			emitting.Go(func() { w.emit(a, fmt.Sprint("bulk", i), 1, count, 0, filling) })
		}
		emitting.Wait()
		for i := range topics {
			at.until(fmt.Sprint("bulk", i), count, 3*time.Minute)
		}
		for i, down := range downs {
			if n := down(); n > 0 {
				t.Errorf("%c lost its peer %d times", 'a'+i, n)
			}
		}
	})
}

// With several lanes, a loss on the stream of one does not hold up another.
func TestVirtualLanesAreIndependent(t *testing.T) {
	virtually(t, 1, func(t *testing.T, w *world) {
		const delay = 50 * ms
		a, b := w.node("a", func(c *bus.Config) { c.Lanes = 8 }), w.node("b")
		link := w.between(a, b, "quic")
		link.Set(simnet.Conditions{Delay: delay})
		at := w.receive(b)
		w.link(a, b, "quic")
		w.settled(at)
		topics := w.onePerLane(a, b, 8)
		pass(time.Second)

		link.Cut()
		w.emit(a, topics[0], 2, 2, 0, "")
		synctest.Wait()
		link.Heal()
		began := time.Now()
		for _, topic := range topics[1:] {
			w.emit(a, topic, 2, 2, 0, "")
			if took := at.until(topic, 2, time.Second).Sub(began); took > delay {
				t.Errorf("an event of another lane took %v", took)
			}
			began = time.Now()
		}
		at.exactly(topics[0], 2, 10*time.Second)
	})
}

// onePerLane returns topics of lanes of their own, of each of which one event was emitted.
func (w *world) onePerLane(from, to *bus.Node, lanes int) (topics []string) {
	w.t.Helper()
	sub, err := to.Subscribe(">")
	must(w.t, err)
	defer sub.Close()
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	must(w.t, sub.Ready(ctx))
	seen := make(map[uint8]bool)
	next := 0
	w.emit(from, "topic0", 1, 1, 0, "")
	for e, err := range sub.Events(ctx) {
		must(w.t, err)
		if !seen[e.Lane] {
			seen[e.Lane] = true
			topics = append(topics, e.Topic)
		}
		if len(seen) == lanes {
			break
		}
		next++
		w.emit(from, fmt.Sprint("topic", next), 1, 1, 0, "")
	}
	return topics
}
