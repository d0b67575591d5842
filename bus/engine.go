package bus

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

// engine is the shell around the protocol's state machine. Its lock guards the
// machine and what the machine's events change at once: the table of paths and that of
// subscriptions. It is held for a few hundred nanoseconds at a time: no IO, channel operation that can block, or
// callback happens under it. Whatever an input brings about there is put on a todo list and
// done after unlocking.
type engine struct {
	node  *Node
	start time.Time
	gen   atomic.Uint64 // grows when the interest of others may have changed

	mu       sync.Mutex
	m        *protocol.Machine
	paths    map[protocol.PathID]*path
	lastPath protocol.PathID
	subs     topic.Set[*Subscription]
	all      map[*Subscription]struct{}
	lastSub  uint64
	patterns map[string]int // of all, with the number of subscriptions to each
	interest uint64         // the version of our interest that has them
	matched  []*Subscription
	waiters  map[*waiter]struct{}
	reported reported
	changed  chan struct{} // closed and replaced when something waiters look at has changed
	timer    *time.Timer
	wakeAt   time.Duration
	closed   bool

	leases    []*lease      // that are lent or were of late
	leasesDue time.Duration // when to look at them
}

func newEngine(n *Node, epoch uint64) *engine {
	e := &engine{
		node: n, start: time.Now().Add(-1), // no moment is 0, which the machine takes for never
		paths:    make(map[protocol.PathID]*path),
		all:      make(map[*Subscription]struct{}),
		patterns: make(map[string]int),
		waiters:  make(map[*waiter]struct{}),
		changed:  make(chan struct{}),
		wakeAt:   -1,
	}
	e.m = protocol.New(0, n.cfg.protocol(epoch))
	e.timer = time.AfterFunc(time.Hour, e.tick)
	e.timer.Stop()
	return e
}

func (e *engine) now() time.Duration { return time.Since(e.start) }

// todo is what has to happen after the engine's lock is released.
type todo struct {
	wakes    []signal
	starts   []*sender
	senders  []*sender // to be woken
	closes   []verdict
	rooms    uint64 // lanes with room again
	notes    []LifecycleEvent
	disputed bool     // another speaks in its name
	flush    bool     // interest is new: what lanes hold back may be wanted
	lease    *lease   // of the goroutine that collects, if it is one that reads
	readOns  []func() // of leases that are over
}

// verdict is a path that is to end, and why.
type verdict struct {
	path  *path
	cause error
}

var todos = sync.Pool{New: func() any { return new(todo) }}

// do hands the machine one input and acts on what comes of it.
func (e *engine) do(input func(m *protocol.Machine, now time.Duration)) { e.doOn(nil, input) }

// doOn is do by a goroutine that can be lent to a subscription.
func (e *engine) doOn(l *lease, input func(m *protocol.Machine, now time.Duration)) {
	t := todos.Get().(*todo)
	t.lease = l
	e.mu.Lock()
	now := e.now()
	input(e.m, now)
	e.collect(now, t)
	e.mu.Unlock()
	e.act(t)
}

// tick lets the machine's timers fire.
func (e *engine) tick() {
	e.do(func(m *protocol.Machine, now time.Duration) {
		e.wakeAt = -1
		if !e.closed {
			m.Tick(now)
		}
	})
}

// collect turns the machine's events into things to do. The lock is held. The clock was just read: that is a
// good part of what an event costs.
func (e *engine) collect(now time.Duration, t *todo) {
	for {
		ev, ok := e.m.PollEvent()
		if !ok {
			break
		}
		e.handle(ev, now, t)
	}
	e.takeBack(now, t)
	at, ok := e.m.NextWake()
	if len(e.leases) > 0 && (!ok || e.leasesDue < at) {
		at, ok = e.leasesDue, true
	}
	if ok && !e.closed && (e.wakeAt < 0 || at < e.wakeAt) {
		e.wakeAt = at
		e.timer.Reset(max(0, at-now))
	}
}

func (e *engine) handle(ev protocol.Event, now time.Duration, t *todo) {
	switch ev.Kind {
	case protocol.EventControl:
		if p := e.paths[ev.Path]; p != nil {
			t.wakes = append(t.wakes, p.wake)
		}
	case protocol.EventData:
		if p := e.paths[ev.Path]; p != nil {
			p.wakeSender(ev.Lane, t)
		}
	case protocol.EventDeliver:
		e.m.Dispatched(now, ev.Log, ev.Last, e.dispatch(ev, now, t))
	case protocol.EventGap:
		gap := gapOf(ev, e.node.cfg.ID)
		n := e.dispatchGap(ev, gap, t)
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleGap, Peer: ev.Log.Node, Gap: gap})
		e.m.Dispatched(now, ev.Log, ev.Last, n)
	case protocol.EventReport:
		gap := gapOf(ev, ev.Peer)
		e.reportGap(gap)
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleReport, Peer: ev.Peer, Gap: gap})
		e.wakeWaiters()
	case protocol.EventClose:
		if p := e.paths[ev.Path]; p != nil {
			p.end(&PeerError{Code: CloseCode(ev.Code), Peer: ev.Peer, Reason: ev.Text}, t)
		}
	case protocol.EventUp:
		if p := e.paths[ev.Path]; p != nil {
			p.accepted(ev.Peer, t)
		}
	case protocol.EventPeerUp:
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecyclePeerUp, Peer: ev.Peer, Name: ev.Text})
		e.interestMoved(t)
	case protocol.EventPeerDown:
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecyclePeerDown, Peer: ev.Peer,
			Err: &PeerError{Code: CloseCode(ev.Code), Peer: ev.Peer, Reason: ev.Text}})
		e.interestMoved(t)
	case protocol.EventForget:
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleForgotten, Peer: ev.Peer})
		e.wakeWaiters()
	case protocol.EventRoom:
		e.node.lanes[ev.Lane].setHeld(e.m.Held(ev.Lane))
		t.rooms |= 1 << ev.Lane
		e.wakeWaiters()
	case protocol.EventInterest:
		e.interestMoved(t)
	case protocol.EventConfirmed, protocol.EventDone:
		e.wakeWaiters()
	case protocol.EventLaggard:
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleLaggard, Peer: ev.Peer})
	case protocol.EventStalled:
		e.cutOff(ev, t)
	case protocol.EventPong:
		if p := e.paths[ev.Path]; p != nil {
			p.pong(ev.Token)
			e.wakeWaiters()
		}
	case protocol.EventSilent, protocol.EventHeard:
		if p := e.paths[ev.Path]; p != nil {
			p.hush(ev.Kind == protocol.EventSilent, t)
		}
	case protocol.EventBye:
		if p := e.paths[ev.Path]; p != nil {
			p.byeStreams = ev.Count
			p.leaveIfDone(t)
		}
	case protocol.EventRefused:
		t.notes = append(t.notes, LifecycleEvent{Kind: LifecycleRefused, Peer: ev.Log.Node, Text: ev.Text})
	case protocol.EventDisputed:
		t.disputed = true
	}
}

// interestMoved is called when what lanes and waiters derived from the interest of
// others is out of date.
func (e *engine) interestMoved(t *todo) {
	e.gen.Add(1)
	t.flush = true
	e.wakeWaiters()
}

// wakeWaiters has everyone who waits for a state of the machine look again. The lock is held.
func (e *engine) wakeWaiters() {
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// lookAgain wakes the waiters, for what changes by time alone.
func (e *engine) lookAgain() {
	e.mu.Lock()
	e.wakeWaiters()
	e.mu.Unlock()
}

// act does what was collected, without the lock.
func (e *engine) act(t *todo) {
	for _, w := range t.wakes {
		w.notify()
	}
	for _, readOn := range t.readOns {
		readOn()
	}
	for _, s := range t.starts {
		s.start()
	}
	for _, s := range t.senders {
		s.wake.notify()
	}
	for _, c := range t.closes {
		c.path.cancel(c.cause)
	}
	for lane := uint8(0); t.rooms != 0; lane++ {
		if t.rooms&1 != 0 {
			e.node.lanes[lane].roomAgain()
		}
		t.rooms >>= 1
	}
	for _, note := range t.notes {
		if note.Kind == LifecycleLaggard {
			e.node.laggards.warn(e.node.log, "no progress within BlockTimeout: events are dropped until it keeps up",
				"laggard", cmp.Or(note.Text, "peer"), "peer", note.Peer)
		}
		e.node.lifecycle.publish(note)
	}
	if t.disputed {
		e.node.disputes.warn(e.node.log, "a record in the name of this node is not its own: another process has its identity, a member lies, or the clock went back since its last run")
	}
	if t.flush {
		e.node.flushLater()
		e.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleTopology})
		e.node.mesh.wake()
	}
	clear(t.wakes)
	clear(t.starts)
	clear(t.senders)
	clear(t.closes)
	clear(t.notes)
	clear(t.readOns)
	*t = todo{wakes: t.wakes[:0], starts: t.starts[:0], senders: t.senders[:0], closes: t.closes[:0], notes: t.notes[:0],
		readOns: t.readOns[:0]}
	todos.Put(t)
}

// await returns once look reports true, which is asked for under the lock after
// each change, or with the error of whatever ends first.
func (e *engine) await(done <-chan struct{}, look func(m *protocol.Machine, now time.Duration) bool) bool {
	for {
		e.mu.Lock()
		ok := look(e.m, e.now())
		if e.changed == nil {
			e.changed = make(chan struct{})
		}
		changed, closed := e.changed, e.closed
		e.mu.Unlock()
		if ok || closed {
			return ok
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// wanted says whether a node that can be reached listens for the topic, or keeps it
// for one that is away.
func (e *engine) wanted(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.m.Wanted(name)
}

// behind says whether everyone who wants a topic has to be sent what is older first.
func (e *engine) behind(lane uint8, name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.m.TopicBehind(lane, name)
}

// waiter is a receipt that waits for its event.
type waiter struct {
	lane uint8
	seq  uint64
	gap  *GapError
}

// maxReported is how many gaps that others reported a node remembers.
const maxReported = 1024

// reported are the last gaps that others reported, for receipts that ask later.
type reported struct {
	gaps []*GapError // of the last maxReported
	next int         // to be replaced
}

func (r *reported) add(gap *GapError) {
	if len(r.gaps) < maxReported {
		r.gaps = append(r.gaps, gap)
		return
	}
	r.gaps[r.next] = gap
	r.next = (r.next + 1) % maxReported
}

func (r *reported) find(lane uint8, seq uint64) *GapError {
	for _, g := range r.gaps {
		if g.has(lane, seq) {
			return g
		}
	}
	return nil
}

func (e *GapError) has(lane uint8, seq uint64) bool {
	return e.Lane == lane && e.From <= seq && seq <= e.To
}

// reportGap tells the receipts of events that some receiver misses. The lock is held.
func (e *engine) reportGap(gap *GapError) {
	e.reported.add(gap)
	for w := range e.waiters {
		if w.gap == nil && gap.has(w.lane, w.seq) {
			w.gap = gap
		}
	}
}

func gapOf(ev protocol.Event, receiver uuid.UUID) *GapError {
	return &GapError{
		Origin: Origin{ev.Log.Node, ev.Log.Epoch}, Lane: ev.Log.Lane,
		From: ev.First, To: ev.Last, Receiver: receiver, Reason: Reason(ev.Reason),
	}
}

func originOf(id codec.LogID) Origin { return Origin{id.Node, id.Epoch} }

// signal wakes one goroutine. Several wakes before it looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}
