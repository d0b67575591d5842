//go:build !race

package tcptransport_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
	"github.com/verbose-bus/verbose/tcptransport"
)

// Batches that come and go leave nothing to the collector: neither where they are emitted, nor where they are passed on, nor
// where handlers borrow them.
func TestBorrowedMemoryIsUsedAgain(t *testing.T) {
	ca, err := certs.NewCA("test")
	must(t, err)
	nodes := make([]*bus.Node, 3)
	for i := range nodes {
		id, err := ca.Issue(uuid.Nil, "")
		must(t, err)
		nodes[i], err = bus.New(bus.Config{
			Transports:  []bus.Transport{tcptransport.New(tcptransport.Config{Identity: id})},
			BufferBytes: 4 << 20, Compression: codec.Off, // little, so that all of it is used again
		})
		must(t, err)
		t.Cleanup(func() { must(t, nodes[i].Close()) })
		if i > 0 {
			connect(t, nodes[i], "tcp://"+listen(t, nodes[i-1], "tcp"))
		}
	}
	var got atomic.Int64
	s, err := nodes[2].On("x", func(context.Context, bus.Event) { got.Add(1) }, bus.Borrow())
	must(t, err)
	must(t, s.Ready(soon(t)))
	must(t, nodes[0].WaitInterest(soon(t), "x"))
	payload := make([]byte, 10<<10)
	emit := func(n int) {
		for range n {
			must(t, nodes[0].EmitBytes(soon(t), "x", payload))
		}
		must(t, nodes[0].Drain(soon(t)))
		must(t, nodes[1].Drain(soon(t)))
	}
	emit(2000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const count = 20_000
	emit(count)
	runtime.ReadMemStats(&after)
	// 200 MB went through three nodes. A collection now and then empties the pools.
	each := float64(after.TotalAlloc-before.TotalAlloc) / count
	t.Logf("%.0f bytes allocated for each event of %d", each, len(payload))
	if each > float64(len(payload))/4 {
		t.Errorf("%.0f bytes were allocated for each event of %d", each, len(payload))
	}
}
