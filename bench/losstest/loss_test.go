package losstest

import (
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/netem"
)

const ms = time.Millisecond

// patient is a Timeout under which no link here is given up.
const patient = 20 * time.Second

// conditions are links that are bad all the time.
var conditions = []struct {
	name    string
	profile netem.Profile
	load    load
}{
	{"perfect", netem.Profile{Delay: 5 * ms}, trickle},
	{"loss of 1 %", netem.Profile{Delay: 5 * ms, Loss: 0.01}, trickle},
	{"loss of 5 %", netem.Profile{Delay: 5 * ms, Loss: 0.05}, trickle},
	{"loss of 20 %", netem.Profile{Delay: 5 * ms, Loss: 0.2}, trickle},
	{"bursts of 5", netem.Profile{Delay: 5 * ms, Burst: netem.Burst{Begin: 0.01, Length: 5}}, trickle},
	{"reordering", netem.Profile{Delay: 5 * ms, Jitter: ms, Reorder: 0.1}, trickle},
	{"duplication", netem.Profile{Delay: 5 * ms, Duplicate: 0.05}, trickle},
	{"narrow", netem.Profile{Delay: 5 * ms, Rate: 2_000_000, Queue: 32 << 10}, bulk},
}

var (
	trickle = load{bytes: 200, every: 2 * ms, least: 200}
	bulk    = load{bytes: 2000, least: 100}
)

// overEach runs a test over each transport.
func overEach(t *testing.T, test func(t *testing.T, scheme string)) {
	t.Helper()
	for _, scheme := range []string{"quic", "tcp"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			test(t, scheme)
		})
	}
}

func TestLoss(t *testing.T) { sufferConditions(t, 500*ms) }

func TestLossLong(t *testing.T) {
	long(t)
	sufferConditions(t, 15*time.Second)
}

func sufferConditions(t *testing.T, duration time.Duration) {
	t.Parallel()
	for _, c := range conditions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, scheme string) {
				f := newField(t, scheme, patient, "a", "b")
				f.connect(1, 0, c.profile)
				f.meet()
				tr := f.start(c.load)
				tr.pause(duration)
				s := tr.finish()
				if p := c.profile; s.Lost == 0 && p.Loss+p.Burst.Begin > 0 || s.Reordered == 0 && p.Reorder > 0 ||
					s.Duplicated == 0 && p.Duplicate > 0 {
					t.Errorf("the link was not bad: %v", s)
				}
			})
		})
	}
}

// Two bad links in a row: what is lost on one is nothing to the other.
func TestChain(t *testing.T) { sufferChain(t, 500*ms) }

func TestChainLong(t *testing.T) {
	long(t)
	sufferChain(t, 15*time.Second)
}

func sufferChain(t *testing.T, duration time.Duration) {
	t.Parallel()
	overEach(t, func(t *testing.T, scheme string) {
		f := newField(t, scheme, patient, "a", "b", "c")
		bad := netem.Profile{Delay: 5 * ms, Jitter: ms, Loss: 0.05, Reorder: 0.05, Duplicate: 0.05}
		f.connect(1, 0, bad)
		f.connect(2, 1, bad)
		f.meet()
		tr := f.start(trickle)
		tr.pause(duration)
		tr.finish()
	})
}
