package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
)

// A link that goes away for a moment every two seconds, for two minutes.
func TestVirtualFlappingLink(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b, atB := w.pair(scheme, simnet.Conditions{Delay: 20 * ms, Loss: 0.01})
		atA := w.receive(a)
		w.settled(atA)
		rounds := 60
		if raceEnabled {
			rounds = 15
		}
		count := 100 * rounds
		var emitting sync.WaitGroup
		for _, n := range []*bus.Node{a, b} {
			emitting.Go(func() { w.emit(n, "x", 1, count, 20*ms, "") })
		}
		link := w.between(a, b, scheme)
		for range rounds {
			pass(1700 * ms)
			link.Cut()
			pass(300 * ms)
			link.Heal()
		}
		emitting.Wait()
		atA.exactly("x", count, 30*time.Second)
		atB.exactly("x", count, 30*time.Second)
	})
}

// A silent partition with a trickle of events, shorter and longer than Timeout. They arrive soon after it has healed.
func TestVirtualPartition(t *testing.T) {
	tests := []struct {
		cut, timeout, resume time.Duration // resume: at most, after healing
	}{
		{500 * ms, 3 * time.Second, time.Second},
		{4 * time.Second, 3 * time.Second, 2 * time.Second},
		{7 * time.Second, 3 * time.Second, 2 * time.Second},
		{40 * time.Second, 3 * time.Second, 12 * time.Second}, // a wait of 5 s and an attempt that began before
		// The connection is not given up, and raced.
		{4 * time.Second, time.Minute, time.Second},
		{7 * time.Second, time.Minute, time.Second},
		{40 * time.Second, time.Minute, 6 * time.Second},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v of %v", test.cut, test.timeout), func(t *testing.T) {
			overEach(t, func(t *testing.T, w *world, scheme string) {
				a, b, at := w.pair(scheme, simnet.Conditions{Delay: 20 * ms}, timeoutOf(test.timeout))
				var emitting sync.WaitGroup
				count := int((10*time.Second + test.cut) / (100 * ms))
				emitting.Go(func() { w.emit(a, "x", 1, count, 100*ms, "") })
				pass(3*time.Second + 50*ms)
				link := w.between(a, b, scheme)
				link.Cut()
				pass(test.cut)
				last := at.reached("x")
				link.Heal()
				healed := time.Now()
				took := at.until("x", last+1, 2*time.Minute).Sub(healed)
				t.Logf("the first event came %v after healing", took)
				if took > test.resume {
					t.Errorf("the first event came %v after healing, want at most %v", took, test.resume)
				}
				emitting.Wait()
				at.exactly("x", count, 10*time.Second)
			})
		})
	}
}

// A direction that is cut is noticed by both sides within Timeout and half of it, also while bulk flows in the other.
func TestVirtualOneWayCut(t *testing.T) {
	for _, cut := range []string{"to the listener", "to the dialler"} {
		for _, load := range []string{"idle", "bulk"} {
			for _, age := range []time.Duration{time.Second, 15 * time.Second} { // of the connection
				t.Run(fmt.Sprint(cut, "/", load, "/", age), func(t *testing.T) {
					overEach(t, func(t *testing.T, w *world, scheme string) {
						oneWayCut(t, w, scheme, cut == "to the dialler", load == "bulk", age)
					})
				})
			}
		}
	}
}

// oneWayCut cuts a direction of a link some time after it came up.
func oneWayCut(t *testing.T, w *world, scheme string, toDialler, bulk bool, age time.Duration) {
	const timeout = 2 * time.Second
	a, b, atB := w.pair(scheme, simnet.Conditions{Delay: 20 * ms, Rate: 20_000_000}, timeoutOf(timeout))
	atA := w.receive(a)
	w.settled(atA)
	from, to, at := b, a, atA // of the direction that works
	if toDialler {
		from, to, at = a, b, atB
	}
	pass(age)
	count := 0
	var emitting sync.WaitGroup
	if bulk {
		count = 2000
		emitting.Go(func() { w.emit(from, "bulk", 1, count, 5*ms, strings.Repeat("x", 4000)) })
	}
	pass(100 * ms)

	ctx, cancel := lasting(time.Minute)
	defer cancel()
	streams := []func(func(bus.LifecycleEvent) bool){from.Lifecycle(ctx), to.Lifecycle(ctx)}
	dead := w.net.Link(w.members[to].hosts[scheme], w.members[from].hosts[scheme]).OneWay()
	dead.Cut()
	began := time.Now()
	for i, s := range streams {
		down := awaitLifecycle(t, s, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerDown })
		took := down.At.Sub(began)
		var peer *bus.PeerError
		if took > timeout*3/2 || !errors.As(down.Err, &peer) || peer.Code != bus.CloseTimeout {
			t.Errorf("side %d noticed after %v: %v", i, took, down.Err)
		}
	}
	pass(5 * time.Second)
	dead.Heal()
	emitting.Wait()
	at.exactly("bulk", count, time.Minute)
}

// The dialler's address changes while events flow both ways.
func TestVirtualRebind(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		timeout := 3 * time.Second
		a, b, atB := w.pair(scheme, simnet.Conditions{Delay: 20 * ms}, timeoutOf(timeout))
		atA := w.receive(a)
		w.settled(atA)
		downs := w.counts(a, bus.LifecyclePeerDown)
		const count = 1000
		var emitting sync.WaitGroup
		for _, n := range []*bus.Node{a, b} {
			emitting.Go(func() { w.emit(n, "x", 1, count, 10*ms, "") })
		}
		for i := range 3 {
			pass(2 * time.Second)
			w.members[a].hosts[scheme].Rebind(fmt.Sprintf("10.9.0.%d", i+1))
			moved := time.Now()
			for _, at := range []*receiver{atA, atB} {
				took := at.until("x", at.reached("x")+10, time.Minute).Sub(moved)
				t.Logf("ten more events took %v", took)
				if took > time.Second {
					t.Errorf("ten more events took %v", took)
				}
			}
		}
		emitting.Wait()
		atA.exactly("x", count, time.Minute)
		atB.exactly("x", count, time.Minute)
		if scheme == "quic" && downs() > 0 {
			t.Errorf("the dialler lost its peer %d times", downs())
		}
	})
}

// A slow consumer and a full buffer hold the emitter back across a partition. Nothing is lost.
func TestVirtualSlowConsumerBlocksAcrossAPartition(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b := w.node("a", func(c *bus.Config) { c.BufferMax = 64 }), w.node("b")
		link := w.between(a, b, scheme)
		link.Set(simnet.Conditions{Delay: 20 * ms})
		at := w.receiveOnly(b, ">", func() { pass(5 * ms) })
		w.link(a, b, scheme)
		w.settled(at)
		const count = 2000
		var emitting sync.WaitGroup
		emitting.Go(func() { w.emit(a, "x", 1, count, 0, "") })
		pass(time.Second)
		link.Cut()
		pass(5 * time.Second)
		if stored := a.Stats().Events; stored > 64 {
			t.Errorf("%d events are kept", stored)
		}
		link.Heal()
		emitting.Wait()
		at.exactly("x", count, time.Minute)
	})
}

// A peer that is away does not hold the emitter back. What its buffer can't keep is a gap, and told exactly.
func TestVirtualForcedGap(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b := w.node("a", func(c *bus.Config) { c.BufferMax, c.Timeout = 64, 2*time.Second }), w.node("b")
		link := w.between(a, b, scheme)
		link.Set(simnet.Conditions{Delay: 20 * ms})
		heard := make(map[uint64]bool)
		var mu sync.Mutex
		note := func(from, to uint64) {
			mu.Lock()
			defer mu.Unlock()
			for seq := from; seq <= to; seq++ {
				if heard[seq] {
					t.Errorf("event %d came twice, or is missing and came", seq)
				}
				heard[seq] = true
			}
		}
		missed := 0
		sub, err := b.On("x", func(_ context.Context, e bus.Event) { note(e.Seq, e.Seq) },
			bus.OnGap(func(_ context.Context, g *bus.GapError) {
				note(g.From, g.To)
				missed += int(g.To - g.From + 1)
			}))
		must(t, err)
		w.link(a, b, scheme)
		ctx, cancel := lasting(time.Minute)
		defer cancel()
		must(t, sub.Ready(ctx))
		w.emit(a, "x", 1, 100, 10*ms, "")
		link.Cut()
		w.emit(a, "x", 101, 1100, 10*ms, "")
		link.Heal()
		pass(20 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(heard) != 1100 || missed < 800 || missed > 1000 {
			t.Errorf("%d events came or are known to be missing, of which %d are missing", len(heard), missed)
		}
		if s := a.Stats(); s.Reported != uint64(missed) {
			t.Errorf("%d events are missing, and %d were reported to their origin", missed, s.Reported)
		}
	})
}

// A receiver that is cut off, ends, and starts again under its id gets everything that it was not done with.
func TestVirtualReceiverRestarts(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b := w.node("a", timeoutOf(2*time.Second)), w.node("b")
		link := w.between(a, b, scheme)
		link.Set(simnet.Conditions{Delay: 20 * ms, Loss: 0.02})
		var mu sync.Mutex
		handled := make(map[string]int)
		listen := func(n *bus.Node) {
			_, err := n.On("x", func(_ context.Context, e bus.Event) {
				mu.Lock()
				defer mu.Unlock()
				text, _, _ := strings.Cut(string(e.Payload), " ")
				handled[text]++
			})
			must(t, err)
		}
		listen(b)
		w.link(a, b, scheme)
		const count = 2000
		var emitting sync.WaitGroup
		emitting.Go(func() { w.emit(a, "x", 1, count, 10*ms, "") })
		for range 3 {
			pass(5 * time.Second)
			link.Cut() // so that it cannot say goodbye
			b = w.restart(b)
			listen(b)
			link.Heal()
		}
		emitting.Wait()
		ctx, cancel := lasting(time.Minute)
		defer cancel()
		must(t, a.Drain(ctx))
		mu.Lock()
		defer mu.Unlock()
		for i := 1; i <= count; i++ {
			if handled[fmt.Sprint(i)] == 0 {
				t.Errorf("event %d was missed", i)
			}
		}
	})
}
