package bus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/codec"
)

// numbered is a payload that only event n has. Most of them share a batch with others, and some fill several.
func numbered(n uint64) []byte {
	p := make([]byte, []int{3000, 200, 40_000, 12_000, 90_000}[n%5])
	r := rand.New(rand.NewPCG(n, 1))
	word := r.Uint64()
	for i := 8; i < len(p); i += 8 {
		if i%64 == 0 {
			word = r.Uint64()
		}
		binary.LittleEndian.PutUint64(p[i:], word) // some of it can be compressed
	}
	binary.BigEndian.PutUint64(p, n)
	return p
}

// Whoever holds on to events may, whoever else borrows them: here and on the way, over links that are cut.
func TestBorrowedMemoryIsNotThatOfOthers(t *testing.T) {
	for _, mode := range []codec.Mode{codec.Off, codec.S2, codec.Zstd} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { borrow(t, mode) })
		})
	}
}

func borrow(t *testing.T, mode codec.Mode) {
	const count = 750
	network := bustest.NewNetwork(1)
	configure := func(c *bus.Config) { c.Compression = mode }
	from, relay, to := network.Node(t, "from", configure), network.Node(t, "relay", configure), network.Node(t, "to", configure)
	network.Connect(t, "from", "relay")
	network.Connect(t, "to", "relay")

	var mu sync.Mutex
	var held []bus.Event
	check := func(e bus.Event) {
		if n := binary.BigEndian.Uint64(e.Payload); n != e.Seq || e.Topic != "x" || !bytes.Equal(e.Payload, numbered(n)) {
			t.Errorf("event %d is another", e.Seq)
		}
	}
	borrowing := func(_ context.Context, e bus.Event) { check(e) }
	var subs []*bus.Subscription
	on := func(n *bus.Node, h bus.Handler, options ...bus.OnOption) {
		s, err := n.On("x", h, options...)
		must(t, err)
		subs = append(subs, s)
	}
	on(relay, borrowing, bus.Borrow())
	on(to, borrowing, bus.Borrow())
	on(to, func(_ context.Context, e bus.Event) {
		if e.Seq%2 == 0 { // batches that are held and batches that are not
			pass(time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, e)
	})
	must(t, from.WaitInterest(t.Context(), "x"))
	for _, s := range subs {
		must(t, s.Ready(t.Context()))
	}
	for n := uint64(1); n <= count; n++ {
		must(t, from.EmitBytes(t.Context(), "x", numbered(n)))
		if n%500 == 0 {
			network.Link("to", "relay").Cut()
			pass(50 * ms)
			network.Link("to", "relay").Heal()
		}
	}
	must(t, from.Drain(t.Context()))
	must(t, relay.Drain(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	if len(held) != count {
		t.Fatalf("%d events of %d", len(held), count)
	}
	for _, e := range held {
		check(e)
	}
	for _, s := range subs {
		if got := s.Stats().Delivered; got != count {
			t.Errorf("a subscription was given %d events of %d", got, count)
		}
	}
}

// A batch that is being written is held, also if its log lets go of it meanwhile.
func TestWhatIsBeingSentIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 3000
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) {
			c.Compression, c.BufferBytes, c.BlockTimeout, c.Timeout = codec.Off, 2<<20, 300*ms, time.Minute
		})
		slow, quick := network.Node(t, "slow"), network.Node(t, "quick")
		network.Link("slow", "from").Delay(20 * ms)
		network.Connect(t, "slow", "from")
		network.Connect(t, "quick", "from")
		var got, missed atomic.Uint64
		for _, n := range []*bus.Node{slow, quick} {
			s, err := n.On("x", func(_ context.Context, e bus.Event) {
				if !bytes.Equal(e.Payload, numbered(e.Seq)) {
					t.Errorf("event %d is another", e.Seq)
				}
				if n == slow {
					got.Add(1)
				}
			}, bus.Borrow(), bus.OnGap(func(_ context.Context, g *bus.GapError) { missed.Add(g.To - g.From + 1) }))
			must(t, err)
			must(t, s.Ready(t.Context()))
		}
		must(t, from.WaitInterest(t.Context(), "x"))
		pass(time.Second)
		for n := uint64(1); n <= count; n++ {
			switch n {
			case count / 3: // it has the credit for more by now than a stream takes
				network.Link("slow", "from").Stall()
			case count * 2 / 3:
				network.Link("slow", "from").Resume()
			}
			must(t, from.EmitBytes(t.Context(), "x", numbered(n)))
		}
		must(t, from.Drain(t.Context()))
		pass(time.Second)
		t.Logf("%d events of %d, and %d missed", got.Load(), count, missed.Load())
		if missed.Load() == 0 || got.Load()+missed.Load() != count {
			t.Error("not all, or nothing was let go of")
		}
		for _, n := range []*bus.Node{slow, quick} {
			if len(n.Peers()) != 1 {
				t.Error("a connection was lost")
			}
		}
	})
}

// An iteration may borrow, too: an event lasts until the next is asked for.
func TestBorrowingIteration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 400
		from, to := bustest.Pair(t)
		s, err := to.Subscribe("x", bus.Borrow())
		must(t, err)
		must(t, s.Ready(t.Context()))
		must(t, from.WaitInterest(t.Context(), "x"))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := uint64(1); n <= count; {
				for e, err := range s.Events(t.Context()) { // goes on where it was left
					if err != nil || e.Seq != n || !bytes.Equal(e.Payload, numbered(n)) {
						t.Errorf("event %d: %d, %v", n, e.Seq, err)
					}
					if n++; n%7 == 0 || n > count {
						break
					}
				}
			}
		}()
		for n := uint64(1); n <= count; n++ {
			must(t, from.EmitBytes(t.Context(), "x", numbered(n)))
		}
		<-done
	})
}

// A topic may be borrowed, too: what is emitted under it waits for a batch, and meanwhile the topic may be another.
func TestTopicIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		from, to := network.Node(t, "from"), network.Node(t, "to")
		network.Connect(t, "from", "to")
		in := collect(t, to, "x")
		must(t, in.sub.Ready(t.Context()))
		name := []byte("y") // which nobody listens for
		must(t, from.EmitBytes(t.Context(), unsafe.String(&name[0], 1), []byte("1")))
		name[0] = 'x'
		must(t, from.EmitBytes(t.Context(), "x", []byte("2")))
		must(t, from.Drain(t.Context()))
		in.want("2")
	})
}
