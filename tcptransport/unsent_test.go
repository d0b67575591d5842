package tcptransport

import (
	"testing"
	"time"
)

// What the system may hold unsent is what goes out in a round trip, within bounds, also where it comes to a halt at times.
func TestUnsentFollowsTheLink(t *testing.T) {
	for _, test := range []struct {
		rtt  time.Duration
		mbit int
		want int
	}{
		{100 * time.Millisecond, 2, leastUnsent},
		{100 * time.Millisecond, 20, 250_000},
		{100 * time.Millisecond, 100, 1_250_000},
		{100 * time.Millisecond, 1000, mostUnsent},
		{40 * time.Millisecond, 100, 500_000},
		{time.Millisecond, 100, leastUnsent},
		{100 * time.Microsecond, 8000, 100_000},
	} {
		var u unsent
		now, last, changes := time.Unix(0, 0), leastUnsent, 0
		const run = 16 << 10
		for range 5000 {
			now = now.Add(time.Duration(run * 8 * 1000 / test.mbit))
			if limit, changed := u.wrote(run, now, test.rtt); changed {
				last = limit
				changes++
			}
		}
		if last < test.want*2/3 || last > test.want*3/2 {
			t.Errorf("%d Mbit/s over %v: %d bytes, want about %d", test.mbit, test.rtt, last, test.want)
		}
		if changes > 20 {
			t.Errorf("%d Mbit/s over %v: %d changes", test.mbit, test.rtt, changes)
		}
		if limit, changed := u.wrote(run, now.Add(3*max(test.rtt, nearestRTT)), test.rtt); changed && limit < last*3/5 {
			t.Errorf("%d Mbit/s over %v: a link that stood still is down from %d to %d", test.mbit, test.rtt, last, limit)
		}
		if limit, changed := u.wrote(100, now.Add(60*max(test.rtt, nearestRTT)), test.rtt); last > 2*leastUnsent && (!changed || limit > leastUnsent) {
			t.Errorf("after a pause: %d, %t", limit, changed)
		}
	}
}
