package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/codec"
)

func TestEventsIterator(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	sub, err := b.Subscribe("x")
	must(t, err)
	w.chain(a, b)
	must(t, sub.Ready(soon(t)))
	send(t, a, "x", numbers(1, 10)...)
	want := 1
	read := func(upto int) {
		for e, err := range sub.Events(soon(t)) {
			must(t, err)
			if string(e.Payload) != numbers(want, want)[0] {
				t.Fatalf("event %q, want %d", e.Payload, want)
			}
			if want++; want > upto {
				break
			}
		}
	}
	read(4) // an iteration that ends inside a batch
	read(10)
	must(t, a.Drain(soon(t)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range sub.Events(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	must(t, sub.Close())
	for _, err := range sub.Events(soon(t)) {
		if !errors.Is(err, bus.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
}

// An iteration whose context ends hands out nothing more, and loses nothing.
func TestEventsEndWithTheirContext(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	sub, err := b.Subscribe("x")
	must(t, err)
	w.chain(a, b)
	must(t, sub.Ready(soon(t)))
	send(t, a, "x", numbers(1, 500)...)
	next := uint64(1)
	for next <= 500 {
		ctx, cancel := context.WithCancel(t.Context())
		for e, err := range sub.Events(ctx) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				break
			}
			if e.Seq != next {
				t.Fatalf("event %d, want %d", e.Seq, next)
			}
			next++
			if cancel(); next%7 == 0 {
				break // right after the context has ended
			}
		}
		cancel()
	}
	if s := sub.Stats(); s.Delivered != 500 {
		t.Errorf("%d delivered", s.Delivered)
	}
	must(t, a.Drain(soon(t)))
}

// A loop over events whose body panics is done with the event that it had, and no other.
func TestEventsIteratorThatPanics(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	sub, err := b.Subscribe("x")
	must(t, err)
	w.chain(a, b)
	must(t, sub.Ready(soon(t)))
	send(t, a, "x", numbers(1, 10)...)
	var got []uint64
	read := func() {
		defer func() { recover() }()
		for e, err := range sub.Events(soon(t)) {
			must(t, err)
			if got = append(got, e.Seq); len(got) == 10 {
				return
			}
			panic("in the loop's body")
		}
	}
	for range 10 {
		read()
	}
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
		t.Errorf("delivered %v", got)
	}
	must(t, a.Drain(soon(t)))
}

// narrowly has a node emit so many events of 10 kB to a subscription that may have few of them, and is cut off after 400 ms.
func narrowly(t *testing.T, count int) (from *bus.Node, sub *bus.Subscription) {
	t.Helper()
	network := bustest.NewNetwork(1)
	from = network.Node(t, "from", func(c *bus.Config) { c.Compression = codec.Off })
	to := network.Node(t, "to", func(c *bus.Config) { c.ReceiveBytes, c.BlockTimeout = 1, 400*ms })
	network.Connect(t, "from", "to")
	sub, err := to.Subscribe("x")
	must(t, err)
	must(t, sub.Ready(t.Context()))
	for range count {
		must(t, from.EmitBytes(t.Context(), "x", make([]byte, 10_000)))
	}
	return from, sub
}

// What is left of events that were cut off while a loop had one of them is a gap for the next loop.
func TestEventsIteratorThatEndsInWhatWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		from, sub := narrowly(t, count)
		got, missed, slow := 0, 0, true
		for got+missed < count {
			ctx, cancel := lasting(time.Second)
			for _, err := range sub.Events(ctx) {
				var gap *bus.GapError
				switch {
				case errors.As(err, &gap):
					missed += int(gap.To - gap.From + 1)
				case err != nil:
					t.Fatalf("%v after %d events, and %d that are missing", err, got, missed)
				default:
					got++
				}
				if got == 2 && slow { // the first came alone, and this one with others
					slow = false
					pass(3 * time.Second)
					break
				}
				if got+missed == count {
					break
				}
			}
			cancel()
		}
		must(t, from.Drain(t.Context()))
		if s := sub.Stats(); missed == 0 || got+missed != count || s.Dropped != uint64(missed) || from.Stats().Reported != uint64(missed) {
			t.Errorf("%d events and %d that are missing, of %d; %+v, and %d reported", got, missed, count, s, from.Stats().Reported)
		}
	})
}

// A loop that ends at the gap of what was cut off has been told: the next does not get it again.
func TestEventsIteratorThatEndsAtAGap(t *testing.T) {
	for name, end := range map[string]func(){"by leaving": func() {}, "by a panic": func() { panic("in the loop's body") }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const count = 300
				from, sub := narrowly(t, count)
				ctx, cancel := lasting(time.Minute)
				defer cancel()
				got, missed := 0, 0
				read := func() {
					defer func() { recover() }()
					for _, err := range sub.Events(ctx) {
						var gap *bus.GapError
						switch {
						case errors.As(err, &gap):
							missed += int(gap.To - gap.From + 1)
							end()
							return
						case err != nil:
							return
						}
						if got++; got == 2 { // the first came alone, and this one with others
							pass(3 * time.Second)
						}
					}
				}
				for ctx.Err() == nil {
					read()
				}
				if s := sub.Stats(); missed == 0 || got+missed != count || s.Dropped != uint64(missed) || from.Stats().Reported != uint64(missed) {
					t.Errorf("%d events and %d that are missing, of %d; %+v, and %d reported", got, missed, count, s, from.Stats().Reported)
				}
			})
		})
	}
}

// Who closes a subscription, or a node, is not told that it misses what it did not wait for.
func TestClosingLeavesNoGap(t *testing.T) {
	for name, end := range map[string]func(*bus.Subscription, *bus.Node) error{
		"subscription": func(s *bus.Subscription, _ *bus.Node) error { return s.Close() },
		"node":         func(_ *bus.Subscription, n *bus.Node) error { return n.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := bustest.NewNetwork(1)
				from, to := network.Node(t, "from"), network.Node(t, "to")
				network.Connect(t, "from", "to")
				sub, err := to.On("x", func(context.Context, bus.Event) { pass(ms) },
					bus.OnGap(func(_ context.Context, gap *bus.GapError) { t.Error(gap) }))
				must(t, err)
				must(t, sub.Ready(t.Context()))
				send(t, from, "x", numbers(1, 100)...)
				pass(50*ms + ms/2)
				must(t, end(sub, to))
				pass(ms)
				if s := sub.Stats(); s.Delivered != 51 || s.Dropped != 0 {
					t.Errorf("%d delivered and %d dropped, want 51 and 0", s.Delivered, s.Dropped)
				}
			})
		})
	}
}

func TestBoundedQueues(t *testing.T) {
	for name, option := range map[string]bus.OnOption{"oldest": bus.DropOldestBeyond(10), "newest": bus.DropNewestBeyond(10)} {
		t.Run(name, func(t *testing.T) {
			w := newNetwork(t)
			a, b := w.node("a"), w.node("b")
			g := newGate(t)
			var got []uint64
			gaps := make(chan *bus.GapError, 100)
			sub, err := b.On("x", func(ctx context.Context, e bus.Event) {
				got = append(got, e.Seq)
				g.handle(ctx, e)
			}, option, bus.OnGap(func(_ context.Context, gap *bus.GapError) { gaps <- gap }))
			must(t, err)
			w.chain(a, b)
			must(t, sub.Ready(soon(t)))
			stream := a.Lifecycle(soon(t))
			send(t, a, "x", "1")
			<-g.begun
			send(t, a, "x", numbers(2, 100)...)
			e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleReport && sub.Stats().Dropped == 89 })
			if e.Gap.Reason != bus.ReasonOverflow {
				t.Errorf("the origin heard of %v", e.Gap)
			}
			g.release()
			must(t, a.Drain(soon(t)))
			first := map[string]uint64{"oldest": 91, "newest": 2}[name]
			missed := 0
			for missed < 89 { // Close does not wait for a gap of the queue's own making
				gap := <-gaps
				if gap.Reason != bus.ReasonOverflow || gap.From < 2 || gap.To > 100 || gap.From < first+10 && gap.To >= first {
					t.Fatalf("gap %v", gap)
				}
				missed += int(gap.To - gap.From + 1)
			}
			must(t, b.Close())
			if len(got) != 11 || got[1] != first || got[10] != first+9 {
				t.Errorf("delivered %v", got)
			}
			if n := a.Stats().Reported; missed != 89 || n != 89 {
				t.Errorf("%d events in gaps, and the origin heard of %d; want 89", missed, n)
			}
		})
	}
}
