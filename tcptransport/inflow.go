package tcptransport

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

const (
	// firstWindow is how much may be sent on a new stream before its reader reads.
	firstWindow = 128 << 10
	// maxWindow is what a window grows to while its reader keeps up and its peer is far.
	maxWindow = 4 << 20
	// pushWindow is how much may be sent on a stream whose bytes are pushed: none of them are ever unread.
	pushWindow = 8 << 20
	// growthBudget is how much the windows of a connection's streams may be above firstWindow in all.
	growthBudget = 8 << 20

	// nearestRTT is the least round-trip time that windows are judged by: nearer peers are
	// limited by the scheduling of goroutines, which takes about as long.
	nearestRTT = time.Millisecond

	// chunkSize is what a connection reads at a time: a full TLS record, and what was left of the one before.
	chunkSize = 16<<10 + headerSize + maxSignal
)

// chunk is a piece of what has arrived and was not read.
type chunk struct {
	next *chunk
	r, w int
	data [chunkSize]byte
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk {
	c := chunks.Get().(*chunk)
	c.next, c.r, c.w = nil, 0, 0
	return c
}

// budget is a number of bytes that several windows share.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

func (b *budget) give(n int) { b.left.Add(int64(n)) }

// inflow is the receiving half of a stream: what has arrived, and how much more may. The
// connection's reader calls expect, put, give, place, came and finish; the application reads or pushes; anybody may call fail.
type inflow struct {
	growth *budget
	wake   signal

	mu         sync.Mutex
	head, tail *chunk
	unread     int
	sink       bus.Sink // of a Push; nothing is unread then. It is called with mu held
	work       bus.Work // that the sink has left since it was last asked for, if it is not nil
	err        error    // why there is nothing more to read; io.EOF after fin, once unread is 0
	fin        bool
	over       bool // nothing is stored any more
	deadline   time.Time

	allowed  int       // bytes the peer may still send
	size     int       // of the window: allowed was at most this
	consumed int       // read, and not allowed again yet
	since    time.Time // of the last allowance
}

func newInflow(growth *budget) inflow {
	return inflow{growth: growth, wake: newSignal(), allowed: firstWindow, size: firstWindow, since: time.Now()}
}

// expect takes note of a data frame that begins. It returns what the peer did
// wrong, if anything.
func (f *inflow) expect(n int) (wrong string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over:
		return ""
	case f.fin:
		return "data after the end of a stream"
	case n > f.allowed:
		return "data beyond the window of a stream"
	}
	f.allowed -= n
	return ""
}

// put stores bytes of a frame that was expected. It returns by how much the peer's allowance is to be raised, and what is to be done
// once that has been.
func (f *inflow) put(p []byte, rtt time.Duration) (grant int, work bus.Work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return 0, nil
	}
	if f.sink != nil {
		return f.feed(p, rtt), f.takeWork()
	}
	f.unread += len(p)
	for len(p) > 0 {
		if f.tail == nil || f.tail.w == chunkSize {
			f.append(newChunk())
		}
		n := copy(f.tail.data[f.tail.w:], p)
		f.tail.w += n
		p = p[n:]
	}
	f.wake.notify()
	return 0, nil
}

// takeWork returns what the sink has left. mu is held.
func (f *inflow) takeWork() bus.Work {
	work := f.work
	f.work = nil
	return work
}

// place is where the next bytes, up to n, are to be read to, or nil if they have no place of their own. What was read there is
// told by came.
func (f *inflow) place(n int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sink == nil || f.over {
		return nil
	}
	p := f.sink.Place()
	return p[:min(n, len(p))]
}

// came takes note of n bytes that were read to their place. It returns what put does.
func (f *inflow) came(n int, rtt time.Duration) (grant int, work bus.Work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return 0, nil
	}
	return f.pushed(n, rtt), f.takeWork()
}

// feed copies bytes to the sink. mu is held.
func (f *inflow) feed(p []byte, rtt time.Duration) (grant int) {
	for len(p) > 0 && !f.over {
		n := copy(f.sink.Place(), p)
		p = p[n:]
		grant += f.pushed(n, rtt)
	}
	return grant
}

// pushed tells the sink of n bytes, whose error ends the half. mu is held.
func (f *inflow) pushed(n int, rtt time.Duration) (grant int) {
	work, err := f.sink.Came(n)
	if work != nil {
		f.work = work
	}
	if err != nil {
		f.err = err
		f.release()
		f.wake.notify()
		return 0
	}
	return f.used(n, rtt)
}

// give is put of what c holds, which becomes the stream's.
func (f *inflow) give(c *chunk, rtt time.Duration) (grant int, work bus.Work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.sink != nil {
		grant = f.feed(c.data[c.r:c.w], rtt)
		chunks.Put(c)
		return grant, f.takeWork()
	}
	f.unread += c.w - c.r
	f.append(c)
	f.wake.notify()
	return 0, nil
}

// append appends a chunk to what is unread. mu is held.
func (f *inflow) append(c *chunk) {
	if f.tail == nil {
		f.head = c
	} else {
		f.tail.next = c
	}
	f.tail = c
}

// finish takes note that no more comes. It reports whether nothing is left to read.
func (f *inflow) finish() (drained bool, wrong string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fin && !f.over {
		return false, "the end of a stream, twice"
	}
	f.fin = true
	f.wake.notify()
	return f.unread == 0, ""
}

// read reads what has arrived, and waits for the first byte. It returns by how much the peer's allowance
// is to be raised, and whether everything was read that will ever come.
func (f *inflow) read(p []byte, rtt time.Duration) (n, grant int, drained bool, err error) {
	f.mu.Lock()
	for {
		switch {
		case f.err != nil:
			err = f.err
		case expired(f.deadline):
			err = os.ErrDeadlineExceeded
		case f.unread == 0 && f.fin:
			err = io.EOF
		}
		if err != nil || f.unread > 0 || len(p) == 0 {
			break
		}
		deadline := f.deadline
		f.mu.Unlock()
		f.wake.wait(deadline)
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	if err != nil {
		f.wake.notify() // another reader, if there is one, is to see it too
		return 0, 0, false, err
	}
	n = f.take(p)
	return n, f.used(n, rtt), n > 0 && f.fin && f.unread == 0, nil
}

// push has the sink get what has arrived, and then what comes. It returns what put does.
func (f *inflow) push(sink bus.Sink, rtt time.Duration) (grant int, work bus.Work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sink = sink
	if !f.over && !f.fin && f.size < pushWindow {
		f.growth.give(f.size - firstWindow)
		grant = pushWindow - f.size
		f.allowed, f.size = f.allowed+grant, pushWindow
	}
	for f.unread > 0 && f.err == nil {
		c := f.pop()
		grant += f.feed(c.data[c.r:c.w], rtt)
		chunks.Put(c)
	}
	return grant, f.takeWork()
}

// ended waits until the last push gets no more. It reports whether it got everything.
func (f *inflow) ended() (drained bool, err error) {
	f.mu.Lock()
	for f.err == nil && !f.fin {
		f.mu.Unlock()
		f.wake.wait(time.Time{})
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	f.sink = nil
	return f.err == nil, f.err
}

// used takes note of n bytes that the application got, and raises the allowance once they are many.
func (f *inflow) used(n int, rtt time.Duration) (grant int) {
	f.consumed += n
	if f.fin || 2*f.consumed < f.size {
		return 0
	}
	return f.allow(rtt)
}

func (f *inflow) take(p []byte) (n int) {
	for n < len(p) && f.unread > 0 {
		c := f.head
		m := copy(p[n:], c.data[c.r:c.w])
		c.r += m
		n += m
		f.unread -= m
		if c.r == c.w {
			chunks.Put(f.pop())
		}
	}
	return n
}

// pop takes the oldest chunk off, and what is unread of it. mu is held.
func (f *inflow) pop() *chunk {
	c := f.head
	if f.head = c.next; f.head == nil {
		f.tail = nil
	}
	f.unread -= c.w - c.r
	return c
}

// allow raises the allowance by what was read. A window that went by within two round trips
// may be what limits the sender, and is doubled.
func (f *inflow) allow(rtt time.Duration) (grant int) {
	now := time.Now()
	grant = f.consumed
	if now.Sub(f.since) < 2*max(rtt, nearestRTT) && 2*f.size <= maxWindow && f.growth.take(f.size) {
		grant += f.size
		f.size *= 2
	}
	f.since, f.consumed = now, 0
	f.allowed += grant
	return grant
}

// fail ends the half: what was not read is gone, and readers get err.
func (f *inflow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && !(f.fin && f.unread == 0) {
		f.err = err
	}
	f.release()
	f.wake.notify()
}

// end gives back what a half holds that was read to its end.
func (f *inflow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release()
}

// release gives back the memory and the share of the budget. mu is held.
func (f *inflow) release() {
	if f.over {
		return
	}
	f.over = true
	for f.head != nil {
		c := f.head
		f.head = c.next
		chunks.Put(c)
	}
	f.tail, f.unread = nil, 0
	if f.size < pushWindow {
		f.growth.give(f.size - firstWindow)
	}
}

func (f *inflow) setDeadline(t time.Time) {
	f.mu.Lock()
	f.deadline = t
	f.mu.Unlock()
	f.wake.notify()
}
