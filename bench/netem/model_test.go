package netem

import (
	"math"
	"slices"
	"testing"
	"time"
)

const (
	ms       = time.Millisecond
	interval = 100 * time.Microsecond
	size     = 1000
)

// trip is what became of one packet.
type trip struct {
	entered  time.Duration
	arrivals []time.Duration
}

// send has packets enter a model at even intervals, from a time on. Nothing is left flying.
func send(m *model, from time.Duration, packets int) (trips []trip) {
	for i := range packets {
		now := from + time.Duration(i)*interval
		at, n := m.carry(now, size)
		for range n {
			m.land()
		}
		trips = append(trips, trip{now, at[:n]})
	}
	return trips
}

// within checks a count of random events against five standard deviations.
func within(t *testing.T, what string, got uint64, of int, share float64) {
	t.Helper()
	mean := float64(of) * share
	if margin := 5*math.Sqrt(mean*(1-share)) + 1; math.Abs(float64(got)-mean) > margin {
		t.Errorf("%s: %d of %d, want %.0f ± %.0f", what, got, of, mean, margin)
	}
}

func arrived(trips []trip) (which []bool) {
	for _, s := range trips {
		which = append(which, len(s.arrivals) > 0)
	}
	return which
}

func TestPerfect(t *testing.T) {
	for i, s := range send(newModel(1, 1), 0, 100) {
		if len(s.arrivals) != 1 || s.arrivals[0] != s.entered {
			t.Fatalf("packet %d: %+v", i, s)
		}
	}
}

func TestSeeds(t *testing.T) {
	run := func(seed, number uint64) []bool {
		m := newModel(seed, number)
		m.set(0, Profile{Loss: 0.5})
		return arrived(send(m, 0, 100))
	}
	first := run(7, 1)
	if !slices.Equal(first, run(7, 1)) {
		t.Error("the second run of a seed differs from the first")
	}
	if slices.Equal(first, run(8, 1)) || slices.Equal(first, run(7, 2)) {
		t.Error("another seed or direction makes no difference")
	}
}

// What a packet draws does not depend on the profiles before it.
func TestDrawsAreFixed(t *testing.T) {
	run := func(before Profile, cut bool) []bool {
		m := newModel(3, 1)
		m.set(0, before)
		m.cut = cut
		send(m, 0, 100)
		m.cut, m.inBurst = false, false
		m.set(time.Second, Profile{Loss: 0.3, Burst: Burst{0.1, 3}})
		return arrived(send(m, time.Second, 200))
	}
	want := run(Profile{}, false)
	for _, before := range []Profile{
		{Loss: 1}, {Burst: Burst{1, 1000}}, {Reorder: 1}, {Duplicate: 1}, {Jitter: ms}, {Rate: 1, Queue: 1}, {Rate: 1e9, Delay: ms},
	} {
		if !slices.Equal(want, run(before, false)) {
			t.Errorf("after %+v others are lost", before)
		}
	}
	if !slices.Equal(want, run(Profile{}, true)) {
		t.Error("after a cut others are lost")
	}
}

func TestLoss(t *testing.T) {
	for _, share := range []float64{0, 0.01, 0.2, 1} {
		m := newModel(1, 1)
		m.set(0, Profile{Loss: share})
		send(m, 0, 10_000)
		within(t, "lost", m.counts.lost, 10_000, share)
	}
}

func TestBurst(t *testing.T) {
	const packets = 100_000
	for _, b := range []Burst{{0.002, 5}, {0.01, 2}, {0.01, 0}} {
		m := newModel(1, 1)
		m.set(0, Profile{Burst: b})
		bursts, inside := uint64(0), false
		for _, ok := range arrived(send(m, 0, packets)) {
			if !ok && !inside {
				bursts++
			}
			inside = !ok
		}
		length := max(b.Length, 1)
		share := b.Begin * length / (1 + b.Begin*length)
		within(t, "bursts", bursts, packets, share/length)
		if got := float64(m.counts.lost) / float64(bursts); math.Abs(got-length) > length/5 {
			t.Errorf("%+v: bursts of %.2f packets on average", b, got)
		}
	}
}

func TestDelayAndJitter(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: 20 * ms, Jitter: 5 * ms})
	least, most, last := time.Hour, time.Duration(0), time.Duration(0)
	for _, s := range send(m, 0, 10_000) {
		at := s.arrivals[0]
		if at < last {
			t.Fatal("a packet overtook")
		}
		last = at
		least, most = min(least, at-s.entered), max(most, at-s.entered)
	}
	if least < 20*ms || most < 24*ms || most > 25*ms {
		t.Errorf("delays from %v to %v", least, most)
	}
}

func TestRate(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Rate: 8_000_000, Delay: ms, Queue: 10 * size}) // a packet takes 1 ms
	for i := range 15 {
		at, n := m.carry(0, size)
		switch {
		case i < 10 && (n != 1 || at[0] != time.Duration(i+1)*ms+ms):
			t.Errorf("packet %d arrives at %v (%d)", i, at[0], n)
		case i >= 10 && n != 0:
			t.Errorf("packet %d found room", i)
		}
	}
	if m.counts.full != 5 {
		t.Errorf("%d found it full", m.counts.full)
	}
	if at, n := m.carry(5*ms, size); n != 1 || at[0] != 12*ms {
		t.Errorf("when half of it has left: %v (%d)", at[0], n)
	}
	if at, n := m.carry(time.Second, size); n != 1 || at[0] != time.Second+2*ms {
		t.Errorf("when all of it has: %v (%d)", at[0], n)
	}
}

// With another rate, what waits takes as long as the new one needs.
func TestRateChanges(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Rate: 8_000, Queue: 100 * size})
	for range 10 {
		m.carry(0, size) // takes 1 s
	}
	m.set(0, Profile{Rate: 8_000_000, Queue: 100 * size})
	if m.free != 10*ms {
		t.Errorf("the queue is empty after %v", m.free)
	}
	m.set(ms, Profile{})
	if at, n := m.carry(ms, size); n != 1 || at[0] != 10*time.Second {
		t.Errorf("without a rate: %v (%d), want to be behind what was sent before", at[0], n)
	}
}

func TestReorder(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: 10 * ms, Reorder: 0.1})
	overtaken, last := uint64(0), time.Duration(0)
	for _, s := range send(m, 0, 10_000) {
		switch late := s.arrivals[0] - s.entered - 10*ms; {
		case late == 0:
			if s.arrivals[0] < last {
				t.Fatal("a packet that was not held back overtook another")
			}
			last = s.arrivals[0]
		case late < 3*ms || late > 13*ms:
			t.Fatalf("held back by %v", late)
		default:
			overtaken++
		}
	}
	within(t, "reordered", overtaken, 10_000, 0.1)
	if overtaken != m.counts.reordered {
		t.Errorf("%d held back, %d counted", overtaken, m.counts.reordered)
	}
}

func TestDuplicate(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: 10 * ms, Duplicate: 0.05})
	twice := uint64(0)
	for _, s := range send(m, 0, 10_000) {
		if len(s.arrivals) == 2 {
			twice++
			if d := s.arrivals[1] - s.arrivals[0]; d < 0 || d > 11*ms {
				t.Fatalf("the copy is %v behind", d)
			}
		}
	}
	within(t, "duplicates", twice, 10_000, 0.05)
	if twice != m.counts.duplicate {
		t.Errorf("%d duplicates, %d counted", twice, m.counts.duplicate)
	}
}

func TestCut(t *testing.T) {
	m := newModel(1, 1)
	m.cut = true
	m.set(0, Profile{Loss: 0.5})
	send(m, 0, 100)
	if m.counts.cut != 100 || m.counts.lost != 0 {
		t.Errorf("%+v", m.counts)
	}
}

func TestOutOfRange(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: -ms, Jitter: -ms, Rate: -1, Queue: -1, Loss: -1, Burst: Burst{-1, -1}, Reorder: -1, Duplicate: -1})
	for _, s := range send(m, time.Second, 100) {
		if len(s.arrivals) != 1 || s.arrivals[0] != s.entered {
			t.Fatalf("%+v", s)
		}
	}
}

// A direction holds so many packets and no more.
func TestFlyingIsBounded(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: time.Hour})
	for range maxFlying + 10 {
		m.carry(0, size)
	}
	if m.counts.flying != maxFlying || m.counts.overrun != 10 {
		t.Errorf("%d on their way, %d refused", m.counts.flying, m.counts.overrun)
	}
	m.land()
	if _, n := m.carry(0, size); n != 1 {
		t.Error("there is room, but not for a packet")
	}
}

func TestModelCosts(t *testing.T) {
	m := newModel(1, 1)
	m.set(0, Profile{Delay: ms, Jitter: ms, Rate: 1e9, Loss: 0.1, Burst: Burst{0.1, 3}, Reorder: 0.1, Duplicate: 0.1})
	if n := testing.AllocsPerRun(1000, func() { m.carry(0, size) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
