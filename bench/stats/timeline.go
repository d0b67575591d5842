package stats

import (
	"sync"
	"time"
)

// MostSlots are in a timeline. What was scheduled for later is left out.
const MostSlots = 200

// Timeline is how many events were scheduled for each slot of time, and the worst latency of them.
type Timeline struct {
	From  time.Duration   `json:"from_ns"` // where the first slot begins
	Slot  time.Duration   `json:"slot_ns"` // the length of each
	Count []uint64        `json:"count"`
	Max   []time.Duration `json:"max_ns"` // zero where nothing was scheduled
}

// Watch fills a timeline. All methods may be called concurrently.
type Watch struct {
	mu       sync.Mutex
	began    time.Time
	timeline *Timeline // nil: nobody watches
}

// Begin makes the first slot begin at a time.
func (w *Watch) Begin(at time.Time, slot time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.timeline = at, &Timeline{Slot: slot}
}

// Record adds an event by the time it was scheduled for. Before Begin it does nothing.
func (w *Watch) Record(due time.Time, latency time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timeline == nil {
		return
	}
	t, since := w.timeline, due.Sub(w.began)
	if since < 0 || since >= MostSlots*t.Slot {
		return
	}
	i := int(since / t.Slot)
	for len(t.Count) <= i {
		t.Count, t.Max = append(t.Count, 0), append(t.Max, 0)
	}
	t.Count[i]++
	t.Max[i] = max(t.Max[i], latency)
}

// End returns the timeline, from zero on, and ends the watch. It is nil where no event was recorded.
func (w *Watch) End() *Timeline {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.timeline
	w.timeline = nil
	if t == nil || len(t.Count) == 0 {
		return nil
	}
	return t
}
