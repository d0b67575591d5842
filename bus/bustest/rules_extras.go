package bustest

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// What streams may have beyond bus.Stream.

// tryWrite fills a stream that nobody reads, for as long as that needs no waiting.
func tryWrite(t *trial) {
	opened, accepted := t.streams()
	s, ok := opened.(bus.TryWriter)
	if !ok {
		t.Skip("streams are no bus.TryWriter")
	}
	const each = 1000
	n := 0
	for ok = true; ok && n <= mostTaken; {
		var err error
		ok, err = await(t, "TryWrite", func() (bool, error) {
			p := pattern(n, each)
			defer clear(p)
			return s.TryWrite(p)
		})
		t.must(err)
		if ok {
			n += each
		}
	}
	if n == 0 || n > mostTaken {
		t.Errorf("%d bytes were taken while nobody read, want some and at most %d MiB", n, mostTaken>>20)
	}
	sent := t.start(func() error {
		_, err := opened.Write(pattern(n, 1<<20))
		return errors.Join(err, opened.CloseWrite())
	})
	t.readEOF(accepted, pattern(0, n+(1<<20)))
	t.must(sent.wait(t, "Write after TryWrite"))
	_, err := s.TryWrite([]byte("x"))
	t.closedHere("TryWrite after CloseWrite", err)
}

// push has a stream hand over what comes in pieces, after reading some of it.
func push(t *trial) {
	opened, accepted := t.streams()
	s, ok := accepted.(bus.Pusher)
	if !ok {
		t.Skip("streams are no bus.Pusher")
	}
	const total, before = 1_500_000, 100_000
	sent := t.start(func() error {
		for n, piece := 0, 1; n < total; piece = 3*piece%65_521 + 1 {
			piece = min(piece, total-n)
			if _, err := opened.Write(pattern(n, piece)); err != nil {
				return err
			}
			n += piece
		}
		return opened.CloseWrite()
	})
	t.read(accepted, pattern(0, before))
	t.must(accepted.SetReadDeadline(time.Now()))
	sink := &sink{TB: t, most: total, working: newWorker(accepted)}
	t.must(t.start(func() error { return sink.take(s) }).wait(t, "Push"))
	t.must(sent.wait(t, "Write"))
	sink.working.end(t)
	if !bytes.Equal(sink.got, pattern(before, total-before)) {
		t.Errorf("Push gave %d bytes that are not those that were written after the first %d of %d", len(sink.got), before, total)
	}
	t.pushBeforeWriting()
	t.pushCutShort()
}

// pushBeforeWriting waits for what comes on a stream that the peer does not know yet.
func (t *trial) pushBeforeWriting() {
	const total = 300_000
	opened := t.open(t.dialled)
	sink := &sink{TB: t, most: total}
	pushing := t.start(func() error { return sink.take(opened.(bus.Pusher)) })
	pushing.waits(t, "Push of a stream that nobody has written to")
	t.write(opened, []byte{1})
	accepted := t.acceptStream(t.arrived)
	t.read(accepted, []byte{1})
	sent := t.start(func() error {
		_, err := accepted.Write(pattern(0, total))
		return errors.Join(err, accepted.CloseWrite())
	})
	t.must(pushing.wait(t, "Push"))
	t.must(sent.wait(t, "Write"))
	if !bytes.Equal(sink.got, pattern(0, total)) {
		t.Errorf("Push gave %d bytes that are not those that were written, %d", len(sink.got), total)
	}
}

// sink collects what is pushed, in places of many lengths.
type sink struct {
	testing.TB
	most int // bytes; it fails with more

	working *worker // nil: it leaves no work

	got   []byte
	place []byte
	calls int
	busy  atomic.Bool
	over  atomic.Bool
}

var errSinkFull = errors.New("bustest: the sink is full")

// take collects until the push is over.
func (s *sink) take(p bus.Pusher) error {
	defer func() {
		s.over.Store(true)
		if s.working != nil {
			close(s.working.over)
		}
	}()
	return p.Push(s)
}

func (s *sink) called(what string) {
	if s.over.Load() {
		s.Errorf("%s after Push had returned", what)
	}
	if s.busy.Swap(true) {
		s.Errorf("%s during another call", what)
	}
}

func (s *sink) Place() []byte {
	s.called("Place")
	defer s.busy.Store(false)
	s.calls++
	s.place = make([]byte, []int{1, 70_000, 5000, 2, 16 << 10, 300_000}[s.calls%6])
	return s.place
}

func (s *sink) Came(n int) (bus.Work, error) {
	s.called("Came")
	defer s.busy.Store(false)
	if s.got = append(s.got, s.place[:n]...); len(s.got) > s.most {
		return nil, errSinkFull
	}
	return s.working.next(len(s.got)), nil
}

// worker leaves work, a piece at a time: some is soon done, some has another goroutine read on and goes on until more has come, and the
// first after a million bytes goes on until the push is over.
type worker struct {
	stream bus.Stream
	more   chan struct{} // has one when something came
	over   chan struct{} // closed after the push

	working atomic.Bool
	left    int          // works, ever
	done    atomic.Int32 // of them
	kept    atomic.Int32 // of these, that kept their goroutine
}

func newWorker(s bus.Stream) *worker {
	return &worker{stream: s, more: make(chan struct{}, 1), over: make(chan struct{})}
}

// next is the work after so many bytes.
func (w *worker) next(got int) bus.Work {
	if w == nil {
		return nil
	}
	select {
	case w.more <- struct{}{}:
	default:
	}
	if w.working.Swap(true) {
		return nil
	}
	w.left++
	long, last := w.left%3 == 0, got > 1_000_000
	var begun atomic.Bool
	return func(readOn func()) bool {
		if begun.Swap(true) {
			return true
		}
		defer w.done.Add(1)
		w.stream.SetReadDeadline(time.Now()) // nothing that it needs is locked
		if !long && !last {
			w.working.Store(false)
			return true
		}
		w.kept.Add(1)
		select {
		case <-w.more:
		default:
		}
		readOn()
		more := w.more
		if last {
			more = nil
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-more:
			w.working.Store(false)
		case <-w.over:
		case <-timer.C: // nobody reads
		}
		return false
	}
}

// end holds that all work is done, after the push.
func (w *worker) end(t *trial) {
	t.Helper()
	for began := time.Now(); int(w.done.Load()) < w.left && time.Since(began) < patience; {
		t.pause(settle)
	}
	if done := int(w.done.Load()); done < w.left {
		t.Fatalf("%d of the %d works that a sink left were done", done, w.left)
	}
	if n := w.kept.Load(); n < 2 {
		t.Errorf("%d times a goroutine was kept by work, want several", n)
	}
}

// pushCutShort ends a push in each way that is not the stream's end.
func (t *trial) pushCutShort() {
	for what, end := range map[string]func(opened, accepted bus.Stream) error{
		"an error of the sink": func(opened, _ bus.Stream) error { _, err := opened.Write(make([]byte, 2)); return err },
		"a reset by the peer":  func(opened, _ bus.Stream) error { opened.Reset(bus.CloseNormal); return nil },
		"a reset here":         func(_, accepted bus.Stream) error { accepted.Reset(bus.CloseNormal); return nil },
	} {
		opened, accepted := t.streams()
		other, beside := t.streams()
		sink := &sink{TB: t, most: 50_001}
		pushing := t.start(func() error { return sink.take(accepted.(bus.Pusher)) })
		t.write(opened, pattern(0, 50_000))
		pushing.waits(t, "Push of a stream that goes on")
		t.must(end(opened, accepted))
		err := pushing.wait(t, "Push that is ended by "+what)
		switch {
		case err == nil || err == io.EOF:
			t.Errorf("after %s, Push: %v", what, err)
		case (err == errSinkFull) != (what == "an error of the sink"):
			t.Errorf("after %s, Push: %v", what, err)
		}
		opened.SetWriteDeadline(time.Now().Add(settle))
		opened.Write(make([]byte, 1000)) // to nobody
		t.passes(other, beside)
		for _, s := range []bus.Stream{accepted, opened, other, beside} {
			s.Reset(bus.CloseNormal)
		}
	}
}
