package bus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

const (
	batchTarget = 64 << 10 // bytes at which an open batch is sealed
	// lingerBusy bounds how long an event waits while every sender is busy: a sender that
	// is stuck must not hold back the others.
	lingerBusy = time.Millisecond
	// lingerBehind is the same while nobody has the credit for more.
	lingerBehind = 10 * time.Millisecond
	// lingerIdle is the same while nobody listens: the batch is only kept.
	lingerIdle = 100 * time.Millisecond
	// sharing is how many events share a reading of the clock where more than one comes in a microsecond: a reading
	// costs a third of all that emitting does.
	sharing = 8
)

// lane is one of this node's own logs on the emitter's side: the open batch, and
// the room there is for more.
//
// A batch is sealed when the first sender is ready for more, when it is full, or after a
// millisecond. An idle bus seals at once, so batching adds no waiting; a busy one
// seals at the pace of its senders, so batches grow with the load. Senders that wait for credit are not idle.
type lane struct {
	node   *Node
	index  uint8
	blocks bool // an emitter can have to wait for a peer

	// busy counts senders of this lane that will come back for more by themselves.
	busy atomic.Int32
	// behind is whether any of them waited for credit at the last append, and appends is how many there were.
	behind  atomic.Bool
	appends atomic.Uint64
	// What connected peers hold of the log, as the machine last said.
	heldEvents, heldBytes atomic.Int64
	// sealing is events taken out of the open batch and not yet in the log.
	sealing atomic.Int64

	mu      sync.Mutex // guards what follows, for a few dozen nanoseconds an event
	builder *codec.Builder
	began   time.Time     // when the open batch got its first event
	elapsed time.Duration // from then to the last reading of the clock, or to when an emitter had sent the last event
	group   int           // events that share a reading
	shares  int           // of these, those that are still to come
	paused  time.Duration // between the event before the batch and its first
	cost    time.Duration // of sending by an emitter itself, as it was of late
	plain   bool          // the open batch is not to be compressed
	room    chan struct{}
	closed  bool
	linger  *time.Timer
	lingers time.Duration // what linger was set to, 0 unless it is running
	valid   string        // the topic of the last event
	wanted  answers       // whether anyone wants a topic
	late    answers       // whether all who want a topic wait for credit; good until the next append

	sealMu     sync.Mutex // orders sealing, which may compress
	compressor *codec.Compressor
}

func newLane(n *Node, index uint8, epoch uint64) *lane {
	l := &lane{
		node: n, index: index, blocks: n.cfg.blocks(),
		builder:    codec.NewBuilder(codec.LogID{Node: n.cfg.ID, Epoch: epoch, Lane: index}, 1),
		compressor: codec.NewCompressor(n.cfg.Compression),
	}
	l.linger = time.AfterFunc(time.Hour, func() {
		l.mu.Lock()
		l.lingers = 0
		l.mu.Unlock()
		l.flush()
	})
	l.linger.Stop()
	return l
}

// draft is a message whose payload is encoded.
type draft struct {
	topic    string
	encoding codec.Encoding
	headers  []codec.Header
	payload  []byte
	plain    bool
}

// emit appends an event to the open batch. It waits for room as the overflow
// policy says.
func (l *lane) emit(ctx context.Context, d *draft) (seq uint64, err error) {
	size := len(d.payload) + codec.EventOverhead
	if len(d.headers) > 0 {
		size += codec.HeadersSize(d.headers)
	}
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return 0, ErrClosed
		}
		if l.valid != d.topic || d.topic == "" {
			if err := l.checkTopic(d.topic); err != nil {
				l.mu.Unlock()
				return 0, err
			}
		}
		open := l.builder.Count()
		if open > 0 && !l.fits(d, size) {
			l.mu.Unlock()
			l.flush()
			continue
		}
		if l.full() {
			if open > 0 {
				l.mu.Unlock()
				l.flush() // what is sealed may be dropped for those who are away
				continue
			}
			room := l.roomChan()
			l.mu.Unlock()
			if err := l.wait(ctx, room); err != nil {
				return 0, err
			}
			continue
		}
		break
	}
	seq = l.builder.Next()
	l.plain = d.plain
	l.builder.Append(l.valid, d.encoding, l.micros(), d.headers, d.payload) // not d.topic, which may be borrowed
	full := l.builder.Size() >= batchTarget
	wanted := full || l.isWanted()
	behind := wanted && !full && l.isBehind()
	now := full || wanted && l.busy.Load() == 0 && !behind
	if !now {
		l.sealWithin(lingerOf(wanted, behind))
	}
	alone, began := now && l.alone(), l.began
	l.mu.Unlock()
	switch {
	case alone:
		l.send(began)
	case now:
		l.flush()
	}
	return seq, nil
}

// lingerOf is how long an event may wait.
func lingerOf(wanted, behind bool) time.Duration {
	switch {
	case !wanted:
		return lingerIdle
	case behind:
		return lingerBehind
	}
	return lingerBusy
}

// sealWithin has a timer seal what is open, if it would not anyway by then. mu is held.
func (l *lane) sealWithin(d time.Duration) {
	if l.lingers == 0 || d < l.lingers {
		l.lingers = d
		l.linger.Reset(d)
	}
}

// alone says whether the event is better sent from here than by the sender's goroutine: it is the only one, and
// the pause before it was longer than sending takes. An emitter in a hurry would only be held up, and its events would not
// become batches.
func (l *lane) alone() bool {
	if l.builder.Count() > 1 || l.builder.Size() > gatherSize {
		return false
	}
	if l.paused > l.cost {
		return true
	}
	l.cost -= l.cost / 8 // it may be less by now
	return false
}

// send is flush by an emitter that sends by itself, as far as it need not wait.
func (l *lane) send(began time.Time) {
	t := l.seal()
	if t == nil {
		return
	}
	l.node.engine.actHere(t)
	l.mu.Lock()
	took := time.Since(began)
	l.cost += (took - l.cost) / 8 // a single delay is no reason to leave the next to another goroutine
	if l.began == began {
		l.elapsed = took
	}
	l.mu.Unlock()
}

// micros is the time in µs since the Unix epoch. The wall clock is read once a batch, and the
// monotonic one, which costs half as much, for each event, or for several that come fast and will not be kept waiting.
func (l *lane) micros() int64 {
	switch {
	case l.builder.Count() == 0:
		now := time.Now()
		l.paused = now.Sub(l.began) - l.elapsed
		l.began, l.elapsed = now, 0
		l.group, l.shares = 1, 0
		return now.UnixMicro()
	case l.shares > 0:
		l.shares--
	default:
		before := l.elapsed
		l.elapsed = time.Since(l.began)
		if fast := l.elapsed-before < time.Duration(l.group)*time.Microsecond; fast && l.wanted.last {
			l.group = sharing
		} else {
			l.group = 1
		}
		l.shares = l.group - 1
	}
	return l.began.UnixMicro() + l.elapsed.Microseconds()
}

// fits says whether the event can join the open batch.
func (l *lane) fits(d *draft, size int) bool {
	return l.plain == d.plain && l.builder.Size()+size <= 2*batchTarget && l.builder.Fits(d.topic) &&
		l.builder.Count() < max(1, l.node.cfg.BufferMax/4)
}

// full says whether an event more would be past the bounds that connected peers
// may make us keep.
func (l *lane) full() bool {
	if !l.blocks {
		return false
	}
	return l.heldEvents.Load()+l.sealing.Load()+int64(l.builder.Count()) >= int64(l.node.cfg.BufferMax) ||
		l.heldBytes.Load()+int64(l.builder.Size()) >= l.node.cfg.BufferBytes
}

// wait blocks until there may be room.
func (l *lane) wait(ctx context.Context, room chan struct{}) error {
	switch {
	case l.node.cfg.Overflow == Reject:
		return ErrBufferFull
	case l.node.isHandlers(ctx):
		return ErrWouldBlock
	}
	l.node.engine.do(func(m *protocol.Machine, now time.Duration) { m.Wait(now, l.index) })
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.node.closing:
		return ErrClosed
	}
}

func (l *lane) roomChan() chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

func (l *lane) setHeld(events, bytes int64) {
	l.heldEvents.Store(events)
	l.heldBytes.Store(bytes)
}

// roomAgain wakes the emitters that wait.
func (l *lane) roomAgain() {
	l.mu.Lock()
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	l.mu.Unlock()
}

// isWanted says whether someone who can be reached wants the valid topic now.
func (l *lane) isWanted() bool {
	e := l.node.engine
	return l.wanted.about(l.valid, e.gen.Load(), e.wanted)
}

// isBehind says whether everyone who wants the valid topic waits for credit. What is known of a topic lasts as long as the open batch: who
// gets credit meanwhile seals that.
func (l *lane) isBehind() bool {
	return l.behind.Load() && l.late.about(l.valid, l.appends.Load(), func(name string) bool { return l.node.engine.behind(l.index, name) })
}

// flush seals the open batch and hands it to the machine.
func (l *lane) flush() {
	if t := l.seal(); t != nil {
		l.node.engine.act(t)
	}
}

// seal returns what is to be done about the batch that it hands to the machine, nil if there is none.
func (l *lane) seal() *todo {
	l.sealMu.Lock()
	defer l.sealMu.Unlock()
	l.mu.Lock()
	unsealed := l.builder.Take()
	l.sealing.Store(int64(unsealed.Count()))
	compressor := l.compressor
	if l.plain {
		compressor = nil
	}
	l.mu.Unlock()
	if unsealed.Count() == 0 {
		return nil
	}
	b := unsealed.Seal(compressor)
	return l.node.engine.append(l, b)
}

// append adds a sealed batch to its log, and returns what is to be done about it.
func (e *engine) append(l *lane, b *codec.Batch) *todo {
	t := todos.Get().(*todo)
	e.mu.Lock()
	now := e.now()
	e.m.Append(now, b)
	l.sealing.Store(0) // before they are held: counted twice they may be past the bound, and nothing would end the wait
	l.setHeld(e.m.Held(l.index))
	l.behind.Store(e.m.Behind(l.index))
	l.appends.Add(1)
	e.collect(now, t)
	e.mu.Unlock()
	return t
}

// actHere is act on the goroutine of an emitter, which sends by itself where there is one peer to send to. Several are
// better served at the same time.
func (e *engine) actHere(t *todo) {
	if len(t.senders) == 1 && t.senders[0].trySend() {
		clear(t.senders)
		t.senders = t.senders[:0]
	}
	e.act(t)
}

// open says whether events wait to be sealed.
func (l *lane) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.builder.Count() > 0
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.linger.Stop()
	l.mu.Unlock()
	l.flush()
}
