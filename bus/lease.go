package bus

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// leaseMost is how long a handler may keep a goroutine that reads. It is the time an acknowledgement waits, so that one timer does
	// for both.
	leaseMost = 5 * time.Millisecond
	// leaseLooks is for how many times that the timer goes on after the last lease: the next event does not have to set it, which
	// wakes a thread.
	leaseLooks = 4

	// A subscription is lent to while its handler takes less than leaseCost on average for an event that comes alone, and has
	// taken less than leaseSlow leaseProof times in a row: twice as many after each time that it did not, up to leaseProofMost,
	// unless it was quick leaseForgives times before that.
	leaseCost      = 50 * time.Microsecond
	leaseSlow      = time.Millisecond
	leaseProof     = 16
	leaseProofMost = 4096
	leaseForgives  = 1024
)

// lease lends a goroutine that reads to a subscription: it calls the handler for an event that came alone, which saves waking
// the subscription's own. That costs little where the processors are awake, and tens of microseconds where they
// sleep, which is when events come alone. A handler that takes longer than leaseMost keeps the goroutine, and another reads on
// (leader and followers: Schmidt et al., Pattern-Oriented Software Architecture 2).
type lease struct {
	state atomic.Int32
	work  Work // is run, made once

	readOn func() // set by who takes it

	// Guarded by the engine's lock.
	sub   *Subscription
	until time.Duration // when the handler has to be back
	looks int           // of the timer, for which it stays in engine.leases
}

// The states of a lease. Lent is entered under the engine's lock.
const (
	leaseFree  = iota
	leaseLent  // to sub
	leaseTaken // by a goroutine, on which the handler is about to begin
	leaseBegun // it may have
	leaseLost  // and keeps the goroutine
)

func newLease() *lease {
	l := &lease{}
	l.work = l.run
	return l
}

// isFree says whether there is a lease to be had. The engine's lock is held.
func (l *lease) isFree() bool { return l != nil && l.state.Load() == leaseFree }

// pending is the work that a frame has left, or nil. A nil lease never has any.
func (l *lease) pending() Work {
	if l == nil || l.state.Load() != leaseLent {
		return nil
	}
	return l.work
}

// run calls the handler for the event that came.
func (l *lease) run(readOn func()) (on bool) {
	if !l.state.CompareAndSwap(leaseLent, leaseTaken) {
		return true // it was taken back, for the transport took its time, or another call has it
	}
	s := l.sub
	l.readOn = readOn
	l.state.Store(leaseBegun)
	returned := false
	defer func() {
		if !returned { // the handler has ended its goroutine, and has its item for good
			s.node.engine.lose(l)
			s.abandon()
		}
		s.giveBack()
		if on = l.state.CompareAndSwap(leaseBegun, leaseFree); !on {
			l.state.Store(leaseFree)
		}
	}()
	s.serve(s.nextLent())
	returned = true
	return on
}

// lose has another goroutine read on, if the handler of a lease runs.
func (e *engine) lose(l *lease) {
	e.mu.Lock()
	var readOn func()
	if l.state.CompareAndSwap(leaseBegun, leaseLost) {
		readOn = l.readOn // which is that of the next lease as soon as it is lent again
	}
	e.mu.Unlock()
	if readOn != nil {
		readOn()
	}
}

// lend notes that a subscription was lent to. The lock is held.
func (e *engine) lend(l *lease, s *Subscription, now time.Duration) {
	l.sub, l.until = s, now+leaseMost
	l.state.Store(leaseLent)
	if l.looks == 0 {
		if len(e.leases) == 0 {
			e.leasesDue = l.until
		}
		e.leases = append(e.leases, l)
	}
	l.looks = leaseLooks
}

// takeBack ends the leases whose time is over. The lock is held.
func (e *engine) takeBack(now time.Duration, t *todo) {
	if len(e.leases) == 0 || now < e.leasesDue {
		return
	}
	kept := e.leases[:0]
	e.leasesDue = now + leaseMost
	for _, l := range e.leases {
		switch state := l.state.Load(); {
		case state == leaseFree || state == leaseLost:
			l.looks--
		case now < l.until:
			e.leasesDue = min(e.leasesDue, l.until)
		case state == leaseTaken: // it is looked at again
		case l.state.CompareAndSwap(leaseLent, leaseFree):
			l.sub.giveBack()
			l.looks = 0
		case l.state.CompareAndSwap(leaseBegun, leaseLost):
			t.readOns = append(t.readOns, l.readOn)
			l.looks = 0
		}
		if l.looks > 0 {
			kept = append(kept, l)
		}
	}
	clear(e.leases[len(kept):])
	e.leases = kept
}

// isQuick says whether the handler is trusted to be back soon. mu is held.
func (s *Subscription) isQuick() bool {
	return s.handler != nil && s.quick >= s.proof && s.cost < leaseCost
}

// judge takes note of how long the handler took for an item. mu is held.
func (s *Subscription) judge(took time.Duration) {
	s.cost += (took - s.cost) / 8
	switch {
	case took < leaseSlow:
		s.quick++
	case s.quick < leaseForgives:
		s.quick, s.proof = 0, min(2*s.proof, leaseProofMost)
	default:
		s.quick, s.proof = 0, leaseProof
	}
}

// nextLent takes the item off the queue that the subscription was lent to for.
func (s *Subscription) nextLent() (*item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take()
}

// giveBack ends a lease, and leaves what came meanwhile to the subscription's goroutine.
func (s *Subscription) giveBack() {
	s.mu.Lock()
	s.lent = nil
	again := s.closed || len(s.queue.items) > 0
	s.mu.Unlock()
	if again {
		s.wake.notify()
	}
}

// abandon has the subscription handle nothing any more.
func (s *Subscription) abandon() {
	s.mu.Lock()
	s.abandoned = true
	s.mu.Unlock()
}

// isLent says whether another goroutine than the subscription's own is at the handler, or about to be.
func (s *Subscription) isLent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lent != nil
}

// willWait is called by whoever is going to wait under ctx. If that is a handler's, of whichever node, what it waits for may
// have to come over the connection that it keeps from being read.
func willWait(ctx context.Context) {
	s, ok := ctx.Value(handlerKey{}).(*Subscription)
	if !ok {
		return
	}
	s.mu.Lock()
	l := s.lent
	s.mu.Unlock()
	if l != nil {
		s.node.engine.lose(l)
	}
}
