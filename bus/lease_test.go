package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
)

// Events that come alone are handled by the goroutine that reads them, once the handler has shown that it is quick. Whatever a handler
// does, that must show in nothing but the time it takes.

// proven is more events than a handler has to be quick for.
const proven = 40

var (
	far    = simnet.Conditions{Delay: 10 * ms}
	near   = simnet.Conditions{Delay: ms / 2} // far less than a handler may keep a goroutine for
	narrow = simnet.Conditions{Delay: 10 * ms, Rate: 20_000_000}
)

// isLent says whether the handler that calls it runs on a goroutine that reads.
func isLent() bool { return strings.Contains(string(debug.Stack()), "bus.(*lease).run") }

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (d *journal) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *journal) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (d *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := d.read(); !slices.Equal(got, lines) {
		t.Errorf("%q, want %q", got, lines)
	}
}

// leased makes two nodes and a link with some conditions. Handle gets the events that b gets of "x" after the first ones, which were handled at once.
func leased(t *testing.T, w *world, scheme string, link simnet.Conditions, handle bus.Handler) (a, b *bus.Node) {
	t.Helper()
	a, b = w.node("a"), w.node("b")
	w.between(a, b, scheme).Set(link)
	n := 0
	sub, err := b.On("x", func(ctx context.Context, e bus.Event) {
		if n++; n > proven {
			handle(ctx, e)
		}
	})
	must(t, err)
	w.link(a, b, scheme)
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	must(t, sub.Ready(ctx))
	w.emit(a, "x", 1, proven, 30*ms, "")
	return a, b
}

// untilLent emits events until one has a goroutine lent, and returns how many had not.
func untilLent(t *testing.T, w *world, a *bus.Node, lent *atomic.Bool) (n int) {
	t.Helper()
	for ; n < 1000; n++ {
		w.emit(a, "x", 1, 1, 30*ms, "")
		if lent.Load() {
			return n
		}
	}
	t.Fatal("no goroutine is lent")
	return n
}

// Trust is earned by being quick, and twice as hard to earn again.
func TestQuickHandlersRunWhereEventsArrive(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		a, b := w.node("a"), w.node("b")
		w.between(a, b, scheme).Set(far)
		var lent, slow atomic.Bool
		sub, err := b.On("x", func(context.Context, bus.Event) {
			lent.Store(isLent())
			if slow.Swap(false) {
				pass(2 * ms)
			}
		})
		must(t, err)
		w.link(a, b, scheme)
		must(t, sub.Ready(t.Context()))
		for _, want := range []int{16, 32, 64} {
			if n := untilLent(t, w, a, &lent); n != want {
				t.Errorf("%d events until one had a goroutine lent, want %d", n, want)
			}
			w.emit(a, "x", 1, 3, 30*ms, "")
			if !lent.Load() {
				t.Error("the ones after it had not")
			}
			slow.Store(true)
			w.emit(a, "x", 1, 1, 30*ms, "")
		}
	})
}

// A handler that takes no longer than others may, but always so long, is not lent to.
func TestHandlersThatAreNotQuickEnough(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		var d journal
		a, _ := leased(t, w, scheme, far, func(context.Context, bus.Event) {
			d.note("%t", isLent())
			pass(ms / 10)
		})
		w.emit(a, "x", 1, 100, 30*ms, "")
		lines := d.read()
		if n := slices.Index(lines, "false"); n < 0 || n > 10 || slices.Contains(lines[n:], "true") {
			t.Errorf("handlings of 100 µs have a goroutine lent: %v", lines)
		}
	})
}

// Several events that come together are no reason to keep others waiting.
func TestEventsTogetherAreHandledByTheirSubscription(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		var d journal
		a, _ := leased(t, w, scheme, narrow, func(context.Context, bus.Event) {
			d.note("%t", isLent())
			pass(ms / 20)
		})
		w.emit(a, "x", 1, 200, 0, strings.Repeat("x", 1000))
		pass(time.Second)
		lines, lent := d.read(), 0
		for _, line := range lines {
			if line == "true" {
				lent++
			}
		}
		if len(lines) != 200 || lent > 20 { // the first, and whatever else came alone
			t.Errorf("%d of %d events that came in batches had a goroutine lent", lent, len(lines))
		}
		w.emit(a, "x", 201, 201, 30*ms, "") // what batches take says nothing of one event
		if lines = d.read(); lines[len(lines)-1] != "true" {
			t.Error("the event after them had no goroutine lent")
		}
	})
}

// Whoever runs it, a handler gets one event after the other.
func TestOneEventAfterTheOtherWhoeverHandlesIt(t *testing.T) {
	network := bustest.NewNetwork(1)
	a, b := network.Node(t, "a"), network.Node(t, "b")
	network.Connect(t, "b", "a")
	const count = 3000
	var busy atomic.Bool
	var lent int
	var last uint64
	done := make(chan struct{})
	r := rand.New(rand.NewPCG(1, 1))
	sub, err := b.On("x", func(_ context.Context, e bus.Event) {
		if busy.Swap(true) || e.Seq != last+1 {
			t.Errorf("event %d after %d, or during it", e.Seq, last)
		}
		if isLent() {
			lent++
		}
		if last = e.Seq; r.IntN(500) == 0 {
			time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
		}
		busy.Store(false)
		if e.Seq == count {
			close(done)
		}
	}, bus.Borrow())
	must(t, err)
	must(t, sub.Ready(t.Context()))
	pauses := rand.New(rand.NewPCG(1, 2))
	for range count {
		must(t, a.EmitBytes(t.Context(), "x", nil))
		if pauses.IntN(3) > 0 {
			time.Sleep(time.Duration(pauses.IntN(200)) * time.Microsecond)
		}
	}
	<-done
	t.Logf("%d of %d events were handled where they arrived", lent, count)
}

func TestSlowHandlersKeepNobodyFromReading(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		var d journal
		slow := func(context.Context, bus.Event) {
			d.note("lent: %t", isLent())
			pass(time.Second)
			d.note("slow")
		}
		a, b := leased(t, w, scheme, far, slow)
		_, err := b.On("y", func(_ context.Context, e bus.Event) { d.note("other %s", strings.TrimSpace(string(e.Payload))) })
		must(t, err)
		pass(100 * ms)
		w.emit(a, "x", 1, 1, ms, "")
		w.emit(a, "y", 1, 2, 30*ms, "")
		pass(200 * ms)
		d.want(t, "lent: true", "other 1", "other 2")
		w.emit(a, "x", 2, 2, 0, "")
		pass(2 * time.Second)
		d.want(t, "lent: true", "other 1", "other 2", "slow", "lent: false", "slow")
		pass(time.Second)
		w.emit(a, "x", 3, 3, 0, "") // it has lost its trust
		pass(2 * time.Second)
		d.want(t, "lent: true", "other 1", "other 2", "slow", "lent: false", "slow", "lent: false", "slow")
	})
}

// asker is what a handler of b can wait with for something that only a's answer to a question of b brings, and only over
// the connection that the handler holds up.
type asker struct {
	b, beside *bus.Node // beside is linked to b alone
	replies   *bus.Subscription
}

// A handler that waits for an answer over the connection that it holds up gets it without delay.
func TestHandlersThatWaitForThePeer(t *testing.T) {
	for what, wait := range map[string]func(ctx context.Context, k asker) error{
		"a ping": func(ctx context.Context, k asker) error {
			_, err := k.b.Peers()[0].Ping(ctx)
			return err
		},
		"a reply": func(ctx context.Context, k asker) (err error) {
			must(t, k.b.EmitBytes(ctx, "question", nil))
			for _, err = range k.replies.Events(ctx) {
				break
			}
			return err
		},
		"interest that another node hears of": func(ctx context.Context, k asker) error {
			must(t, k.b.EmitBytes(ctx, "question", nil))
			return k.beside.WaitInterest(ctx, "answer")
		},
		"what a node reports": func(ctx context.Context, k asker) error {
			must(t, k.b.EmitBytes(ctx, "question", nil))
			for e := range k.b.Lifecycle(ctx) {
				if e.Kind == bus.LifecycleTopology {
					break
				}
			}
			return ctx.Err()
		},
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			overEach(t, func(t *testing.T, w *world, scheme string) { handlerWaits(t, w, scheme, wait) })
		})
	}
}

func handlerWaits(t *testing.T, w *world, scheme string, wait func(context.Context, asker) error) {
	var d journal
	var k asker
	a, b := leased(t, w, scheme, near, func(ctx context.Context, _ bus.Event) {
		began := time.Now()
		must(t, wait(ctx, k))
		d.note("lent: %t, after a round trip: %t", isLent(), time.Since(began) < 2*ms)
	})
	k.b, k.beside = b, w.node("beside")
	w.link(k.beside, b, scheme)
	var err error
	k.replies, err = b.Subscribe("reply")
	must(t, err)
	questions, err := a.On("question", func(ctx context.Context, _ bus.Event) {
		must(t, a.EmitBytes(ctx, "reply", nil))
		_, err := a.Subscribe("answer")
		must(t, err)
	})
	must(t, err)
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	must(t, k.replies.Ready(ctx))
	must(t, questions.Ready(ctx))
	w.emit(a, "x", 1, 1, time.Second, "")
	d.want(t, "lent: true, after a round trip: true")
}

// A handler may end the link, the subscription or its own goroutine.
func TestHandlersThatEndThings(t *testing.T) {
	const ended, again = "ended, lent: true", "again"
	for what, c := range map[string]struct {
		end  func(s *bus.Subscription, l *bus.Link)
		want []string
	}{
		"the link":         {func(_ *bus.Subscription, l *bus.Link) { l.Close() }, []string{ended, again}},
		"the subscription": {func(s *bus.Subscription, _ *bus.Link) { s.Close() }, []string{ended}},
		"its goroutine":    {func(*bus.Subscription, *bus.Link) { runtime.Goexit() }, []string{ended}},
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			overEach(t, func(t *testing.T, w *world, scheme string) { handlerEnds(t, w, scheme, c.end, c.want) })
		})
	}
}

func handlerEnds(t *testing.T, w *world, scheme string, end func(*bus.Subscription, *bus.Link), want []string) {
	var d journal
	a, b := w.node("a"), w.node("b")
	w.between(a, b, scheme).Set(far)
	var link *bus.Link
	var sub *bus.Subscription
	n := 0
	sub, err := b.On("x", func(context.Context, bus.Event) {
		switch n++; {
		case n == proven+1:
			defer d.note("ended, lent: %t", isLent())
			end(sub, link)
		case n > proven:
			d.note("again")
		}
	})
	must(t, err)
	others := w.receiveOnly(b, "y", nil)
	link = w.connect(b, w.url(a, scheme))
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	must(t, sub.Ready(ctx))
	must(t, others.sub.Ready(ctx))
	w.emit(a, "x", 1, proven+1, 30*ms, "")
	pass(2 * time.Second)
	w.connect(b, w.url(a, scheme))
	w.emit(a, "x", proven+2, proven+2, 30*ms, "")
	w.emit(a, "y", 1, 3, 30*ms, "")
	pass(2 * time.Second)
	d.want(t, want...)
	others.mu.Lock()
	defer others.mu.Unlock()
	if others.last["y"] != 3 {
		t.Errorf("event %d is the last of 3 that another subscription got afterwards", others.last["y"])
	}
}

// Close waits for a handler wherever it runs.
func TestCloseWaitsForHandlersThatWereLentTo(t *testing.T) {
	overEach(t, func(t *testing.T, w *world, scheme string) {
		var d journal
		a, b := leased(t, w, scheme, far, func(ctx context.Context, _ bus.Event) {
			d.note("lent: %t", isLent())
			<-ctx.Done()
			pass(time.Second)
			d.note("handled")
		})
		w.emit(a, "x", 1, 1, 0, "")
		pass(100 * ms)
		must(t, b.Close())
		d.note("closed")
		d.want(t, "lent: true", "handled", "closed")
	})
}

// idler is a transport whose streams never do what their sinks leave to be done.
type idler struct{ bus.Transport }

func (i idler) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	c, err := i.Transport.Dial(ctx, addr, want)
	return idleConn{c}, err
}

type idleConn struct{ bus.Conn }

func (c idleConn) AcceptStream(ctx context.Context) (bus.Stream, error) {
	s, err := c.Conn.AcceptStream(ctx)
	return idleStream{s}, err
}

type idleStream struct{ bus.Stream }

func (s idleStream) Push(sink bus.Sink) error { return s.Stream.(bus.Pusher).Push(idleSink{sink}) }

type idleSink struct{ bus.Sink }

func (s idleSink) Came(n int) (bus.Work, error) {
	_, err := s.Sink.Came(n)
	return nil, err
}

// What a transport does not do, it only delays.
func TestTransportsThatDoNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		a := network.Node(t, "a")
		b := network.Node(t, "b", func(c *bus.Config) { c.Transports = []bus.Transport{idler{c.Transports[0]}} })
		network.Connect(t, "b", "a")
		const count = proven + 3
		var d journal
		sub, err := b.On("x", func(_ context.Context, e bus.Event) {
			d.note("after less than 10 ms: %t, lent: %t", time.Since(e.Time) < 10*ms, isLent())
		})
		must(t, err)
		must(t, sub.Ready(t.Context()))
		for range count {
			must(t, a.EmitBytes(t.Context(), "x", nil))
			pass(30 * ms)
		}
		d.want(t, slices.Repeat([]string{"after less than 10 ms: true, lent: false"}, count)...)
	})
}
