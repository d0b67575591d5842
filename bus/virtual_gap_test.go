package bus_test

import (
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// Events that only a relay kept which is out of reach for the moment: they are waited for.
func TestConfigGapWait(t *testing.T) {
	virtually(t, 1, func(t *testing.T, w *world) {
		patient := func(c *bus.Config) { c.GapWait, c.Timeout = time.Minute, 3*time.Second }
		origin, keeper, other := w.node("origin", patient), w.node("keeper", patient), w.node("other", patient)
		d := w.node("d", patient)
		at := w.receive(d)
		w.link(keeper, origin, "quic")
		w.link(other, origin, "quic")
		w.link(d, keeper, "quic")
		w.settled(at)
		w.emit(origin, "x", 1, 10, 0, "")
		at.until("x", 10, 5*time.Second)
		w.between(d, keeper, "quic").Cut()
		pass(5 * time.Second)
		w.emit(origin, "x", 11, 20, 0, "")
		pass(5 * time.Second)
		w.between(keeper, origin, "quic").Cut() // the keeper, and what it keeps for d, is away
		pass(5 * time.Second)
		w.link(d, other, "quic")
		w.emit(origin, "x", 21, 30, 0, "")
		pass(20 * time.Second)
		if last := at.reached("x"); last != 10 {
			t.Errorf("went on to %d without what comes before", last)
		}
		w.between(keeper, origin, "quic").Heal()
		at.exactly("x", 30, 30*time.Second)
	})
}
