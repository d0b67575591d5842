package bus_test

import (
	"sync"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
)

// Two links to one node, over QUIC and over TCP. QUIC is cut, and TCP takes over; TCP is cut, and QUIC does. When
// both work, it is QUIC, which is preferred.
func TestVirtualSwitchOfTransport(t *testing.T) {
	virtually(t, 1, func(t *testing.T, w *world) {
		const timeout = 2 * time.Second
		a, b, at := w.pair("quic", simnet.Conditions{Delay: 20 * ms}, timeoutOf(timeout))
		w.between(a, b, "tcp").Set(simnet.Conditions{Delay: 30 * ms})
		_, err := a.Connect(w.url(b, "tcp"))
		must(t, err)
		const count = 4000
		var emitting sync.WaitGroup
		emitting.Go(func() { w.emit(a, "x", 1, count, 10*ms, "") })
		for _, step := range []struct{ cut, heal, carries string }{
			{"", "", "quic"}, {"quic", "", "tcp"}, {"tcp", "quic", "quic"}, {"", "tcp", "quic"}, {"quic", "", "tcp"}, {"", "quic", "quic"},
		} {
			if step.cut != "" {
				w.between(a, b, step.cut).Cut()
			}
			if step.heal != "" {
				w.between(a, b, step.heal).Heal()
			}
			began := time.Now()
			took := at.until("x", at.reached("x")+20, time.Minute).Sub(began)
			if took > 2*timeout {
				t.Errorf("%+v: twenty more events took %v", step, took)
			}
			pass(3 * time.Second)
			if carrier := w.carrier(a, b); carrier != step.carries {
				t.Errorf("%+v: it is carried by %s", step, carrier)
			}
		}
		emitting.Wait()
		at.exactly("x", count, time.Minute)
	})
}

// carrier is the transport that carries most of what is between two nodes in the next second.
func (w *world) carrier(a, b *bus.Node) (most string) {
	before := make(map[string]uint64)
	for _, scheme := range schemes {
		before[scheme] = w.between(a, b, scheme).Counts().Bytes
	}
	pass(time.Second)
	best := uint64(0)
	for _, scheme := range schemes {
		if sent := w.between(a, b, scheme).Counts().Bytes - before[scheme]; sent > best {
			most, best = scheme, sent
		}
	}
	return most
}

// Both sides dial at once, over both transports. One connection survives, and nothing is lost or doubled on the way there.
func TestVirtualSimultaneousDials(t *testing.T) {
	seeds := uint64(5)
	if raceEnabled {
		seeds = 1
	}
	for seed := range seeds {
		virtually(t, seed, func(t *testing.T, w *world) {
			a, b := w.node("a"), w.node("b")
			atA, atB := w.receive(a), w.receive(b)
			for _, scheme := range schemes {
				w.between(a, b, scheme).Set(simnet.Conditions{Delay: 20 * ms, Jitter: 10 * ms, Loss: 0.02})
			}
			for _, scheme := range schemes {
				for _, ends := range [][2]*bus.Node{{a, b}, {b, a}} {
					_, err := ends[0].Connect(w.url(ends[1], scheme))
					must(t, err)
				}
			}
			const count = 500
			var emitting sync.WaitGroup
			for _, n := range []*bus.Node{a, b} {
				emitting.Go(func() { w.emit(n, "x", 1, count, 5*ms, "") })
			}
			emitting.Wait()
			atA.exactly("x", count, time.Minute)
			atB.exactly("x", count, time.Minute)
			for _, n := range []*bus.Node{a, b} {
				if s, err := n.Peers()[0].Stats(); err != nil || s.Paths != 1 {
					t.Errorf("seed %d: %+v, %v, want one path", seed, s, err)
				}
			}
		})
	}
}

// An idle link costs its keepalives and nothing else: each side sends a vector every third of Timeout, which the
// transport's other end may acknowledge.
func TestVirtualIdleHour(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b, at := w.pair(scheme, simnet.Conditions{Delay: 20 * ms})
		w.emit(a, "x", 1, 10, 0, "")
		at.exactly("x", 10, time.Minute)
		link := w.between(a, b, scheme)
		pass(time.Minute)
		before := link.Counts()
		pass(time.Hour)
		after := link.Counts()
		const vectors = 2 * 3 * 60 // from both sides, at the default Timeout of a minute
		packets := after.Packets - before.Packets
		t.Logf("%d packets and %d bytes in an hour; %d vectors", packets, after.Bytes-before.Bytes, vectors)
		if packets > 2*vectors+vectors/4 {
			t.Errorf("%d packets in an hour of %d vectors", packets, vectors)
		}
	})
}

// One side notices first that the preferred connection is dead. Until the other does, that may refuse every other one as
// surplus, and must not be bothered without pause.
func TestVirtualPatienceWithAPeerThatNoticesLater(t *testing.T) {
	for _, smaller := range []string{"early", "late"} {
		t.Run(smaller+" has the smaller id", func(t *testing.T) {
			virtually(t, 1, func(t *testing.T, w *world) {
				nodes := make(map[string]*bus.Node)
				make := func(name string, timeout time.Duration) { nodes[name] = w.node(name, timeoutOf(timeout)) }
				if smaller == "early" {
					make("early", time.Second)
				}
				make("late", 20*time.Second)
				if smaller == "late" {
					make("early", time.Second)
				}
				a, b := nodes["early"], nodes["late"]
				for _, scheme := range schemes {
					w.between(a, b, scheme).Set(simnet.Conditions{Delay: 5 * ms})
				}
				at := w.receive(b)
				w.link(a, b, "quic")
				w.settled(at)
				pass(15 * time.Second)
				_, err := a.Connect(w.url(b, "tcp"))
				must(t, err)
				attempts := w.counts(a, bus.LifecycleConnect)
				w.between(a, b, "quic").Cut()
				began := time.Now()
				w.emit(a, "x", 1, 100, 10*ms, "")
				t.Logf("the last event took %v", at.until("x", 100, 40*time.Second).Sub(began))
				pass(time.Until(began.Add(30 * time.Second)))
				if n := attempts(); n > 60 {
					t.Errorf("%d attempts to connect in half a minute", n)
				}
			})
		})
	}
}
