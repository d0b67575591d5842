package stats

import (
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	r := NewRecorder()
	for ms := range 1000 {
		r.Record(time.Duration(ms+1) * time.Millisecond)
	}
	r.Record(-time.Second)
	r.Record(time.Hour)
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := LatencyOf(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"count", got.Count, 1002},
		{"p50", got.P50, int64(500 * time.Millisecond)},
		{"p90", got.P90, int64(901 * time.Millisecond)},
		{"p99", got.P99, int64(991 * time.Millisecond)},
		{"p99.9", got.P999, int64(1000 * time.Millisecond)},
		{"max", got.Max, int64(time.Minute)},
	} {
		if low, high := c.want-c.want/500, c.want+c.want/500; c.got < low || c.got > high {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	r.Reset()
	if encoded, err := r.Encode(); encoded != nil || err != nil {
		t.Errorf("after Reset: %q, %v", encoded, err)
	}
}
