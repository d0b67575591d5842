package stats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeline(t *testing.T) {
	began, ms := time.Unix(100, 0), time.Millisecond
	var w Watch
	w.Record(began, ms)
	if got := w.End(); got != nil {
		t.Errorf("nobody watched: %+v", got)
	}
	w.Begin(began, 20*ms)
	if got := w.End(); got != nil {
		t.Errorf("there was no event: %+v", got)
	}
	w.Begin(began, 20*ms)
	for _, e := range []struct{ due, latency time.Duration }{
		{-ms, 9 * ms}, {0, 2 * ms}, {19 * ms, 1 * ms}, {40 * ms, 5 * ms}, {45 * ms, 7 * ms}, {MostSlots * 20 * ms, 9 * ms},
	} {
		w.Record(began.Add(e.due), e.latency)
	}
	want := &Timeline{Slot: 20 * ms, Count: []uint64{2, 0, 2}, Max: []time.Duration{2 * ms, 0, 7 * ms}}
	if diff := cmp.Diff(want, w.End()); diff != "" {
		t.Error(diff)
	}
}

func TestTimelineIsBounded(t *testing.T) {
	var w Watch
	w.Begin(time.Unix(0, 0), time.Nanosecond)
	for i := range int64(2 * MostSlots) {
		w.Record(time.Unix(0, i), 0)
	}
	if got := w.End(); len(got.Count) != MostSlots || len(got.Max) != MostSlots {
		t.Errorf("%d and %d slots", len(got.Count), len(got.Max))
	}
}
