package bus_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/codec"
)

// Events that can't be sent yet, for those before them wait for credit, go in batches together: the sender is idle then, but a
// batch of each event would not leave any sooner.
func TestEventsThatWaitForCreditShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, size = 20_000, 64
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.BufferMax, c.Compression = 4000, codec.Off })
		to := network.Node(t, "to")
		network.Link("from", "to").Delay(20 * ms)
		network.Connect(t, "from", "to")
		if _, err := to.On("x", func(context.Context, bus.Event) { pass(100 * time.Microsecond) }); err != nil {
			t.Fatal(err)
		}
		must(t, from.WaitInterest(t.Context(), "x"))
		for range count {
			must(t, from.EmitBytes(t.Context(), "x", make([]byte, size)))
		}
		must(t, from.Drain(t.Context()))
		stats, err := from.Peers()[0].Stats()
		must(t, err)
		t.Logf("%.1f bytes for each event", float64(stats.SentBytes)/count)
		if each := float64(stats.SentBytes) / count; each > size+6 {
			t.Errorf("%.1f bytes were sent for each event of %d", each, size)
		}
	})
}

// One who waits for credit does not hold up another who does not.
func TestEventsDoNotWaitForTheCreditOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.Compression = codec.Off })
		stuck, quick := network.Node(t, "stuck"), network.Node(t, "quick")
		network.Connect(t, "stuck", "from")
		network.Connect(t, "quick", "from")
		release := make(chan struct{})
		if _, err := stuck.On("x", func(context.Context, bus.Event) { <-release }); err != nil {
			t.Fatal(err)
		}
		var late atomic.Int64 // the latest, in ns
		if _, err := quick.On("x", func(_ context.Context, e bus.Event) { late.Store(max(late.Load(), int64(time.Since(e.Time)))) }); err != nil {
			t.Fatal(err)
		}
		for len(from.Topology().Members) < 3 {
			pass(ms)
		}
		pass(time.Second) // until both are known to listen
		for range 300 {
			must(t, from.EmitBytes(t.Context(), "x", make([]byte, 1<<10)))
			pass(10 * ms)
		}
		if took := time.Duration(late.Load()); took > 2*ms {
			t.Errorf("an event took %v, though its receiver had credit", took)
		}
		close(release)
		must(t, from.Drain(t.Context()))
	})
}

// Nor does one who waits for the credit of one topic hold up others who listen for another.
func TestEventsDoNotWaitForTheCreditOfOtherTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.Compression = codec.Off })
		quick := network.Node(t, "quick")
		stuck := network.Node(t, "stuck", func(c *bus.Config) { c.ReceiveBytes = 1 })
		network.Connect(t, "stuck", "from")
		network.Connect(t, "quick", "from")
		release := make(chan struct{})
		bulk, err := stuck.On("bulk", func(context.Context, bus.Event) { <-release })
		must(t, err)
		var late atomic.Int64 // the latest, in ns
		ping, err := quick.On("ping", func(_ context.Context, e bus.Event) { late.Store(max(late.Load(), int64(time.Since(e.Time)))) })
		must(t, err)
		must(t, bulk.Ready(t.Context()))
		must(t, ping.Ready(t.Context()))
		for range 300 {
			must(t, from.EmitBytes(t.Context(), "bulk", make([]byte, 1<<10)))
			pass(ms)
			must(t, from.EmitBytes(t.Context(), "ping", nil))
			pass(20 * ms)
		}
		if took := time.Duration(late.Load()); took > 2*ms {
			t.Errorf("an event took %v, though its receiver had credit", took)
		}
		close(release)
		must(t, from.Drain(t.Context()))
	})
}

// Events that nobody listens for wait for others, and those do not wait with them, though a sender is stuck.
func TestEventsDoNotWaitWithThoseThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.Compression = codec.Off })
		stuck, quick := network.Node(t, "stuck"), network.Node(t, "quick")
		network.Connect(t, "stuck", "from")
		network.Connect(t, "quick", "from")
		bulk, in := collect(t, stuck, "bulk"), make(chan time.Duration, 1)
		sub, err := quick.On("x", func(_ context.Context, e bus.Event) { in <- time.Since(e.Time) })
		must(t, err)
		must(t, bulk.sub.Ready(t.Context()))
		must(t, sub.Ready(t.Context()))
		network.Link("stuck", "from").Stall()
		must(t, from.EmitBytes(t.Context(), "bulk", make([]byte, 1<<20))) // more than a stream's window
		pass(200 * ms)
		must(t, from.EmitBytes(t.Context(), "nobody's", nil))
		pass(ms)
		must(t, from.EmitBytes(t.Context(), "x", nil))
		if took := <-in; took > 2*ms {
			t.Errorf("an event took %v", took)
		}
		network.Link("stuck", "from").Resume()
		must(t, from.Drain(t.Context()))
	})
}

// A receipt of an event that comes alone is there as soon as the way there and back allows.
func TestReceiptTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const way = 10 * time.Millisecond
		network := bustest.NewNetwork(1)
		from, to := network.Node(t, "from"), network.Node(t, "to")
		network.Link("from", "to").Delay(way)
		network.Connect(t, "from", "to")
		sub, err := to.On("x", func(context.Context, bus.Event) {})
		must(t, err)
		must(t, sub.Ready(t.Context()))
		for i := range 20 {
			pass(50 * ms)
			began := time.Now()
			r, err := from.EmitMessage(t.Context(), bus.Message{Topic: "x"})
			must(t, err)
			must(t, r.Done(t.Context()))
			if took := time.Since(began); took > 2*way+ms && i > 0 { // with the first, credit is urgent
				t.Errorf("done after %v, on a way of %v each", took, way)
			}
		}
	})
}
