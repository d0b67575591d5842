package bus_test

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
	"github.com/verbose-bus/verbose/quictransport"
)

// exampleNodes is two nodes, the second connected to the first. Errors are left out.
func exampleNodes() (alice, bob *bus.Node) {
	ca, _ := certs.NewCA("example")
	node := func(name string) *bus.Node {
		id, _ := ca.Issue(uuid.Nil, name)
		n, _ := bus.New(bus.Config{Name: name, Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: id})}})
		return n
	}
	alice, bob = node("alice"), node("bob")
	addr, _ := alice.Listen(context.Background(), "quic://127.0.0.1:0")
	link, _ := bob.Connect("quic://" + addr.String())
	link.Ready(context.Background())
	return alice, bob
}

func Example() {
	alice, bob := exampleNodes()
	defer alice.Close()
	defer bob.Close()
	ctx := context.Background()

	bob.On("orders.*", func(_ context.Context, e bus.Event) {
		var fruit string
		var count int
		if err := e.Args(&fruit, &count); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Topic, e.Seq, fruit, count)
	})
	alice.WaitInterest(ctx, "orders.new")
	alice.Emit(ctx, "orders.new", "apples", 3)
	alice.Emit(ctx, "orders.changed", "apples", 4)
	alice.Drain(ctx)
	// Output:
	// orders.new 1 apples 3
	// orders.changed 2 apples 4
}

// A loop over a subscription's events gets what is missing in its place.
func ExampleSubscription_Events() {
	alice, bob := exampleNodes()
	defer alice.Close()
	defer bob.Close()
	ctx := context.Background()

	sub, _ := bob.Subscribe("log.>")
	sub.Ready(ctx)
	for i := range 3 {
		alice.EmitBytes(ctx, "log.lines", fmt.Appendf(nil, "line %d", i+1))
	}
	for e, err := range sub.Events(ctx) {
		if err != nil {
			fmt.Println("missing:", err)
			continue
		}
		fmt.Printf("%s\n", e.Payload)
		if e.Seq == 3 {
			break
		}
	}
	// Output:
	// line 1
	// line 2
	// line 3
}

func ExampleTopic() {
	alice, bob := exampleNodes()
	defer alice.Close()
	defer bob.Close()
	ctx := context.Background()

	type Reading struct {
		Sensor  string
		Celsius float64
	}
	readings, _ := bus.NewTopic("readings", codec.CBOR[Reading]())
	sub, _ := readings.On(bob, func(_ context.Context, r Reading, e bus.Event) {
		fmt.Println(r.Sensor, r.Celsius)
	})
	sub.Ready(ctx)
	readings.Emit(ctx, alice, Reading{"cellar", 11.5})
	alice.Drain(ctx)
	// Output: cellar 11.5
}

// A receipt tells when one event is done with.
func ExampleReceipt() {
	alice, bob := exampleNodes()
	defer alice.Close()
	defer bob.Close()
	ctx := context.Background()

	sub, _ := bob.On("jobs", func(_ context.Context, e bus.Event) {
		who, _ := e.Headers.Get("from")
		fmt.Printf("%s, from %s\n", e.Payload, who)
	})
	sub.Ready(ctx)
	receipt, _ := alice.EmitMessage(ctx, bus.Message{
		Topic: "jobs", Payload: []byte("tidy up"), Headers: []bus.Header{{Key: "from", Value: "alice"}},
	})
	if err := receipt.Done(ctx); err == nil {
		fmt.Println("done")
	}
	// Output:
	// tidy up, from alice
	// done
}
