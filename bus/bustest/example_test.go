package bustest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// A first test of a service: two nodes, an event, and what came of it.
func ExamplePair() {
	test(func(t testing.TB) {
		shop, stock := bustest.Pair(t)
		stock.On("orders.*", func(_ context.Context, e bus.Event) { fmt.Println(e.Topic, string(e.Payload)) })
		shop.WaitInterest(t.Context(), "orders.new")
		shop.EmitBytes(t.Context(), "orders.new", []byte("a teapot"))
		shop.Drain(t.Context()) // until the handler has returned
	})
	// Output: orders.new a teapot
}

// Nodes in a row: what the first emits comes to the last over the others.
func ExampleChain() {
	test(func(t testing.TB) {
		nodes := bustest.Chain(t, 4, func(c *bus.Config) { c.Channel = "tests" })
		last, _ := nodes[3].Subscribe("news.>")
		nodes[0].WaitInterest(t.Context(), "news.today")
		nodes[0].Emit(t.Context(), "news.today", "it rains")
		for event := range last.Events(t.Context()) {
			var text string
			event.Args(&text)
			fmt.Println(event.Topic, text)
			break
		}
	})
	// Output: news.today it rains
}

// A link that is slow, loses its connections, and falls silent in one direction.
func ExampleNetwork_Link() {
	test(func(t testing.TB) {
		network := bustest.NewNetwork(1)
		a, b := network.Node(t, "a"), network.Node(t, "b")
		network.Connect(t, "a", "b")
		link := network.Link("a", "b")
		link.Delay(5 * time.Millisecond)
		link.Jitter(time.Millisecond)

		sub, _ := b.Subscribe(">")
		a.WaitInterest(t.Context(), "tick")
		link.OneWay().Stall() // nothing of a's arrives
		a.Emit(t.Context(), "tick", 1)
		link.Reset() // connections end; a connects again
		a.Emit(t.Context(), "tick", 2)
		link.OneWay().Resume()
		for event := range sub.Events(t.Context()) {
			fmt.Println(event.Topic, event.Seq, string(event.Payload))
			if event.Seq == 2 {
				break
			}
		}
	})
	// Output:
	// tick 1 [1]
	// tick 2 [2]
}

// TestOutageInVirtualTime cuts a link for two seconds, which take none in a synctest bubble.
func TestOutageInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		shop, stock := network.Node(t, "shop"), network.Node(t, "stock")
		network.Connect(t, "shop", "stock")
		var got []uint64
		stock.On("orders.*", func(_ context.Context, e bus.Event) { got = append(got, e.Seq) })
		shop.WaitInterest(t.Context(), "orders.new")

		network.Link("shop", "stock").Cut()
		began := time.Now()
		for i := range 20 {
			if err := shop.Emit(t.Context(), "orders.new", i); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("%d events arrived over a link that is cut", len(got))
		}
		network.Link("shop", "stock").Heal()
		if err := shop.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, seq := range got {
			if seq != uint64(i+1) {
				t.Fatalf("events %d, want 1 to 20 in order", got)
			}
		}
		if outage := time.Since(began); len(got) != 20 || outage < 2*time.Second || outage > 3*time.Second {
			t.Errorf("%d events after %v, want 20 just after 2 s", len(got), outage)
		}
	})
}
