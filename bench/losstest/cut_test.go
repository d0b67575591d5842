package losstest

import (
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/netem"
)

// impatient is a Timeout that the longer cuts exceed.
const impatient = time.Second

var good = netem.Profile{Delay: 5 * ms}

// A link that is cut for a moment again and again.
func TestFlap(t *testing.T) { sufferFlaps(t, 2, 500*ms) }

func TestFlapLong(t *testing.T) {
	long(t)
	sufferFlaps(t, 10, 1700*ms)
}

func sufferFlaps(t *testing.T, rounds int, between time.Duration) {
	t.Parallel()
	overEach(t, func(t *testing.T, scheme string) {
		f := newField(t, scheme, impatient, "a", "b")
		link := f.connect(1, 0, good)
		f.meet()
		tr := f.start(trickle)
		for range rounds {
			tr.pause(between)
			link.Cut()
			tr.pause(300 * ms)
			link.Heal()
			tr.resume(0, 1)
		}
		wantCut(t, tr.finish())
	})
}

func wantCut(t *testing.T, s netem.Stats) {
	t.Helper()
	if s.Cut == 0 {
		t.Errorf("nothing was cut: %v", s)
	}
}

// A link that loses all of one direction, for longer than the nodes are patient.
func TestOneWayCut(t *testing.T) { sufferOneWayCuts(t, 1, 1500*ms) }

func TestOneWayCutLong(t *testing.T) {
	long(t)
	sufferOneWayCuts(t, 4, 2500*ms)
}

func sufferOneWayCuts(t *testing.T, rounds int, cut time.Duration) {
	t.Parallel()
	for name, dialler := range map[string]int{"to the listener": 1, "to the dialler": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, scheme string) {
				f := newField(t, scheme, impatient, "a", "b")
				f.connect(1, 0, good)
				f.meet()
				tr := f.start(trickle)
				way := f.link(dialler, 1-dialler).OneWay()
				for range rounds {
					tr.pause(300 * ms)
					way.Cut()
					tr.pause(cut)
					way.Heal()
					tr.resume(0, 1)
				}
				wantCut(t, tr.finish())
			})
		})
	}
}

// The dialler gets another address: behind a NAT that forgot it, or of its own.
func TestChangedAddress(t *testing.T) { sufferChanges(t, 2) }

func TestChangedAddressLong(t *testing.T) {
	long(t)
	sufferChanges(t, 10)
}

func sufferChanges(t *testing.T, rounds int) {
	t.Parallel()
	for name, change := range map[string]func(*netem.Host) error{
		"rebound":    func(h *netem.Host) error { h.Rebind(); return nil },
		"renumbered": func(h *netem.Host) error { _, err := h.Renumber(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, scheme string) {
				f := newField(t, scheme, impatient, "a", "b")
				f.connect(1, 0, good)
				f.meet()
				tr := f.start(trickle)
				for range rounds {
					tr.pause(300 * ms)
					must(t, change(f.members[1].host))
					tr.resume(0, 1)
				}
				tr.finish()
			})
		})
	}
}

// A ring that loses one side goes on over the other, and takes the side back.
func TestRing(t *testing.T) { sufferRing(t, 1) }

func TestRingLong(t *testing.T) {
	long(t)
	sufferRing(t, 4)
}

func sufferRing(t *testing.T, rounds int) {
	t.Parallel()
	overEach(t, func(t *testing.T, scheme string) {
		names := []string{"a", "b", "c", "d"}
		f := newField(t, scheme, impatient, names...)
		for i := range names {
			f.connect(i, (i+1)%len(names), good)
		}
		f.meet()
		tr := f.start(trickle)
		for i := range rounds {
			from, to := i%len(names), (i+1)%len(names)
			tr.pause(300 * ms)
			f.link(from, to).Cut()
			tr.resume(from, to)
			tr.pause(impatient + 500*ms)
			f.link(from, to).Heal()
			_, err := f.members[from].link.Ready(f.ctx)
			must(t, err)
		}
		wantCut(t, tr.finish())
	})
}
