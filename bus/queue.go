package bus

import (
	"github.com/verbose-bus/verbose/codec"
)

// queuePolicy says what a subscription's queue does when it is full.
type queuePolicy uint8

const (
	unbounded  queuePolicy = iota // credit bounds it
	dropOldest                    // the oldest make room
	dropNewest                    // what comes is not let in
)

// item is what waits for a subscription: some matching events of a batch, or a gap.
type item struct {
	log   codec.LogID
	batch *codec.Batch
	gap   *GapError
	last  uint64
	at    int // matching events passed
	until int // matching events to deliver, those passed included

	whole    bool // all of the batch's events match
	told     bool // its origin heard that all of a batch with others in it is missing
	released bool // the log was told that we are done with it
	unheld   bool // the log never waited for it
}

func (it *item) events() int { return it.until - it.at }

// first is where what the log holds for the item begins.
func (it *item) first() uint64 {
	if it.gap != nil {
		return it.gap.From
	}
	return it.batch.First
}

// lost is the gap that matching events leave, by their places in the item. Where others are between them it names all of the
// batch: which they are is known once it is open.
func (it *item) lost(n *Node, at, until int, reason Reason) *GapError {
	if !it.whole {
		return it.missing(n, it.batch.First, it.last, reason)
	}
	return it.missing(n, it.batch.First+uint64(at), it.batch.First+uint64(until)-1, reason)
}

// missing is the gap a range of an item leaves.
func (it *item) missing(n *Node, from, to uint64, reason Reason) *GapError {
	return &GapError{Origin: originOf(it.log), Lane: it.log.Lane, From: from, To: to, Receiver: n.cfg.ID, Reason: reason}
}

// queue holds the items of one subscription. It is not safe for concurrent use.
type queue struct {
	items   []*item
	events  int // in items
	current *item
	spare   *item                // to be used again, if not nil
	row     []*item              // where items begins again once it is empty
	cut     map[codec.LogID]bool // logs cut off until the current item is finished
	dropped []item               // gaps made here that their origins are to hear of
}

func (q *queue) push(it *item) {
	q.append(it)
	q.events += it.events()
}

// append makes an item the last, in memory that is used again for as long as it suffices.
func (q *queue) append(it *item) {
	if len(q.items) == 0 {
		q.items = q.row
	}
	if len(q.items) == cap(q.items) {
		q.row = nil
	}
	q.items = append(q.items, it)
	if len(q.items) == 1 {
		q.row = q.items[:0]
	}
}

// newItem is for an item that is to be pushed.
func (q *queue) newItem(of item) *item {
	it := q.spare
	if q.spare = nil; it == nil {
		it = new(item)
	}
	*it = of
	return it
}

// offer lets an item in as far as the bound allows. It says whether the log is
// held by it, how many events were dropped, and which items were given up for it.
func (q *queue) offer(n *Node, it *item, o onOptions) (held bool, dropped int, released []*item) {
	if q.cut[it.log] {
		q.pushGap(it.lost(n, 0, it.until, ReasonStalled), it.log)
		return false, it.until, nil
	}
	switch room := o.bound - q.events; {
	case o.policy == unbounded || it.until <= room:
		q.push(it)
		return true, 0, nil
	case o.policy == dropNewest && room <= 0:
		q.pushGap(it.lost(n, 0, it.until, ReasonOverflow), it.log)
		return false, it.until, nil
	case o.policy == dropNewest:
		gap := it.lost(n, room, it.until, ReasonOverflow)
		dropped = it.until - room
		it.until = room
		q.push(it)
		q.pushGap(gap, it.log)
		return true, dropped, nil
	}
	q.push(it)
	for q.events > o.bound {
		released, dropped = q.dropFront(n, q.events-o.bound, released, dropped)
	}
	return true, dropped, released
}

// dropFront drops up to n of the oldest events.
func (q *queue) dropFront(n *Node, excess int, released []*item, dropped int) ([]*item, int) {
	for i, it := range q.items {
		if it.batch == nil {
			continue
		}
		k := min(it.events(), excess)
		gap := it.lost(n, it.at, it.at+k, ReasonOverflow)
		if !it.told {
			q.tell(gap, it.log)
			it.told = !it.whole
		}
		it.at += k
		q.events -= k
		if it.events() > 0 {
			q.insertGap(i, gap, it.log)
			return released, dropped + k
		}
		if q.joinGap(i, gap, it.log) {
			copy(q.items[1:], q.items[:i]) // few, while many may wait behind it
			q.items[0] = nil
			q.items = q.items[1:]
		} else {
			q.items[i] = gapItem(gap, it.log)
		}
		return append(released, it), dropped + k
	}
	return released, dropped
}

// pushGap appends a gap that its origin is to hear of, joined with the one before it of the same log.
func (q *queue) pushGap(gap *GapError, log codec.LogID) {
	q.tell(gap, log)
	q.insertGap(len(q.items), gap, log)
}

// tell has the origin hear of a gap.
func (q *queue) tell(gap *GapError, log codec.LogID) {
	q.dropped = append(q.dropped, item{log: log, gap: new(*gap)}) // for the queue's own may be joined
}

// insertGap puts a gap before item i, joined with one that stands there.
func (q *queue) insertGap(i int, gap *GapError, log codec.LogID) {
	if q.joinGap(i, gap, log) {
		return
	}
	q.append(nil)
	copy(q.items[i+1:], q.items[i:])
	q.items[i] = gapItem(gap, log)
}

// gapItem is a gap that no log waits for.
func gapItem(gap *GapError, log codec.LogID) *item {
	return &item{log: log, gap: gap, last: gap.To, unheld: true}
}

// joinGap joins a gap with one of the same log that stands before item i, if there is one.
func (q *queue) joinGap(i int, gap *GapError, log codec.LogID) bool {
	for j := i - 1; j >= 0 && q.items[j].gap != nil && q.items[j].unheld; j-- {
		if q.items[j].log != log {
			continue
		}
		g := q.items[j].gap
		if g.Reason != gap.Reason {
			break // it is between the two
		}
		g.From, g.To = min(g.From, gap.From), max(g.To, gap.To)
		return true
	}
	return false
}

// take makes the oldest item the current one.
func (q *queue) take() *item {
	if len(q.items) == 0 {
		return nil
	}
	it := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	q.events -= it.events()
	q.current = it
	return it
}

// finish ends the current item, which is used again. It returns what it was, and whether its log waits to hear that it is
// done with.
func (q *queue) finish(it *item) (done item, held bool) {
	done = *it
	*it = item{}
	q.current, q.spare = nil, it
	clear(q.cut)
	return done, !done.released && !done.unheld
}

// putBack makes the current item the oldest again, if it has anything left.
func (q *queue) putBack(it *item) bool {
	if it.gap != nil || it.released || it.events() == 0 {
		return false
	}
	q.current = nil
	clear(q.cut)
	q.putFront(it)
	return true
}

// putFront makes an item the oldest.
func (q *queue) putFront(it *item) {
	q.items, q.row = append([]*item{it}, q.items...), nil
	q.events += it.events()
}

// oldestHeld is the oldest item of a log that waits for it, or nil.
func (q *queue) oldestHeld(log codec.LogID) *item {
	if it := q.current; it != nil && it.log == log && !it.released && !it.unheld {
		return it
	}
	for _, it := range q.items {
		if it.log == log && !it.unheld {
			return it
		}
	}
	return nil
}

// cutOff gives up every item of a log; of the current one, at matching events were passed. It returns where the held ones end.
func (q *queue) cutOff(n *Node, log codec.LogID, at int) (ends []uint64, dropped int) {
	if it := q.current; it != nil && it.log == log && !it.released && !it.unheld {
		it.released = true
		ends = append(ends, it.last)
		if it.batch != nil && at < it.until && !it.told { // what is left of it will be a gap when the handler returns
			q.tell(it.lost(n, at, it.until, ReasonStalled), log)
		}
	}
	items := q.items
	q.items, q.row = nil, nil
	for _, it := range items {
		if it.log != log || it.unheld {
			q.append(it)
			continue
		}
		ends = append(ends, it.last)
		if it.gap != nil {
			q.insertGap(len(q.items), new(*it.gap), log) // others have it, too, and it may be joined here; its origin was told
			continue
		}
		gap := it.lost(n, it.at, it.until, ReasonStalled)
		dropped += it.events()
		q.events -= it.events()
		if !it.told {
			q.tell(gap, log)
		}
		q.insertGap(len(q.items), gap, log) // in its place
	}
	if q.current != nil && len(ends) > 0 {
		if q.cut == nil {
			q.cut = make(map[codec.LogID]bool)
		}
		q.cut[log] = true
	}
	return ends, dropped
}

// clear gives up everything and returns the items whose logs wait.
func (q *queue) clear() (held []*item) {
	for _, it := range q.items {
		if !it.unheld && !it.released {
			held = append(held, it)
		}
	}
	q.items, q.row, q.events = nil, nil, 0
	return held
}
