package bus

import "testing"

// Each run leaps on its own, and by less than a second or so: epochs stay near the clock.
func TestLeapIsDrawnForEachRun(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 16 {
		leap := Config{}.protocol(1).Leap
		if leap > 1<<20 {
			t.Errorf("%d µs", leap)
		}
		seen[leap] = true
	}
	if len(seen) < 15 {
		t.Errorf("16 runs leap by %d distances", len(seen))
	}
}
