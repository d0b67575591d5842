package tcptransport

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// pump sends on a window as long as it is allowed, read at once, and returns the window's size.
func pump(t *testing.T, f *inflow, rtt time.Duration) int {
	t.Helper()
	buf := make([]byte, maxData)
	for range 10 * maxWindow / maxData {
		n := min(f.allowed, maxData)
		if wrong := f.expect(n); wrong != "" {
			t.Fatal(wrong)
		}
		f.put(buf[:n], rtt)
		if got, _, _, err := f.read(buf, rtt); got != n || err != nil {
			t.Fatalf("read %d of %d, %v", got, n, err)
		}
	}
	return f.size
}

// TestWindowGrowth holds that windows grow while a far peer's data is read at once, as far as the connection's
// budget goes, and that a stream that is over gives back what it had.
func TestWindowGrowth(t *testing.T) {
	const far = time.Hour
	var growth budget
	growth.left.Store(growthBudget)
	near := newInflow(&growth)
	near.since = near.since.Add(-far)
	if size := pump(t, &near, 0); size > maxWindow {
		t.Errorf("window of %d bytes", size)
	}
	near.end()
	if left := growth.left.Load(); left != growthBudget {
		t.Errorf("%d bytes of the budget are left after the only stream is over, of %d", left, growthBudget)
	}
	total := 0
	var flows [5]inflow
	for i := range flows {
		flows[i] = newInflow(&growth)
		size := pump(t, &flows[i], far)
		if i < 2 && size != maxWindow {
			t.Errorf("window %d grew to %d, want %d", i, size, maxWindow)
		}
		total += size - firstWindow
	}
	if total > growthBudget || growth.left.Load() != int64(growthBudget-total) {
		t.Errorf("windows grew by %d in all, %d are left of %d", total, growth.left.Load(), growthBudget)
	}
	for i := range flows {
		flows[i].fail(errors.New("over"))
		flows[i].end()
	}
	if left := growth.left.Load(); left != growthBudget {
		t.Errorf("%d bytes of the budget are left after all streams are over, of %d", left, growthBudget)
	}
}

// TestSlowReaderKeepsItsWindow holds that a window does not grow for a reader that takes its time.
func TestSlowReaderKeepsItsWindow(t *testing.T) {
	var growth budget
	growth.left.Store(growthBudget)
	f := newInflow(&growth)
	buf := make([]byte, maxData)
	for range 100 {
		f.expect(maxData)
		f.put(buf, 0)
		f.since = f.since.Add(-time.Second)
		if _, grant, _, _ := f.read(buf, 20*time.Millisecond); grant > firstWindow {
			t.Fatalf("allowed %d more", grant)
		}
	}
	if f.size != firstWindow {
		t.Errorf("window of %d bytes", f.size)
	}
}

// TestReadingAllocatesNothing holds that the bytes of a busy stream go through buffers that are used again.
func TestReadingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool drop things")
	}
	var growth budget
	f := newInflow(&growth)
	buf := make([]byte, maxData)
	if n := testing.AllocsPerRun(1000, func() {
		f.expect(maxData)
		f.put(buf, 0)
		f.read(buf, 0)
		f.expect(maxData)
		c := newChunk()
		c.w = maxData
		f.give(c, 0)
		f.read(buf, 0)
	}); n > 0 {
		t.Errorf("%v allocations for two frames", n)
	}
	f.finish()
	if _, _, _, err := f.read(buf, 0); err != io.EOF {
		t.Errorf("read at the end: %v", err)
	}
}

// heap is a sink that takes everything.
type heap struct{ place [1000]byte }

func (h *heap) Place() []byte              { return h.place[:] }
func (h *heap) Came(int) (bus.Work, error) { return nil, nil }

// What is pushed is never unread, so it has a wide window at once, and takes none of what other streams may grow by.
func TestPushedBytesHaveAWideWindow(t *testing.T) {
	growth := budget{}
	growth.left.Store(growthBudget)
	f := newInflow(&growth)
	pump(t, &f, time.Hour)
	if f.size <= firstWindow || growth.left.Load() == growthBudget {
		t.Fatalf("the window did not grow: %d", f.size)
	}
	if grant, _ := f.push(new(heap), 0); f.allowed+f.consumed != pushWindow || grant == 0 {
		t.Errorf("%d bytes allowed, %d not granted again, %d more than before", f.allowed, f.consumed, grant)
	}
	if left := growth.left.Load(); left != growthBudget {
		t.Errorf("%d of the budget left", left)
	}
	f.end()
	if left := growth.left.Load(); left != growthBudget {
		t.Errorf("%d of the budget left after the end", left)
	}
}
