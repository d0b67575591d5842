package bus

import (
	"bufio"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

// sendTarget is how many bytes a sender takes from the machine at a time.
const sendTarget = 256 << 10

// gatherSize is up to how many bytes of small frames are written at once. The rest of a larger batch is
// written from where it is.
const gatherSize = 16 << 10

// sender writes one data stream of a path. Its goroutine sleeps until the machine has
// something for it, and then goes on until there is nothing more. A few bytes may be sent by an
// emitter instead, which saves waking it.
type sender struct {
	path   *path
	lane   uint8
	wake   signal
	own    *lane       // the lane it takes events from; nil if this node has no such lane
	active atomic.Bool // it will look for more by itself

	mu     sync.Mutex // held by who takes frames from the machine and writes them
	try    TryWriter  // nil before the stream is open, and if it can't
	heads  []byte
	parts  []part
	size   int  // of parts
	last   bool // the machine had no more than parts
	level  bool // the peer is not behind
	joined []byte
	opened bool // something was written, which began with OPEN

	busySince time.Time // or since slowAfter was last looked at
	busyBytes int
}

// A link counts as what limits a lane when a sender that is always busy gets less
// than slowLink bytes a second through for slowAfter: a processor that limits
// does several times that.
const (
	slowLink  = 25 << 20
	slowAfter = 100 * time.Millisecond
)

// part is a frame: heads up to an offset, then a batch, of which it is a holder.
type part struct {
	head  int
	batch *codec.Batch // or nil
}

func (pt *part) body() []byte {
	if pt.batch == nil {
		return nil
	}
	return pt.batch.Bytes()
}

// wakeSender has the sender of a lane look for frames, and starts it the first time.
// The engine's lock is held.
func (p *path) wakeSender(lane uint8, t *todo) {
	s := p.senders[lane]
	if s == nil {
		if p.leaving {
			return
		}
		s = &sender{path: p, lane: lane, wake: newSignal()}
		if int(lane) < len(p.node.lanes) {
			s.own = p.node.lanes[lane]
		}
		p.senders[lane] = s
		p.streams++
		p.sending++
		p.wg.Add(1)
		t.starts = append(t.starts, s)
	}
	if s.active.CompareAndSwap(false, true) && s.own != nil {
		s.own.busy.Add(1)
	}
	t.senders = append(t.senders, s)
}

// idle notes that the sender will not come back by itself.
func (s *sender) idle() {
	if s.active.CompareAndSwap(true, false) && s.own != nil {
		s.own.busy.Add(-1)
	}
}

// start begins the goroutine that path.run waits for.
func (s *sender) start() { go s.run() }

func (s *sender) run() {
	p := s.path
	defer p.wg.Done()
	if err := s.send(); err != nil {
		p.cancel(p.explain(err))
	}
	s.mu.Lock()
	s.try = nil
	s.mu.Unlock()
	s.idle()
	e := p.node.engine
	e.mu.Lock()
	p.sending--
	e.mu.Unlock()
	p.wake.notify() // a path that is left says so when its last sender has ended
}

func (s *sender) send() error {
	p := s.path
	stream, err := p.conn.OpenStream(p.ctx)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(stream, gatherSize)
	s.mu.Lock()
	s.try, _ = stream.(TryWriter)
	s.mu.Unlock()
	for {
		if err := s.sendAll(w); err != nil {
			return err
		}
		select {
		case <-s.wake:
			continue
		default:
		}
		select {
		case <-s.wake:
		case <-p.left:
			return s.end(stream)
		case <-p.ctx.Done():
			if cause := context.Cause(p.ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return p.ctx.Err()
		}
	}
}

// end ends the stream. What it was opened for may have left by another path since.
func (s *sender) end(stream Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.try = nil
	if !s.opened {
		if _, err := stream.Write(protocol.AppendOpen(nil, s.lane)); err != nil {
			return err
		}
	}
	return stream.CloseWrite()
}

// sendAll sends until there is nothing more.
func (s *sender) sendAll(w *bufio.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busySince, s.busyBytes = time.Now(), 0
	for s.poll() {
		if err := s.write(w); err != nil {
			return err
		}
		s.judgeLink()
	}
	if s.own != nil {
		s.own.compressor.SetLinkLimited(false)
	}
	return nil
}

// trySend sends what there is, if that is little and needs no waiting. It reports whether nothing is left for the
// sender's goroutine.
func (s *sender) trySend() (all bool) {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	if s.try == nil || len(s.parts) > 0 {
		return false
	}
	s.fill()
	if len(s.parts) > 0 {
		if s.size > gatherSize || !s.last {
			return false
		}
		s.joined = s.joined[:0]
		s.eachPart(func(p []byte) error {
			s.joined = append(s.joined, p...)
			return nil
		})
		if ok, err := s.try.TryWrite(s.joined); !ok || err != nil {
			return false // the goroutine runs into the error, too
		}
		s.clearParts()
		s.idle()
	}
	return s.own == nil || !s.own.open()
}

// poll takes the next frames off the machine, behind those that an emitter could not send.
func (s *sender) poll() bool {
	if s.own != nil && s.own.open() {
		s.own.flush()
	}
	s.fill()
	if len(s.parts) > 0 {
		return true
	}
	// We have just said that we won't be back. What was emitted before that and
	// counted on us is ours to seal.
	if s.own != nil && s.own.busy.Load() == 0 && s.level && s.own.open() {
		s.own.flush()
	}
	return false
}

func (s *sender) fill() {
	p := s.path
	e := p.node.engine
	s.size, s.last = 0, false
	e.do(func(m *protocol.Machine, now time.Duration) {
		for s.size < sendTarget {
			before := len(s.heads)
			heads, batch := m.PollData(now, p.id, s.lane, s.heads)
			s.heads = heads
			if len(heads) == before {
				s.last = true
				break
			}
			pt := part{len(heads), batch}
			s.parts = append(s.parts, pt)
			s.size += len(heads) - before + len(pt.body())
		}
		s.level = s.own == nil || !s.own.behind.Load() || m.CaughtUp(p.id, s.lane)
		if len(s.parts) == 0 {
			s.idle()
		}
	})
}

func (s *sender) write(w *bufio.Writer) error {
	err := s.eachPart(func(p []byte) error {
		_, err := w.Write(p)
		return err
	})
	if err != nil {
		return err
	}
	s.clearParts()
	return w.Flush()
}

// eachPart calls f with the bytes of each frame, in one piece or two.
func (s *sender) eachPart(f func(p []byte) error) error {
	from := 0
	for _, pt := range s.parts {
		if err := f(s.heads[from:pt.head]); err != nil {
			return err
		}
		if err := f(pt.body()); err != nil {
			return err
		}
		from = pt.head
	}
	return nil
}

// clearParts is for parts that were written.
func (s *sender) clearParts() {
	for _, pt := range s.parts {
		if pt.batch != nil {
			pt.batch.Free()
		}
	}
	clear(s.parts)
	s.heads, s.parts = s.heads[:0], s.parts[:0]
	s.opened = true
}

// judgeLink tells the lane's compressor whether it is the link that holds the
// sender up.
func (s *sender) judgeLink() {
	s.busyBytes += s.size
	elapsed := time.Since(s.busySince)
	if s.own == nil || elapsed < slowAfter {
		return
	}
	s.own.compressor.SetLinkLimited(float64(s.busyBytes) < slowLink*elapsed.Seconds())
	s.busySince, s.busyBytes = time.Now(), 0
}
