package protocol

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// pairOfMachines is two machines with a path between them and nothing else: no simulator, so
// that what they allocate can be counted.
type pairOfMachines struct {
	m       [2]*Machine
	now     time.Duration
	buf     []byte
	builder *codec.Builder
	got     int
}

func newPair(t testing.TB) *pairOfMachines {
	p := &pairOfMachines{}
	for i := range p.m {
		cfg := simConfig()
		cfg.ID, cfg.Epoch = simID(i), 1
		p.m[i] = New(0, cfg)
	}
	p.builder = codec.NewBuilder(p.m[0].own[0].id, 1)
	p.m[1].SetPatterns(0, []string{"a.>"})
	for i, m := range p.m {
		m.AddPath(0, PathInfo{ID: 1, Peer: simID(1 - i), Dialed: i == 0, Nonce: 1})
	}
	p.exchange(t)
	return p
}

// exchange carries frames to and fro until nobody has any.
func (p *pairOfMachines) exchange(t testing.TB) {
	for again := true; again; {
		again = false
		for i, m := range p.m {
			other := p.m[1-i]
			for e, ok := m.PollEvent(); ok; e, ok = m.PollEvent() {
				if e.Kind == EventDeliver {
					p.got += int(e.Last - e.First + 1)
					m.Dispatched(p.now, e.Log, e.Last, 0)
				}
			}
			p.buf = m.PollControl(p.now, 1, p.buf[:0])
			again = again || len(p.buf) > 0
			eachFrame(p.buf, func(kind byte, body []byte) {
				if err := other.HandleControl(p.now, 1, kind, body); err != nil {
					t.Fatal(err)
				}
			})
			var batch *codec.Batch
			p.buf, batch = m.PollData(p.now, 1, 0, p.buf[:0])
			again = again || len(p.buf) > 0
			if batch != nil {
				p.buf = append(p.buf, batch.Bytes()...)
				p.buf = append([]byte(nil), p.buf...) // the receiver keeps it
			}
			eachFrame(p.buf, func(kind byte, body []byte) {
				if kind == frameOpen {
					return
				}
				if err := other.HandleData(p.now, 1, 0, kind, body, nil); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func (p *pairOfMachines) emit(t testing.TB, events int) {
	for range events {
		p.builder.Append("a.x", codec.EncodingRaw, 0, nil, p.buf[:0])
	}
	p.m[0].Append(p.now, p.builder.Seal(nil))
	p.now += time.Millisecond
	for _, m := range p.m {
		m.Tick(p.now)
	}
	p.exchange(t)
}

// What the machines allocate is for a batch, whatever is in it: nothing for an event.
func TestNothingIsAllocatedForAnEvent(t *testing.T) {
	p := newPair(t)
	for range 2000 {
		p.emit(t, 10)
	}
	few := testing.AllocsPerRun(500, func() { p.emit(t, 10) })
	many := testing.AllocsPerRun(500, func() { p.emit(t, 1010) })
	if perEvent := (many - few) / 1000; perEvent > 0.01 {
		t.Errorf("%.0f allocations for a batch of 10, %.0f for one of 1,010: %.3f for each event", few, many, perEvent)
	}
	if p.got == 0 || p.m[0].own[0].entries.len() > 1 {
		t.Fatalf("%d events delivered, %d entries left", p.got, p.m[0].own[0].entries.len())
	}
}

// A batch that is kept is kept once, for one absent peer and for a thousand.
func TestMemoryOfABatchIsPaidOnce(t *testing.T) {
	const batches, size = 400, 32 << 10
	measure := func(peers int) (bytes uint64) {
		cfg := simConfig()
		cfg.ID, cfg.Epoch, cfg.MaxPeers = simID(0), 1, peers
		m := New(0, cfg)
		for i := range peers {
			m.OpenLink(0, LinkID(i+1)) // owed everything, whoever answers
		}
		before := heap()
		b := codec.NewBuilder(m.own[0].id, 1)
		for range batches {
			b.Append("a.x", codec.EncodingRaw, 0, nil, make([]byte, size))
			m.Append(0, b.Seal(nil))
		}
		after := heap()
		if kept, _ := m.Retained(0); kept != batches {
			t.Fatalf("%d batches kept of %d", kept, batches)
		}
		if n := len(m.Pending(0, 0)); n != peers {
			t.Fatalf("kept for %d peers of %d", n, peers)
		}
		return after - before
	}
	one, thousand := measure(1), measure(1000)
	t.Logf("%s for one absent peer, %s for a thousand", mib(one), mib(thousand))
	if one < batches*size || thousand > one+one/10 {
		t.Errorf("%s for one absent peer, %s for a thousand", mib(one), mib(thousand))
	}
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func mib(n uint64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }
