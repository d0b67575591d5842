package tcptransport

import (
	"slices"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// openWith opens a stream that has n bytes to send.
func (f *frames) openWith(t *testing.T, urgency uint8, n int) *Stream {
	t.Helper()
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	s.SetPriority(urgency)
	f.fill(t, s, n)
	return s
}

// fill has a stream send n more bytes; its application does not wait for that.
func (f *frames) fill(t *testing.T, s *Stream, n int) {
	t.Helper()
	s.SetWriteDeadline(time.Now().Add(pair.Patience))
	w := &f.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	s.out.direct = make([]byte, n)
	w.schedule(s)
}

// run returns the frames that are sent next, as one run.
func (f *frames) run(t *testing.T) (run []header) {
	t.Helper()
	b, _ := f.writer.gather(make([]byte, 0, runSize))
	for len(b) > 0 {
		h, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		run = append(run, h)
		b = b[headerSize+h.length:]
	}
	return run
}

func streams(run []header) (ids []uint32) {
	for _, h := range run {
		ids = append(ids, h.stream)
	}
	return ids
}

// TestUrgentFirst holds that an urgent stream waits for no more than the run that is being sent, and that those
// of the same urgency take turns.
func TestUrgentFirst(t *testing.T) {
	f := newFrames(t) // it accepted the connection: its streams are 2, 4, 6…
	f.openWith(t, 7, firstWindow)
	if got := streams(f.run(t)); !slices.Equal(got, []uint32{2, 2, 2, 2}) {
		t.Errorf("alone: %v", got)
	}
	f.openWith(t, 3, 3*maxData)
	f.openWith(t, 3, 3*maxData)
	urgent := f.openWith(t, 0, 10)
	if got := streams(f.run(t)); !slices.Equal(got, []uint32{4, 6, 8, 6, 8}) {
		t.Errorf("with an urgent one: %v", got)
	}
	f.fill(t, urgent, 10)
	urgent.Reset(bus.CloseNormal)
	// What had no room in the run before comes as a frame of its own.
	if got := streams(f.run(t)); !slices.Equal(got, []uint32{4, 6, 8, 8, 2, 2}) {
		t.Errorf("after its reset: %v", got)
	}
}

// TestPriorityOfWaiting holds that a stream which waits is moved, and that a window's end stops it.
func TestPriorityOfWaiting(t *testing.T) {
	f := newFrames(t)
	late := f.openWith(t, 5, firstWindow+1)
	f.openWith(t, 4, 2*maxData)
	late.SetPriority(200) // the last there is
	if got := streams(f.run(t)); !slices.Equal(got, []uint32{2, 2, 4, 4}) {
		t.Errorf("%v", got)
	}
	late.SetPriority(0)
	sent := 2 * maxData
	for {
		run := f.run(t)
		if len(run) == 0 {
			break
		}
		for _, h := range run {
			sent += h.length
		}
	}
	if sent != firstWindow || late.out.pending() != 1 {
		t.Errorf("%d bytes were sent, and %d wait, with a window of %d", sent, late.out.pending(), firstWindow)
	}
	if err := f.receive(appendNumber(nil, kindWindow, late.id, 10)); err != nil {
		t.Fatal(err)
	}
	late.CloseWrite()
	if run := f.run(t); len(run) != 2 || run[0] != (header{kindData, 1, late.id}) || run[1].kind != kindFin {
		t.Errorf("after a window: %+v", run)
	}
}

// TestSmallWritesLeaveTogether holds that what is written while nothing can be sent becomes one frame.
func TestSmallWritesLeaveTogether(t *testing.T) {
	f := newFrames(t)
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if n, err := s.Write(make([]byte, 64)); n != 64 || err != nil {
			t.Fatal(n, err)
		}
	}
	s.CloseWrite()
	if run := f.run(t); len(run) != 2 || run[0].length != 6400 || run[1].kind != kindFin {
		t.Errorf("%+v", run)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("written after CloseWrite")
	}
}

// TestTheRestLeavesWithWhatFollows holds that a large Write returns when a small rest is left, and that this waits for
// no run of its own.
func TestTheRestLeavesWithWhatFollows(t *testing.T) {
	f := newFrames(t)
	s := f.openWith(t, defaultUrgency, 4*maxData+100)
	if got := streams(f.run(t)); len(got) != 4 || len(s.out.direct) > 0 {
		t.Fatalf("%d frames, and %d bytes that Write waits for", len(got), len(s.out.direct))
	}
	s.out.direct = nil // as Write has it when it returns
	if n, err := s.Write(make([]byte, 64)); n != 64 || err != nil {
		t.Fatal(n, err)
	}
	if run := f.run(t); len(run) != 1 || run[0].length != 164 {
		t.Errorf("%+v", run)
	}
}
