package bus

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

// Handler is called for each event of a subscription, one after the other. It may take as long as it likes and hold up nobody else;
// which goroutine calls it may change from one event to the next. Ctx ends when the node is closed, and whatever waits is to be given
// it: Emit knows by it that it is called inside a handler, others that the goroutine is needed elsewhere meanwhile. An event is done
// when its handler has returned. A panic is not recovered.
type Handler func(ctx context.Context, e Event)

type handlerKey struct{}

// isHandlers says whether ctx was given to a handler of the node.
func (n *Node) isHandlers(ctx context.Context) bool {
	s, ok := ctx.Value(handlerKey{}).(*Subscription)
	return ok && s.node == n
}

// Subscription delivers the events that match its pattern, in order per origin and lane.
type Subscription struct {
	node    *Node
	pattern string
	number  uint64
	options onOptions
	handler Handler // nil after Subscribe
	ctx     context.Context
	version uint64 // of our interest that has the pattern
	wake    signal
	ended   chan struct{} // closed by Close

	// interrupt has whoever is at an item look at the state again: it was
	// closed, or its item was cut off.
	interrupt atomic.Bool
	delivered atomic.Uint64
	dropped   atomic.Uint64

	mu      sync.Mutex
	queue   queue
	closed  bool
	reading bool          // an iteration over Events is under way
	lent    *lease        // whose goroutine is at the current item, or about to take it
	began   time.Duration // when the handler got the current item
	passed  uint64        // what delivered is at the begin of the current item
	cost    time.Duration // of an item to the handler, as it was of late
	quick   int           // items in a row that did not take it long
	proof   int           // how many have to be

	abandoned bool // the handler has ended the goroutine of another that it ran on

	matches []bool // of who delivers
}

type onOptions struct {
	bound  int
	policy queuePolicy
	gaps   func(context.Context, *GapError)
	borrow bool
}

// OnOption is an option of On and Subscribe.
type OnOption func(*onOptions) error

// DropOldestBeyond bounds the events that wait for the subscription: the oldest of more
// than n are dropped, counted, and reported as a gap. Without a bound a subscription that is
// slow slows its origins down, by credit, for at most BlockTimeout without progress.
func DropOldestBeyond(n int) OnOption { return queueBound(n, dropOldest) }

// DropNewestBeyond bounds the same by dropping what comes while n events wait.
func DropNewestBeyond(n int) OnOption { return queueBound(n, dropNewest) }

func queueBound(n int, policy queuePolicy) OnOption {
	return func(o *onOptions) error {
		if n < 1 {
			return errors.New("bus: a subscription's queue needs room for at least one event")
		}
		o.bound, o.policy = n, policy
		return nil
	}
}

// OnGap has f called, in order with the events, when events of an origin are
// missing that may have matched the pattern.
func OnGap(f func(context.Context, *GapError)) OnOption {
	return func(o *onOptions) error {
		o.gaps = f
		return nil
	}
}

// Borrow promises that no event is held on to: Topic, Payload and Headers of one may change once the handler has returned, or
// the iteration has asked for the next. Keep an [Event.Clone] of what is needed longer. In return the memory of batches is used
// again where all subscriptions that get them borrow, instead of being left to the collector, which is a third of
// what receiving costs at hundreds of MB a second (bench/NOTES.md). In a program built with -race what was lent is overwritten
// with 0xdb as soon as nobody borrows it any more, so that tests find an event that was held on to.
func Borrow() OnOption {
	return func(o *onOptions) error {
		o.borrow = true
		return nil
	}
}

// On calls h for each event whose topic matches the pattern, until the subscription or
// the node is closed.
func (n *Node) On(pattern string, h Handler, options ...OnOption) (*Subscription, error) {
	if h == nil {
		return nil, errors.New("bus: On needs a handler")
	}
	s, err := n.subscribe(pattern, h, options)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Subscribe collects the events that match the pattern for Events.
func (n *Node) Subscribe(pattern string, options ...OnOption) (*Subscription, error) {
	return n.subscribe(pattern, nil, options)
}

func (n *Node) subscribe(pattern string, h Handler, options []OnOption) (*Subscription, error) {
	if err := topic.ValidatePattern(pattern); err != nil {
		return nil, err
	}
	s := &Subscription{node: n, pattern: string([]byte(pattern)), handler: h, wake: newSignal(), ended: make(chan struct{}),
		proof: leaseProof}
	s.ctx = context.WithValue(n.ctx, handlerKey{}, s)
	for _, option := range options {
		if err := option(&s.options); err != nil {
			return nil, err
		}
	}
	if !n.engine.subscribe(s) {
		return nil, ErrClosed
	}
	return s, nil
}

// subscribe makes the subscription known here and to others. The goroutine of a handler is
// waited for by Node.Close.
func (e *engine) subscribe(s *Subscription) (ok bool) {
	e.do(func(m *protocol.Machine, now time.Duration) {
		if ok = !e.closed; !ok {
			return
		}
		e.lastSub++
		s.number = e.lastSub
		e.all[s] = struct{}{}
		e.subs.Add(s.pattern, s)
		if e.patterns[s.pattern]++; e.patterns[s.pattern] == 1 {
			e.interest = m.SetPatterns(now, keys(e.patterns))
		}
		s.version = e.interest
		if s.handler != nil {
			e.node.running.Add(1)
			go s.run() // Node.Close waits for it through running
		}
	})
	return ok
}

func (e *engine) unsubscribe(s *Subscription) {
	e.do(func(m *protocol.Machine, now time.Duration) {
		if _, ok := e.all[s]; !ok {
			return
		}
		delete(e.all, s)
		e.subs.Remove(s.pattern, s)
		if e.patterns[s.pattern]--; e.patterns[s.pattern] == 0 {
			delete(e.patterns, s.pattern)
			e.interest = m.SetPatterns(now, keys(e.patterns))
		}
	})
}

func keys(set map[string]int) []string {
	list := make([]string, 0, len(set))
	for k := range set {
		list = append(list, k)
	}
	return list
}

// Pattern is the pattern subscribed to.
func (s *Subscription) Pattern() string { return s.pattern }

// Ready waits until every node that can be reached knows of the subscription:
// matching events emitted from then on arrive.
func (s *Subscription) Ready(ctx context.Context) error {
	return s.node.waitFor(ctx, func(m *protocol.Machine, _ time.Duration) bool { return m.Confirmed() >= s.version })
}

// SubscriptionStats counts what a subscription did.
type SubscriptionStats struct {
	Delivered uint64 // events
	Dropped   uint64 // events, by the bound of its queue or because it made no progress
	Waiting   int    // events
}

// Stats returns the counters.
func (s *Subscription) Stats() SubscriptionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SubscriptionStats{s.delivered.Load(), s.dropped.Load(), s.queue.events}
}

// Close ends the subscription. Events not handled yet are not delivered. It does not wait
// for a handler that is running, so it may be called inside it.
func (s *Subscription) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.interrupt.Store(true)
	held := s.queue.clear()
	s.mu.Unlock()
	close(s.ended)
	s.node.engine.unsubscribe(s)
	for _, it := range held {
		s.node.engine.release(it.log, it.last)
	}
	return nil
}

// run delivers to the handler.
func (s *Subscription) run() {
	defer s.node.running.Done()
	for {
		it, ok := s.next()
		if ok {
			s.serve(it, ok)
			continue
		}
		select {
		case <-s.wake:
		case <-s.ended:
			for s.isLent() {
				<-s.wake
			}
			return
		}
	}
}

// serve has the handler handle an item, if there is one.
func (s *Subscription) serve(it *item, ok bool) {
	if !ok {
		return
	}
	s.deliver(context.Background(), it, s.handle, s.handleGap)
	s.finish(it)
}

func (s *Subscription) handle(e Event) bool {
	s.handler(s.ctx, e)
	return true
}

func (s *Subscription) handleGap(gap *GapError) bool {
	if s.options.gaps != nil {
		s.options.gaps(s.ctx, gap)
	}
	return true
}

// Events yields the events as they arrive, until ctx ends or the subscription or the node is
// closed. Missing events come in order with the others, as an error that is a
// *GapError; another error is the last. An event is done when the loop's body is done with it: by asking for
// the next, or by ending the loop; a later iteration goes on with the one after it. Only one
// iteration at a time may run, and only after Subscribe.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := s.beginReading(); err != nil {
			yield(Event{}, err)
			return
		}
		defer s.endReading()
		var it *item
		defer func() {
			if it != nil { // the loop's body panicked
				s.stopAt(it)
			}
		}()
		ended := false
		event := func(e Event) bool {
			ended = !yield(e, nil)
			return !ended
		}
		gap := func(g *GapError) bool {
			ended = !yield(Event{}, g)
			return !ended
		}
		for {
			if ctx.Err() != nil {
				yield(Event{}, context.Cause(ctx))
				return
			}
			var ok bool
			if it, ok = s.next(); !ok {
				willWait(ctx)
				select {
				case <-s.wake:
				case <-s.ended:
					yield(Event{}, ErrClosed)
					return
				case <-ctx.Done():
					yield(Event{}, context.Cause(ctx))
					return
				}
				continue
			}
			if !s.deliver(ctx, it, event, gap) {
				s.stopAt(it)
			} else {
				s.finish(it)
			}
			it = nil
			if ended {
				return
			}
		}
	}
}

func (s *Subscription) beginReading() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.handler != nil:
		return errors.New("bus: the subscription has a handler; use Subscribe to read its events")
	case s.reading:
		return errors.New("bus: another iteration over the subscription's events is under way")
	}
	s.reading = true
	return nil
}

func (s *Subscription) endReading() {
	s.mu.Lock()
	s.reading = false
	s.mu.Unlock()
}

// next takes the oldest item off the queue, unless that is lent to.
func (s *Subscription) next() (*item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lent != nil || s.abandoned {
		return nil, false
	}
	return s.take()
}

// take is next for whoever may. mu is held.
func (s *Subscription) take() (*item, bool) {
	if s.closed {
		return nil, false
	}
	it := s.queue.take()
	if it != nil {
		s.passed = s.delivered.Load() - uint64(it.at)
	}
	s.interrupt.Store(false)
	s.began = s.node.engine.now()
	return it, it != nil
}

// deliver hands out what is left of an item. It returns false when ctx has ended, or
// when told to stop.
func (s *Subscription) deliver(ctx context.Context, it *item, event func(Event) bool, gap func(*GapError) bool) bool {
	if it.gap != nil {
		it.at++
		return gap(it.gap)
	}
	r, err := it.batch.Open()
	if err != nil {
		s.dropped.Add(uint64(it.events()))
		it.at = it.until
		s.node.engine.do(func(m *protocol.Machine, now time.Duration) {
			m.Report(now, it.log, it.batch.First, it.last, protocol.ReasonDecode)
		})
		return gap(it.missing(s.node, it.batch.First, it.last, ReasonDecode))
	}
	s.match(it.batch)
	var raw codec.Event
	e := Event{Origin: originOf(it.log), Lane: it.log.Lane}
	for i := 0; r.Next(&raw); {
		if !s.matches[raw.TopicIndex] {
			continue
		}
		i++
		if i <= it.at || i > it.until {
			continue
		}
		if s.interrupt.Load() {
			switch closed, cut := s.interrupted(it); {
			case closed:
				return true
			case cut:
				s.dropped.Add(uint64(it.until - i + 1))
				rest := it.lost(s.node, i-1, it.until, ReasonStalled)
				rest.From = raw.Seq
				it.at = it.until // whoever is given the gap may stop at it
				return gap(rest)
			}
		}
		if ctx.Err() != nil {
			return false
		}
		e.Topic, e.Payload, e.Seq, e.encoding = raw.Topic, raw.Payload, raw.Seq, raw.Encoding
		e.Time, e.Headers = time.UnixMicro(raw.Time), Headers{raw.Headers}
		it.at = i
		s.delivered.Add(1)
		if !event(e) {
			return false
		}
	}
	return true
}

// interrupted says why the rest of the item is not to be delivered, if it is not: nobody wants it any more, or it was cut off.
func (s *Subscription) interrupted(it *item) (closed, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed, it.released
}

// match finds which topics of a batch the pattern matches.
func (s *Subscription) match(b *codec.Batch) {
	s.matches = s.matches[:0]
	for i := range b.Topics {
		s.matches = append(s.matches, topic.Match(s.pattern, b.Topics[i].Name))
	}
}

// finish says that the current item is done.
func (s *Subscription) finish(it *item) {
	s.mu.Lock()
	if it.batch != nil && it.batch.Count == 1 {
		s.judge(s.node.engine.now() - s.began)
	}
	done, held := s.queue.finish(it)
	s.mu.Unlock()
	if !held {
		return
	}
	if done.batch != nil && !s.options.borrow {
		done.batch.Release()
	}
	s.node.engine.release(done.log, done.last)
	if done.batch != nil && s.options.borrow {
		done.batch.FreeOpened()
	}
}

// stopAt puts the current item back: an iteration ended inside it.
func (s *Subscription) stopAt(it *item) {
	s.mu.Lock()
	if !s.closed && s.queue.putBack(it) {
		s.mu.Unlock()
		s.wake.notify()
		return
	}
	done, held := s.queue.finish(it)
	if left := done.events(); done.gap == nil && done.released && left > 0 && !s.closed { // it was cut off meanwhile
		rest := done.lost(s.node, done.at, done.until, ReasonStalled)
		s.dropped.Add(uint64(left))
		s.queue.putFront(s.queue.newItem(item{log: done.log, gap: rest, last: rest.To, unheld: true}))
	}
	s.mu.Unlock()
	if held {
		s.node.engine.release(done.log, done.last)
	}
}

// offer queues a batch. It says whether the subscription will release it, and whether a goroutine that reads is lent to it, so that its own
// is not to be woken. Lease is of the one that the batch came on, or nil. The engine's lock is held.
func (s *Subscription) offer(log codec.LogID, b *codec.Batch, now time.Duration, lease *lease) (held, lent bool) {
	n := 0
	for i := range b.Topics {
		if len(b.Topics) == 1 || topic.Match(s.pattern, b.Topics[i].Name) {
			n += int(b.Topics[i].Count)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	idle := s.lent == nil && s.queue.current == nil && len(s.queue.items) == 0
	b.Retain() // and without Borrow, for good
	it := s.queue.newItem(item{log: log, batch: b, last: b.Last(), until: n, whole: n == int(b.Count)})
	held, dropped, released := s.queue.offer(s.node, it, s.options)
	s.dropped.Add(uint64(dropped))
	for _, it := range released {
		s.node.engine.m.Release(s.node.engine.now(), it.log, it.last)
	}
	s.reportDropped()
	if held && idle && b.Count == 1 && !s.node.engine.closed && lease.isFree() && s.isQuick() {
		s.lent = lease
		s.node.engine.lend(lease, s, now)
	}
	return held, s.lent != nil
}

// reportDropped tells the origins what the queue gave up. The engine's and the
// subscription's locks are held.
func (s *Subscription) reportDropped() {
	for _, it := range s.queue.dropped {
		s.node.engine.m.Report(s.node.engine.now(), it.log, it.gap.From, it.gap.To, protocol.Reason(it.gap.Reason))
	}
	clear(s.queue.dropped)
	s.queue.dropped = s.queue.dropped[:0]
}

// offerGap queues a gap, which takes no room.
func (s *Subscription) offerGap(log codec.LogID, gap *GapError) (held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.handler != nil && s.options.gaps == nil {
		return false
	}
	s.queue.push(s.queue.newItem(item{log: log, gap: gap, last: gap.To, unheld: gap.To == 0}))
	return gap.To > 0
}

// cutOff gives up every item of a log, if the oldest that is held has event first or one before it, and returns where those end
// that are to be released. Who is past that event gets on. The engine's lock is held.
func (s *Subscription) cutOff(log codec.LogID, first uint64) (ends []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.queue.oldestHeld(log); it == nil || it.first() > first {
		return nil
	}
	ends, dropped := s.queue.cutOff(s.node, log, int(s.delivered.Load()-s.passed))
	s.dropped.Add(uint64(dropped))
	s.reportDropped()
	if len(ends) > 0 {
		s.interrupt.Store(true)
	}
	return ends
}
