package bus

import (
	"slices"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

// dispatch queues a batch at every subscription that wants some of it, and
// returns at how many. The engine's lock is held.
func (e *engine) dispatch(ev protocol.Event, now time.Duration, t *todo) (consumers int) {
	e.matched = e.matched[:0]
	for i := range ev.Batch.Topics {
		e.matched = e.subs.Append(e.matched, ev.Batch.Topics[i].Name)
	}
	if len(ev.Batch.Topics) > 1 && len(e.matched) > 1 {
		slices.SortFunc(e.matched, func(a, b *Subscription) int { return int(a.number) - int(b.number) })
		e.matched = slices.Compact(e.matched)
	}
	for _, s := range e.matched {
		held, lent := s.offer(ev.Log, ev.Batch, now, t.lease)
		if held {
			consumers++
		}
		if !lent {
			t.wakes = append(t.wakes, s.wake)
		}
	}
	clear(e.matched)
	return consumers
}

// dispatchGap queues a gap at every subscription: who knows what was in it. The engine's
// lock is held.
func (e *engine) dispatchGap(ev protocol.Event, gap *GapError, t *todo) (consumers int) {
	for s := range e.all {
		if s.offerGap(ev.Log, gap) {
			consumers++
		}
		t.wakes = append(t.wakes, s.wake)
	}
	return consumers
}

// cutOff takes a log away from the subscriptions that kept it from moving for
// BlockTimeout, by the entry that the event names: they miss what they hold of it, and are told. The engine's lock is held.
func (e *engine) cutOff(ev protocol.Event, t *todo) {
	for s := range e.all {
		ranges := s.cutOff(ev.Log, ev.First)
		if len(ranges) == 0 {
			continue
		}
		for _, last := range ranges {
			e.m.Release(e.now(), ev.Log, last)
		}
		t.wakes = append(t.wakes, s.wake)
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleLaggard, Peer: ev.Log.Node, Text: "subscription " + s.pattern})
	}
}

// release says that a subscription is done with ranges of logs.
func (e *engine) release(log codec.LogID, last uint64) {
	t := todos.Get().(*todo)
	e.mu.Lock()
	now := e.now()
	e.m.Release(now, log, last)
	e.collect(now, t)
	e.mu.Unlock()
	e.act(t)
}
