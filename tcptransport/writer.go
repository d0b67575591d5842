package tcptransport

import (
	"slices"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

const (
	// runSize is how much is encrypted and sent at a time: an urgent frame waits for so
	// much at most, besides what the system has taken already.
	runSize = 64 << 10
	// leastData is the least room in a run that a data frame is begun in.
	leastData = 1 << 10
)

// writer decides what a connection sends next: its own frames first, then those of the streams, the lowest urgency
// first, and in turn among streams of the same. Its fields are guarded by mu, which may
// be held when Conn.mu is taken, and not the other way round.
type writer struct {
	conn *Conn
	wake signal // for the goroutine that sends

	sending sync.Mutex // held by who gathers and sends, and taken before mu
	unsent  unsent     // guarded by sending
	left    bool       // by it too: sendHere has left something that the system did not take

	mu       sync.Mutex
	err      error                // of the connection, once it has ended
	ready    [urgencies][]*Stream // that can send data or fin
	notes    []*Stream            // that have a window or a reset to send
	nextID   uint32
	credit   uint32 // streams that the peer is to be allowed
	ping     bool
	pong     bool
	token    uint64 // of pong
	farewell []byte // the close frame, if there is to be one
	finished []*Stream
}

// runs holds the buffers in which frames are gathered. An idle connection has none.
var runs = sync.Pool{New: func() any { return new([runSize]byte) }}

// run sends until the connection ends. The connection waits for it.
func (w *writer) run() {
	for w.sendAll() {
		<-w.wake
	}
}

// sendAll sends until there is nothing more, and reports whether there may be again.
func (w *writer) sendAll() (more bool) {
	w.sending.Lock()
	defer w.sending.Unlock()
	run := runs.Get().(*[runSize]byte)
	defer runs.Put(run)
	for {
		b, last := w.gather(run[:0])
		w.left = false
		if err := w.conn.socket.send(b); err != nil {
			w.conn.writeFailed(err)
			return false
		}
		if last {
			w.conn.socket.closeWrite()
			return false
		}
		if len(b) == 0 {
			return true
		}
		w.count(len(b))
	}
}

// sendNow sends here if that needs no waiting, for others or the system, and otherwise has the goroutine do it.
func (w *writer) sendNow() {
	if !w.conn.socket.canTry() || !w.sending.TryLock() {
		w.wake.notify()
		return
	}
	defer w.sending.Unlock()
	if w.left {
		w.wake.notify()
		return
	}
	w.sendHere()
}

// sendHere sends one run, as far as the system takes it at once. What is more is for the goroutine, which gather wakes
// for it. sending is held.
func (w *writer) sendHere() {
	run := runs.Get().(*[runSize]byte)
	defer runs.Put(run)
	b, last := w.gather(run[:0])
	if !last && len(b) > 0 {
		w.left = !w.conn.socket.trySend(b)
		w.count(len(b))
	}
	if last || w.left {
		w.wake.notify()
	}
}

// count takes note of what the system was given.
func (w *writer) count(n int) {
	if limit, changed := w.unsent.wrote(n, time.Now(), w.conn.rtt.least()); changed {
		limitUnsent(w.conn.socket.wire.Conn, limit)
	}
}

// gather appends the frames to send next. It reports whether they are the last.
func (w *writer) gather(b []byte) (_ []byte, last bool) {
	w.mu.Lock()
	if w.err != nil {
		defer w.mu.Unlock()
		return append(b, w.farewell...), true
	}
	b = w.appendOwn(b)
	for urgency := range w.ready {
		for len(w.ready[urgency]) > 0 && cap(b)-len(b) >= headerSize+leastData {
			s := w.ready[urgency][0]
			w.ready[urgency] = slices.Delete(w.ready[urgency], 0, 1)
			b = w.appendFrame(b, s)
		}
	}
	var finished []*Stream
	if len(w.finished) > 0 {
		finished, w.finished = w.finished, nil
	}
	w.mu.Unlock()
	for _, s := range finished {
		s.halfDone(sent)
	}
	return b, false
}

// appendOwn appends the frames that are not a stream's data. All of them fit
// a run: there are two at most for each stream.
func (w *writer) appendOwn(b []byte) []byte {
	if w.pong {
		b = appendToken(b, kindPong, w.token)
		w.pong = false
	}
	if w.ping {
		b = appendToken(b, kindPing, w.conn.rtt.ping())
		w.ping = false
	}
	for _, s := range w.notes {
		o := &s.out
		if o.resets {
			b = appendNumber(b, kindReset, s.id, uint32(o.resetBy))
		} else if o.grant > 0 {
			b = appendNumber(b, kindWindow, s.id, o.grant)
		}
		o.noted, o.resets, o.grant = false, false, 0
	}
	clear(w.notes)
	w.notes = w.notes[:0]
	if w.credit > 0 { // after the resets, which it is for
		b = appendNumber(b, kindStreams, 0, w.credit)
		w.conn.credited(w.credit)
		w.credit = 0
	}
	return b
}

// appendFrame appends one frame of a stream, and puts the stream at the end of its row if there is more.
func (w *writer) appendFrame(b []byte, s *Stream) []byte {
	o := &s.out
	o.ready = false
	if !o.sendable() {
		return b
	}
	if s.id == 0 {
		s.id = w.nextID
		w.nextID += 2
		w.conn.name(s)
		if o.grant > 0 { // before it had a name
			w.note(s)
		}
	}
	if n := int(min(int64(o.pending()), o.window, maxData, int64(cap(b)-len(b)-headerSize))); n > 0 {
		b = o.appendNext(appendHeader(b, header{kindData, n, s.id}), n)
	} else {
		b = appendHeader(b, header{kindFin, 0, s.id})
		o.finSent = true
		w.finished = append(w.finished, s)
	}
	w.schedule(s)
	return b
}

// schedule puts a stream that can send something into its row, and has it sent. mu is held.
func (w *writer) schedule(s *Stream) {
	if w.queue(s) {
		w.wake.notify()
	}
}

// queue puts a stream into its row, if it can send something and is in none. mu is held.
func (w *writer) queue(s *Stream) bool {
	o := &s.out
	if o.ready || !o.sendable() {
		return false
	}
	o.ready = true
	w.ready[o.urgency] = append(w.ready[o.urgency], s)
	return true
}

// note has a stream's window or reset sent. mu is held.
func (w *writer) note(s *Stream) {
	if !s.out.noted {
		s.out.noted = true
		w.notes = append(w.notes, s)
	}
	w.wake.notify()
}

// write is Stream.Write.
func (w *writer) write(s *Stream, p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &s.out
	if err := o.writable(); err != nil || len(p) == 0 {
		return 0, err
	}
	if o.direct != nil {
		return 0, errTwoWrites
	}
	if o.store(p) {
		w.schedule(s)
		return len(p), nil
	}
	o.direct = p
	w.schedule(s)
	for len(o.direct) > 0 {
		if err = o.writable(); err != nil {
			break
		}
		deadline := o.deadline
		w.mu.Unlock()
		o.wake.wait(deadline)
		w.mu.Lock()
	}
	n = len(p) - len(o.direct)
	o.direct = nil
	return n, err
}

// tryWrite is Stream.TryWrite. Nobody is woken if nobody is sending: the caller does.
func (w *writer) tryWrite(s *Stream, p []byte) (ok bool, err error) {
	w.mu.Lock()
	o := &s.out
	if err := o.writable(); err != nil || len(o.direct) > 0 || !o.store(p) {
		w.mu.Unlock()
		return false, err
	}
	queued := w.queue(s)
	w.mu.Unlock()
	if queued {
		w.sendNow()
	}
	return true, nil
}

func (w *writer) closeWrite(s *Stream) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.out.err != nil {
		return s.out.err
	}
	s.out.fin = true
	w.schedule(s)
	return nil
}

// reset abandons a stream's sending half, and tells the peer if it knows the stream.
func (w *writer) reset(s *Stream, code bus.CloseCode, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.out.err != nil {
		return
	}
	s.out.fail(err)
	if s.id != 0 && w.err == nil {
		s.out.resets, s.out.resetBy = true, code
		w.note(s)
	}
}

// fail abandons a stream's sending half.
func (w *writer) fail(s *Stream, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.out.fail(err)
}

// allow raises what may be sent on a stream. It reports false if that is more than a peer may allow.
func (w *writer) allow(s *Stream, n uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.out.window += int64(n); s.out.window > 1<<31 {
		return false
	}
	w.schedule(s)
	return true
}

// grant lets the peer send more on a stream.
func (w *writer) grant(s *Stream, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.out.resets || w.err != nil {
		return
	}
	s.out.grant += uint32(n)
	if s.id != 0 {
		w.note(s)
	}
}

// creditStream lets the peer open another stream.
func (w *writer) creditStream() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.credit++
	w.wake.notify()
}

func (w *writer) sendPing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ping = true
	w.wake.notify()
}

// sendPong answers a ping. Of several that wait for an answer, the last gets one.
func (w *writer) sendPong(token uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pong, w.token = true, token
	w.wake.notify()
}

// setPriority moves a stream to another row.
func (w *writer) setPriority(s *Stream, urgency uint8) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	o := &s.out
	if o.ready {
		row := w.ready[o.urgency]
		i := slices.Index(row, s)
		w.ready[o.urgency] = slices.Delete(row, i, i+1)
		o.ready = false
	}
	o.urgency = min(urgency, urgencies-1)
	w.schedule(s)
}

func (w *writer) setDeadline(s *Stream, set func(*outflow)) {
	w.mu.Lock()
	set(&s.out)
	w.mu.Unlock()
	s.out.wake.notify()
}

// end lets nothing be sent any more but a farewell. The streams are failed by the caller.
func (w *writer) end(err error, farewell []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.farewell = err, farewell
	clear(w.notes)
	w.notes = w.notes[:0]
	w.ready = [urgencies][]*Stream{}
	w.wake.notify()
}
