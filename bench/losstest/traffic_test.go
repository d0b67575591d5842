package losstest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bench/netem"
)

// load is what every member emits.
type load struct {
	bytes int           // of an event
	every time.Duration // 0: as fast as the others take it
	least uint64        // events, also when the ordeal is over before
}

// traffic is events on their way between all members.
type traffic struct {
	*field
	load
	over    chan struct{} // closed when the ordeal is
	emitted []atomic.Uint64
	running sync.WaitGroup
	failed  chan error
}

// start has all members emit.
func (f *field) start(l load) *traffic {
	tr := &traffic{field: f, load: l, over: make(chan struct{}), emitted: make([]atomic.Uint64, len(f.members)), failed: make(chan error, len(f.members))}
	for i := range f.members {
		tr.running.Go(func() { // finish waits for it
			if err := tr.emit(i); err != nil {
				tr.failed <- fmt.Errorf("%s: %w", f.members[i].host, err)
			}
		})
	}
	return tr
}

// emit emits until the ordeal is over.
func (tr *traffic) emit(number int) error {
	payload, due := make([]byte, tr.bytes), time.NewTimer(0)
	defer due.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-due.C:
			due.Reset(tr.every)
		case <-tr.ctx.Done():
			return context.Cause(tr.ctx)
		}
		select {
		case <-tr.over:
			if n > tr.least {
				return nil
			}
		default:
		}
		compose(payload, n)
		if err := tr.members[number].node.EmitBytes(tr.ctx, "events", payload); err != nil {
			return err
		}
		tr.emitted[number].Store(n)
		for _, m := range tr.members {
			if err := m.watchMemory(); err != nil {
				return err
			}
		}
	}
}

// pause lets time pass.
func (tr *traffic) pause(d time.Duration) {
	tr.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-tr.failed:
		tr.t.Fatal(err)
	}
}

// resume measures how long two members wait, from now on, for an event that the other emits from now on.
func (tr *traffic) resume(one, other int) {
	tr.t.Helper()
	a, b := tr.members[one], tr.members[other]
	a.ledger.measure(b.node.ID())
	b.ledger.measure(a.node.ID())
	must(tr.t, a.ledger.untilResumed(tr.ctx, b.node.ID()))
	must(tr.t, b.ledger.untilResumed(tr.ctx, a.node.ID()))
}

// finish ends the ordeal, and compares. It returns what the network did.
func (tr *traffic) finish() netem.Stats {
	tr.t.Helper()
	close(tr.over)
	tr.running.Wait()
	close(tr.failed)
	for err := range tr.failed {
		tr.t.Fatal(err)
	}
	for i, m := range tr.members {
		must(tr.t, m.node.Drain(tr.ctx))
		for _, other := range tr.members {
			if other != m {
				if err := other.ledger.untilReceived(tr.ctx, m.node.ID(), tr.emitted[i].Load()); err != nil {
					tr.t.Errorf("%s waits for the events of %s: %v", other.host, m.host, err) // compare says for how many
				}
			}
		}
	}
	for i, m := range tr.members {
		tr.compare(i, m)
	}
	s := tr.network.Stats()
	tr.t.Logf("network: %v", s)
	return s
}

// compare judges what a member received, and what it says of itself.
func (tr *traffic) compare(number int, m *member) {
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	for _, problem := range m.ledger.problems {
		tr.t.Errorf("%s: %s (%d problems in all)", m.host, problem, m.ledger.wrong)
	}
	total := uint64(0)
	for i, other := range tr.members {
		if got, want := m.ledger.received[other.node.ID()], tr.emitted[i].Load(); other != m && got != want {
			tr.t.Errorf("%s received %d events of %s, %d were emitted", m.host, got, other.host, want)
		}
		total += m.ledger.received[other.node.ID()]
	}
	s := m.node.Stats()
	if s.Unheard+s.Gaps+s.Missed+s.Reported > 0 { // Dropped may be what a peer that was away got elsewhere
		tr.t.Errorf("%s: %+v", m.host, s)
	}
	tr.t.Logf("%s: emitted %d events and received %d; %d batches came again; held %d KiB at most, and dropped %d events that a peer may have needed",
		m.host, tr.emitted[number].Load(), total, s.Duplicates, m.peak.Load()>>10, s.Dropped)
	if len(m.ledger.resumed) > 0 {
		tr.t.Logf("%s: %s", m.host, describe(m.ledger.resumed))
	}
}
