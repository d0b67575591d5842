package bus

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// queueBook checks that every event offered to a queue is delivered or reported, once,
// in order, and that every item is released once.
type queueBook struct {
	t       *testing.T
	q       queue
	n       *Node
	o       onOptions
	logs    []codec.LogID
	next    []uint64        // to offer
	held    map[uint64]bool // ends of items the logs wait for, by log and end
	seen    []uint64        // the last event delivered or reported
	deliver uint64
	missed  uint64
}

func key(log int, end uint64) uint64 { return uint64(log)<<32 | end }

func (b *queueBook) offer(log, count int) {
	builder := codec.NewBuilder(b.logs[log], b.next[log])
	for range count {
		builder.Append("x", codec.EncodingRaw, 0, nil, nil)
	}
	batch := builder.Seal(nil)
	b.next[log] = builder.Next()
	held, _, released := b.q.offer(b.n, &item{log: batch.Log, batch: batch, last: batch.Last(), until: count}, b.o)
	for _, it := range released {
		b.release(it)
	}
	if held {
		b.held[key(log, batch.Last())] = true
	}
	if b.o.policy != unbounded && b.q.events > b.o.bound {
		b.t.Fatalf("%d events wait, the bound is %d", b.q.events, b.o.bound)
	}
}

func (b *queueBook) release(it *item) {
	k := key(b.log(it), it.last)
	if !b.held[k] {
		b.t.Fatalf("an item that ends at %d was released twice, or never held", it.last)
	}
	delete(b.held, k)
}

func (b *queueBook) log(it *item) int {
	for i, id := range b.logs {
		if id == it.log {
			return i
		}
	}
	panic("unknown log")
}

// take delivers the oldest item as a subscription would.
func (b *queueBook) take() {
	it := b.q.take()
	if it == nil {
		return
	}
	log := b.log(it)
	if it.gap != nil {
		if it.gap.From > b.seen[log]+1 {
			b.t.Fatalf("a gap from %d after %d", it.gap.From, b.seen[log])
		}
		if it.gap.To > b.seen[log] {
			b.missed += it.gap.To - max(it.gap.From-1, b.seen[log])
			b.seen[log] = it.gap.To
		}
	} else {
		for i := it.at + 1; i <= it.until; i++ {
			seq := it.batch.First + uint64(i) - 1
			if seq <= b.seen[log] {
				// Within a gap that names a whole batch, or twice: the latter is an error.
				b.missed--
			}
			b.seen[log] = max(b.seen[log], seq)
			b.deliver++
		}
	}
	if done, held := b.q.finish(it); held {
		b.release(&done)
	}
}

func TestQueue(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := &queueBook{t: t, n: &Node{}, held: make(map[uint64]bool)}
		b.o.policy = queuePolicy(rnd.IntN(3))
		b.o.bound = 1 + rnd.IntN(40)
		for range 1 + rnd.IntN(3) {
			b.logs = append(b.logs, codec.LogID{Node: uuid.New()})
			b.next, b.seen = append(b.next, 1), append(b.seen, 0)
		}
		for range 400 {
			switch log := rnd.IntN(len(b.logs)); rnd.IntN(8) {
			case 0, 1, 2:
				b.offer(log, 1+rnd.IntN(30))
			case 3:
				ends, _ := b.q.cutOff(b.n, b.logs[log])
				for _, end := range ends {
					delete(b.held, key(log, end))
				}
			default:
				b.take()
			}
		}
		for len(b.q.items) > 0 {
			b.take()
		}
		var offered uint64
		for i := range b.logs {
			offered += b.next[i] - 1
			if b.seen[i] != b.next[i]-1 {
				t.Fatalf("seed %d: log %d was seen to %d of %d", seed, i, b.seen[i], b.next[i]-1)
			}
		}
		if b.deliver+b.missed != offered {
			t.Fatalf("seed %d: policy %d bound %d logs %d: %d delivered and %d missed of %d", seed, b.o.policy, b.o.bound, len(b.logs), b.deliver, b.missed, offered)
		}
		if len(b.held) > 0 || b.q.events != 0 {
			t.Fatalf("seed %d: %d items never released, %d events counted", seed, len(b.held), b.q.events)
		}
		if b.o.policy == unbounded && b.missed > 0 && b.deliver == offered {
			t.Fatalf("seed %d: a queue without a bound dropped", seed)
		}
	}
}

// A queue that is emptied again and again allocates nothing.
func TestQueueAllocatesNothing(t *testing.T) {
	var q queue
	if n := testing.AllocsPerRun(100, func() {
		q.push(q.newItem(item{until: 1}))
		q.finish(q.take())
	}); n > 0 {
		t.Errorf("%v allocations for an item", n)
	}
}
