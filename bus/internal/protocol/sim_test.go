package protocol

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// world is a network of machines in one thread and virtual time. All that is
// left to chance is drawn from one generator, and what happens at the same time
// happens in the order in which it was planned: a seed repeats a run exactly.
type world struct {
	rng    *rand.Rand
	now    time.Duration
	plan   agenda
	nodes  []*simNode
	links  []*simLink
	conns  []*simConn // not closed on both sides yet
	book   *book
	lag    func() time.Duration // of a chunk of bytes, drawn anew for each
	lanes  int
	tardy  bool          // writers take their time, now and then
	large  bool          // so many nodes that they are not checked after each step
	moved  bool          // links were added
	unrest time.Duration // until when something happened to a connection or a node
	lastID uint64
	bytes  int      // of these
	frames int      // received by all machines
	kinds  [256]int // of these, by kind
	polled []byte   // scratch of what machines hand out
	tracef func(format string, args ...any)
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x5eed)), book: newBook(), lanes: 1}
	w.lag = func() time.Duration { return w.between(time.Millisecond, 40*time.Millisecond) }
	return w
}

// simFailure is what a broken invariant panics with; [attempt] turns it into an error.
type simFailure struct{ text string }

func (w *world) failf(format string, args ...any) {
	panic(simFailure{fmt.Sprintf("at %v: ", w.now) + fmt.Sprintf(format, args...)})
}

func (w *world) trace(format string, args ...any) {
	if w.tracef != nil {
		w.tracef("%12v "+format, append([]any{w.now}, args...)...)
	}
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func pick[T any](w *world, list []T) T { return list[w.rng.IntN(len(list))] }

// after plans something.
func (w *world) after(d time.Duration, do func()) { w.plan.add(w.now+d, do) }

// runUntil lets time pass.
func (w *world) runUntil(end time.Duration) {
	for w.plan.len() > 0 && w.plan.first().at <= end {
		next := w.plan.take()
		if next.at < w.now {
			panic("time goes back")
		}
		w.now = next.at
		next.do()
	}
	w.now = end
}

func (w *world) runFor(d time.Duration) { w.runUntil(w.now + d) }

// settle lets time pass until the network is at rest, and fails after a limit.
func (w *world) settle(limit time.Duration) {
	for end := w.now + limit; ; w.runFor(50 * time.Millisecond) {
		why := w.settled()
		if why == "" {
			return
		}
		if w.now >= end {
			w.failf("not at rest after %v: %s", limit, why)
		}
	}
}

// disturb notes that something happens to a connection or a node, for a while.
func (w *world) disturb(d time.Duration) { w.unrest = max(w.unrest, w.now+d) }

func (w *world) nextID() uint64 { w.lastID++; return w.lastID }

// moment is something planned.
type moment struct {
	at    time.Duration
	order uint64
	do    func()
}

// agenda is a binary heap of moments, by time and then by insertion.
type agenda struct {
	heap  []moment
	count uint64
}

func (a *agenda) len() int       { return len(a.heap) }
func (a *agenda) first() *moment { return &a.heap[0] }

func (a *agenda) before(i, j int) bool {
	x, y := &a.heap[i], &a.heap[j]
	return x.at < y.at || x.at == y.at && x.order < y.order
}

func (a *agenda) add(at time.Duration, do func()) {
	a.count++
	a.heap = append(a.heap, moment{at, a.count, do})
	for i := len(a.heap) - 1; i > 0 && a.before(i, (i-1)/2); i = (i - 1) / 2 {
		a.heap[i], a.heap[(i-1)/2] = a.heap[(i-1)/2], a.heap[i]
	}
}

func (a *agenda) take() moment {
	top, last := a.heap[0], len(a.heap)-1
	a.heap[0] = a.heap[last]
	a.heap[last] = moment{}
	a.heap = a.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if a.before(c, least) {
				least = c
			}
		}
		if least == i {
			return top
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
}

// simID is the id of the node with a number; ids are in the order of numbers.
func simID(i int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	id[15] = byte('A' + i)
	return id
}

// simConfig is what the nodes of a simulation have unless it says otherwise: bounds that are never
// reached.
func simConfig() Config {
	return Config{
		Channel: "sim", Lanes: 1,
		MaxPeers: 100, MaxOrigins: 100, MaxBatch: 1 << 20,
		BufferMax: 1 << 16, BufferBytes: 64 << 20, BufferTimeout: time.Hour,
		Overflow: Block, BlockTimeout: time.Hour,
		ReceiveBytes: 1 << 20, Timeout: 6 * time.Second,
		AckInterval: 100 * time.Millisecond, HelloTimeout: 5 * time.Second, GapWait: 2 * time.Second,
	}
}
