package bus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/codec"
)

// What is on the way to many peers is in memory once for each. It is no more than a log keeps for all of them, and a batch for
// each.
func TestWhatIsOnTheWayToManyPeersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, size, buffer, count = 30, 60 << 10, 6 << 20, 300
		network := bustest.NewNetwork(1)
		hub := network.Node(t, "hub", func(c *bus.Config) { c.BufferBytes, c.Compression = buffer, codec.Off })
		var got atomic.Int64
		for i := range peers {
			name := fmt.Sprint("peer-", i)
			n := network.Node(t, name)
			network.Link(name, "hub").Delay(50 * ms)
			if _, err := n.On("x", func(context.Context, bus.Event) { got.Add(1) }); err != nil {
				t.Fatal(err)
			}
			network.Connect(t, name, "hub")
		}
		pass(time.Second)
		most := 0
		for i := range count {
			must(t, hub.EmitBytes(t.Context(), "x", make([]byte, size)))
			if i%10 == 0 {
				sum := 0
				for _, p := range hub.Peers() {
					s, err := p.Stats()
					must(t, err)
					sum += s.Unacked
				}
				most = max(most, sum)
			}
		}
		must(t, hub.Drain(t.Context()))
		t.Logf("%d KiB on the way at most", most*size>>10)
		if most > buffer/size+peers || most < buffer/size/2 {
			t.Errorf("%d batches of %d KiB were on the way to %d peers", most, size>>10, peers)
		}
		if got.Load() != peers*count {
			t.Errorf("%d events were delivered, of %d", got.Load(), peers*count)
		}
	})
}

// Little things need not wait for one another: as many may be on the way to a peer as fit its share.
func TestSmallBatchesToManyPeersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, count, way = 30, 200, 50 * time.Millisecond
		network := bustest.NewNetwork(1)
		hub := network.Node(t, "hub", func(c *bus.Config) { c.BufferBytes = 1 << 20 }) // 34 KiB for each
		var mu sync.Mutex
		var got int
		var longest time.Duration
		for i := range peers {
			name := fmt.Sprint("peer-", i)
			n := network.Node(t, name)
			network.Link(name, "hub").Delay(way)
			_, err := n.On("x", func(_ context.Context, e bus.Event) {
				mu.Lock()
				defer mu.Unlock()
				got++
				longest = max(longest, time.Since(e.Time))
			})
			must(t, err)
			network.Connect(t, name, "hub")
		}
		pass(time.Second)
		for range count {
			must(t, hub.EmitBytes(t.Context(), "x", make([]byte, 100)))
			pass(5 * ms)
		}
		must(t, hub.Drain(t.Context()))
		if got != peers*count || longest > way+20*ms {
			t.Errorf("%d events of %d, and the slowest took %v on a way of %v", got, peers*count, longest, way)
		}
	})
}
