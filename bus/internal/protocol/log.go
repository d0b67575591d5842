package protocol

import (
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// entryKind tells what stands at a range of positions in a log.
type entryKind uint8

const (
	entryBatch entryKind = iota
	entrySkip            // nobody on this side wanted it, so it was never sent here
	entryGap             // declared missing
)

// entry is a range of positions of a log: usually one batch, of which it is a holder.
type entry struct {
	kind        entryKind
	reason      Reason
	first, last uint64
	batch       *codec.Batch
	size        int64
	age         time.Duration // when it came
	came        time.Duration
	pending     int    // local consumers that are not done with it
	known       uint64 // of a skip: the moment of ours at which it was judged (§8.5)
}

func (e *entry) events() int64 {
	if e.kind != entryBatch {
		return 0
	}
	return int64(e.last - e.first + 1)
}

// ageAt is the time since the batch was sealed, as far as nodes on the way
// added it up (§10).
func (e *entry) ageAt(now time.Duration) time.Duration { return e.age + now - e.came }

// log is this node's copy of one log: a window of entries without holes, from base to
// have (§6).
type log struct {
	id      codec.LogID
	own     bool
	begin   uint64 // where this copy began: the position before its first entry ever
	entries ring[entry]
	base    uint64 // everything after it, to have, can still be given
	have    uint64 // the last consecutive position held
	done    uint64 // the last position every local consumer is done with
	live    uint64 // no connected peer and no local consumer needs anything up to here

	events, bytes         int64 // in entries
	liveEvents, liveBytes int64 // of these, after live

	cursors []*cursor
	learnt  PathID // whose start fixed where the copy begins; 0: what came first is owed to us
	parent  *peer  // who brings what is fresh
	asked   *peer  // who was grafted because the parent lacks something
	askedAt uint64
	behind  bool // frames of a peer that is ahead were passed over
	seeking *search

	rival  *rival
	slow   timer  // for the parent to bring what others have
	slowAt uint64 // where we were when that began
	lagged int    // peers grafted in vain since then

	fin      bool // the end is known
	last     uint64
	finished bool          // and we have everything up to it
	newest   time.Duration // when the newest entry came
	doubted  time.Duration // when its node was out of reach, if it was when that was last looked at

	received int64         // bytes of fresh batches, ever
	edge     int64         // the right edge of the credit given, in the same count; never retreats
	grant    int64         // taken from the shared pool
	paceAt   time.Duration // when a stretch of about a round trip began,
	paceFrom int64         // and what was received before it

	stalledAt uint64 // where live was when someone began to wait for room
	expiry    timer
	patience  timer
	stall     timer
}

// latest returns the newest entry, or nil.
func (l *log) latest() *entry {
	if n := l.entries.len(); n > 0 {
		return l.entries.at(n - 1)
	}
	return nil
}

// at returns the first entry that ends after pos, or nil.
func (l *log) at(pos uint64) *entry {
	if pos >= l.have || l.entries.len() == 0 {
		return nil
	}
	i := l.search(pos)
	if i == l.entries.len() {
		return nil
	}
	return l.entries.at(i)
}

// search is the index of the first entry that ends after pos.
func (l *log) search(pos uint64) int {
	lo, hi := 0, l.entries.len()
	if hi > 0 && l.entries.at(hi-1).first == pos+1 {
		return hi - 1 // a cursor that keeps up asks for the newest
	}
	for lo < hi {
		mid := (lo + hi) / 2
		if l.entries.at(mid).last <= pos {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// push appends an entry that begins right after have.
func (l *log) push(e entry) *entry {
	if e.first != l.have+1 || e.last < e.first {
		panic("protocol: an entry must follow its log")
	}
	l.have = e.last
	l.newest = e.came
	l.events += e.events()
	l.bytes += e.size
	l.liveEvents += e.events()
	l.liveBytes += e.size
	return l.entries.push(e)
}

// pushSkip appends a skip up to pos, as one with the entry before it if that is a skip
// that was judged alike.
func (l *log) pushSkip(pos, known uint64, now time.Duration) *entry {
	if n := l.entries.len(); n > 0 && l.entries.at(n-1).kind == entrySkip && l.entries.at(n-1).known == known {
		e := l.entries.at(n - 1)
		e.last, e.came = pos, now
		l.have, l.newest = pos, now
		return e
	}
	return l.push(entry{kind: entrySkip, first: l.have + 1, last: pos, came: now, known: known})
}

// popFront drops the oldest entry.
func (l *log) popFront() {
	e := l.entries.at(0)
	l.base = e.last
	l.events -= e.events()
	l.bytes -= e.size
	if e.last > l.live {
		l.liveEvents -= e.events()
		l.liveBytes -= e.size
		l.live = e.last
	}
	if e.batch != nil {
		e.batch.Free()
	}
	l.entries.pop()
}

// setLive moves the position up to which connected peers and local consumers are done, and
// counts what is left. It may go back, when a lagging peer returns.
func (l *log) setLive(pos uint64) (moved bool) {
	pos = max(min(pos, l.have), l.base)
	switch {
	case pos > l.live:
		for i := l.search(l.live); i < l.entries.len(); i++ {
			e := l.entries.at(i)
			if e.last > pos {
				break
			}
			l.liveEvents -= e.events()
			l.liveBytes -= e.size
		}
	case pos < l.live:
		for i := l.search(pos); i < l.entries.len(); i++ {
			e := l.entries.at(i)
			if e.last > l.live {
				break
			}
			l.liveEvents += e.events()
			l.liveBytes += e.size
		}
	}
	moved = pos > l.live
	l.live = pos
	return moved
}

// ring is a queue that grows to the most it ever held and shrinks when it is empty and large.
type ring[T any] struct {
	buf  []T // its length is a power of two
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) at(i int) *T { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring[T]) push(v T) *T {
	if r.n == len(r.buf) {
		grown := make([]T, max(8, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.buf, r.head = grown, 0
	}
	r.n++
	p := r.at(r.n - 1)
	*p = v
	return p
}

func (r *ring[T]) pop() {
	var zero T
	*r.at(0) = zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	if r.n == 0 && len(r.buf) > 1024 {
		*r = ring[T]{}
	}
}

// popBack drops the newest element.
func (r *ring[T]) popBack() {
	var zero T
	*r.at(r.n - 1) = zero
	r.n--
}
