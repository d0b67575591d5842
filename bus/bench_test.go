package bus_test

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
)

// pairForBenchmark links two nodes; every event under "x" goes to the handler.
func pairForBenchmark(b *testing.B, h bus.Handler) (emitter *bus.Node) {
	ca, err := certs.NewCA("benchmark")
	must(b, err)
	node := func() *bus.Node {
		id, err := ca.Issue(uuid.Nil, "")
		must(b, err)
		n, err := bus.New(bus.Config{Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: id})}})
		must(b, err)
		b.Cleanup(func() { n.Close() })
		return n
	}
	emitter, receiver := node(), node()
	_, err = receiver.On("x", h)
	must(b, err)
	addr, err := receiver.Listen(b.Context(), "quic://127.0.0.1:0")
	must(b, err)
	_, err = emitter.Connect("quic://" + addr.String())
	must(b, err)
	must(b, emitter.WaitInterest(b.Context(), "x"))
	return emitter
}

// BenchmarkEmitToHandler is one way, to saturation, between two nodes of one process.
func BenchmarkEmitToHandler(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"64B", 64}, {"1KiB", 1 << 10}, {"16KiB", 16 << 10}, {"1MiB", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			emitter := pairForBenchmark(b, func(context.Context, bus.Event) {})
			payload := make([]byte, c.size)
			rand.Read(payload)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				emit(b, emitter, "x", payload)
			}
			must(b, emitter.Drain(b.Context()))
		})
	}
}

// BenchmarkRoundTrip has one event go there and another back, each from a handler or to one.
func BenchmarkRoundTrip(b *testing.B) {
	got := make(chan struct{}, 1)
	emitter := pairForBenchmark(b, func(context.Context, bus.Event) { got <- struct{}{} })
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		emit(b, emitter, "x", payload)
		<-got
	}
}

// BenchmarkEmitUnheard is what an event costs that nobody listens for.
func BenchmarkEmitUnheard(b *testing.B) {
	emitter := pairForBenchmark(b, func(context.Context, bus.Event) {})
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		emit(b, emitter, "y", payload)
	}
}

// emit does without the marking of helpers, which would cost more than the event.
func emit(b *testing.B, n *bus.Node, topic string, payload []byte) {
	if err := n.EmitBytes(context.Background(), topic, payload); err != nil {
		b.Fatal(err)
	}
}
