package bus

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// queueBook checks that every matching event offered to a queue is delivered or in a gap, in order, that their
// origins hear of the same gaps, and that every item is released once.
type queueBook struct {
	t       *testing.T
	rnd     *rand.Rand
	q       queue
	o       onOptions
	logs    []*queueLog
	current *item
	at      int // events of current passed
}

// queueLog is what is known of a log's events, by number less one.
type queueLog struct {
	id       codec.LogID
	mixed    bool            // not all match
	matches  []bool          // of what was offered
	held     map[uint64]bool // where items end that the log waits for
	seen     uint64          // the last delivered or in a gap
	got      []bool
	missed   []bool
	reported []bool
}

func (b *queueBook) log(id codec.LogID) *queueLog {
	for _, l := range b.logs {
		if l.id == id {
			return l
		}
	}
	panic("unknown log")
}

func (b *queueBook) offer(l *queueLog, count int) {
	builder := codec.NewBuilder(l.id, uint64(len(l.matches))+1)
	matching := 0
	for i := range count {
		topic := "x"
		if l.mixed && i > 0 && b.rnd.IntN(3) == 0 {
			topic = "other"
		} else {
			matching++
		}
		builder.Append(topic, codec.EncodingRaw, 0, nil, nil)
		l.matches = append(l.matches, topic == "x")
		l.got, l.missed, l.reported = append(l.got, false), append(l.missed, false), append(l.reported, false)
	}
	batch := builder.Seal(nil)
	it := &item{log: batch.Log, batch: batch, last: batch.Last(), until: matching, whole: matching == count}
	held, _, released := b.q.offer(&Node{}, it, b.o)
	for _, it := range released {
		b.release(it)
	}
	if held {
		l.held[batch.Last()] = true
	}
	if b.o.policy != unbounded && b.q.events > b.o.bound {
		b.t.Fatalf("%d events wait, the bound is %d", b.q.events, b.o.bound)
	}
}

func (b *queueBook) release(it *item) {
	if l := b.log(it.log); !l.held[it.last] {
		b.t.Fatalf("an item that ends at %d was released twice, or never held", it.last)
	} else {
		delete(l.held, it.last)
	}
}

func (b *queueBook) cutOff(l *queueLog) {
	ends, _ := b.q.cutOff(&Node{}, l.id, b.at)
	for _, end := range ends {
		b.release(&item{log: l.id, last: end})
	}
}

// hear is what the origins are told.
func (b *queueBook) hear() {
	for _, d := range b.q.dropped {
		mark(b.log(d.log).reported, d.gap)
	}
	b.q.dropped = nil
}

func mark(events []bool, gap *GapError) {
	for i := gap.From; i <= gap.To; i++ {
		events[i-1] = true
	}
}

func (b *queueBook) miss(l *queueLog, gap *GapError) {
	mark(l.missed, gap)
	if !l.mixed && gap.From != l.seen+1 {
		b.t.Fatalf("a gap from %d after %d", gap.From, l.seen)
	}
	l.seen = max(l.seen, gap.To)
}

// step delivers an event or a gap, as a subscription would.
func (b *queueBook) step() {
	if b.current == nil {
		b.current = b.q.take()
		if b.current == nil {
			return
		}
		b.at = b.current.at
	}
	it := b.current
	l := b.log(it.log)
	switch {
	case it.gap != nil:
		b.miss(l, it.gap)
		b.at = it.until
	case b.at < it.until && it.released:
		rest := it.lost(&Node{}, b.at, it.until, ReasonStalled)
		rest.From = it.batch.First + uint64(b.place(l, it, b.at))
		b.miss(l, rest)
		b.at = it.until
	case b.at < it.until:
		seq := it.batch.First + uint64(b.place(l, it, b.at))
		if l.got[seq-1] || !l.mixed && seq != l.seen+1 {
			b.t.Fatalf("event %d after %d", seq, l.seen)
		}
		l.got[seq-1] = true
		l.seen = max(l.seen, seq)
		b.at++
	}
	if b.at == it.until {
		b.current = nil
		if done, held := b.q.finish(it); held {
			b.release(&done)
		}
	}
}

// place is where in its batch a matching event is.
func (b *queueBook) place(l *queueLog, it *item, at int) int {
	for i := 0; ; i++ {
		if l.matches[it.batch.First-1+uint64(i)] {
			if at == 0 {
				return i
			}
			at--
		}
	}
}

func TestQueue(t *testing.T) {
	for seed := range uint64(600) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := &queueBook{t: t, rnd: rnd}
		b.o.policy = queuePolicy(rnd.IntN(3))
		b.o.bound = 1 + rnd.IntN(40)
		for range 1 + rnd.IntN(3) {
			b.logs = append(b.logs, &queueLog{id: codec.LogID{Node: uuid.New()}, mixed: rnd.IntN(2) == 0, held: make(map[uint64]bool)})
		}
		for range 1000 {
			switch l := b.logs[rnd.IntN(len(b.logs))]; rnd.IntN(60) {
			case 0, 1, 2:
				b.offer(l, 1+rnd.IntN(30))
			case 3:
				b.cutOff(l)
			default:
				b.step()
			}
			b.hear()
		}
		for b.current != nil || len(b.q.items) > 0 {
			b.step()
		}
		b.judge(seed)
	}
}

func (b *queueBook) judge(seed uint64) {
	for i, l := range b.logs {
		for n := range l.matches {
			switch {
			case l.matches[n] && !l.got[n] && !l.missed[n]:
				b.t.Fatalf("seed %d: log %d: event %d is neither delivered nor in a gap", seed, i, n+1)
			case l.missed[n] && !l.reported[n]:
				b.t.Fatalf("seed %d: log %d: event %d is in a gap, and its origin was not told", seed, i, n+1)
			case !l.mixed && l.got[n] && (l.missed[n] || l.reported[n]):
				b.t.Fatalf("seed %d: log %d: event %d is delivered and in a gap", seed, i, n+1)
			}
		}
		if len(l.held) > 0 || b.q.events != 0 {
			b.t.Fatalf("seed %d: %d items never released, %d events counted", seed, len(l.held), b.q.events)
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

// However often a queue drops an event of a batch with others in it, the batch is reported once.
func TestMixedBatchIsReportedOnce(t *testing.T) {
	var q queue
	o := onOptions{bound: 50, policy: dropOldest}
	mixed, single := mixedBatch(50), mixedBatch(0)
	q.offer(&Node{}, &item{batch: mixed, last: mixed.Last(), until: 50}, o)
	for range 50 {
		q.offer(&Node{}, &item{batch: single, last: single.Last(), until: 1, whole: true}, o)
	}
	if len(q.dropped) != 1 {
		t.Errorf("%d reports", len(q.dropped))
	}
}

// Being cut off reports nothing to an origin that it was told before: the gaps that the log had, and batches with others in them
// of which the queue has dropped something.
func TestCutOffReportsNothingAgain(t *testing.T) {
	var q queue
	q.push(q.newItem(item{gap: &GapError{From: 1, To: 3, Reason: ReasonGone}, last: 3}))
	if q.cutOff(&Node{}, codec.LogID{}, 0); len(q.dropped) != 0 {
		t.Errorf("%d reports of a gap", len(q.dropped))
	}
	for _, current := range []bool{false, true} {
		var q queue
		mixed := mixedBatch(50)
		q.offer(&Node{}, &item{batch: mixed, last: mixed.Last(), until: 51}, onOptions{bound: 50, policy: dropOldest})
		if current {
			q.take() // the gap
			q.take()
		}
		ends, _ := q.cutOff(&Node{}, codec.LogID{}, 1)
		if len(ends) != 1 || len(q.dropped) != 1 {
			t.Errorf("current %v: %d items were given up, and %d reports are of their batch", current, len(ends), len(q.dropped))
		}
	}
}

// A log is cut off for as long as an item is current: whoever has put that back can take what comes.
func TestPutBackEndsACutOff(t *testing.T) {
	var q queue
	log, batch := codec.LogID{Lane: 1}, mixedBatch(0)
	next := func(log codec.LogID) *item {
		return q.newItem(item{log: log, batch: batch, last: batch.Last(), until: 1, whole: true})
	}
	q.offer(&Node{}, next(codec.LogID{}), onOptions{})
	q.offer(&Node{}, next(log), onOptions{})
	it := q.take()
	q.cutOff(&Node{}, log, 0)
	if held, _, _ := q.offer(&Node{}, next(log), onOptions{}); held {
		t.Error("what comes for a log that is cut off is held")
	}
	if !q.putBack(it) {
		t.Fatal("nothing to put back")
	}
	if held, _, _ := q.offer(&Node{}, next(log), onOptions{}); !held {
		t.Error("what comes is not held, and nothing is current")
	}
}

// mixedBatch has so many events of another topic, and as many and one more of "x".
func mixedBatch(others int) *codec.Batch {
	b := codec.NewBuilder(codec.LogID{}, 1)
	for range others {
		b.Append("x", codec.EncodingRaw, 0, nil, nil)
		b.Append("other", codec.EncodingRaw, 0, nil, nil)
	}
	b.Append("x", codec.EncodingRaw, 0, nil, nil)
	return b.Seal(nil)
}

// A gap that several subscriptions have is not changed by one.
func TestCutOffLeavesTheGapsOfOthers(t *testing.T) {
	var q queue
	first, second := &GapError{From: 1, To: 3, Reason: ReasonGone}, &GapError{From: 4, To: 5, Reason: ReasonGone}
	for _, gap := range []*GapError{first, second} {
		q.push(q.newItem(item{gap: gap, last: gap.To}))
	}
	q.cutOff(&Node{}, codec.LogID{}, 0)
	if joined := q.take().gap; joined.From != 1 || joined.To != 5 || first.To != 3 {
		t.Errorf("joined to %d–%d, and the first is %d–%d", joined.From, joined.To, first.From, first.To)
	}
}

// A queue that overflows all the time moves the few items before what it drops, and not all that wait behind it.
func TestOverflowMovesOnlyTheFront(t *testing.T) {
	const bound = 1000
	var q queue
	o, batch := onOptions{bound: bound, policy: dropOldest}, mixedBatch(0)
	logs := []codec.LogID{{Lane: 1}, {Lane: 2}, {Lane: 3}}
	offer := func(i int) {
		q.offer(&Node{}, &item{log: logs[i%len(logs)], batch: batch, last: batch.Last(), until: 1, whole: true}, o)
		q.dropped = nil
	}
	for i := range 2 * bound {
		offer(i)
	}
	for i := range 2 * bound {
		slot := &q.items[len(q.items)-1]
		newest := *slot
		if offer(i); *slot != newest {
			t.Fatalf("what waits was moved when one more came than %d", bound)
		}
		if i%10 == 0 { // the gap of a log, and later an event
			q.finish(q.take())
		}
	}
	if n := len(q.items); q.events > bound || n > bound+len(logs) {
		t.Errorf("%d items with %d events", n, q.events)
	}
}
