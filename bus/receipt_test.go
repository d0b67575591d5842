package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

func TestReceipt(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	g := newGate(t)
	sub, err := b.On("x", g.handle)
	must(t, err)
	w.chain(a, b)
	must(t, sub.Ready(soon(t)))
	r, err := a.EmitMessage(soon(t), bus.Message{Topic: "x", Payload: []byte("1")})
	must(t, err)
	if r.Seq != 1 {
		t.Errorf("number %d", r.Seq)
	}
	<-g.begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.Done(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("done while the handler runs: %v", err)
	}
	var drain *bus.DrainError
	if err := a.Drain(ctx); !errors.As(err, &drain) || len(drain.Pending) != 1 || drain.Pending[0].Events != 1 || drain.Pending[0].Peer != b.ID() {
		t.Errorf("drained while the handler runs: %v", err)
	}
	g.release()
	must(t, r.Done(soon(t)))
	must(t, a.Drain(soon(t)))
}

// A receipt of an event that a receiver misses says so, whether it was waited for before that is known or after.
func TestReceiptOfAnEventThatIsMissed(t *testing.T) {
	large := bus.Message{Topic: "x", Payload: make([]byte, 1<<20)}
	for what, c := range map[string]struct {
		idle    bool // the handler
		message bus.Message
	}{
		"too large":                      {false, large},
		"too large, for an idle handler": {true, large},
		"in a queue that is full":        {false, bus.Message{Topic: "x"}},
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { receiptIsMissed(t, c.idle, c.message) })
		})
	}
}

func receiptIsMissed(t *testing.T, idle bool, message bus.Message) {
	network := bustest.NewNetwork(1)
	from, to := network.Node(t, "from"), network.Node(t, "to", func(c *bus.Config) { c.MaxEvent = 1000 })
	network.Link("from", "to").Delay(10 * ms)
	network.Connect(t, "from", "to")
	release := make(chan struct{})
	if idle {
		close(release)
	}
	sub, err := to.On("x", func(context.Context, bus.Event) { <-release }, bus.DropNewestBeyond(1))
	must(t, err)
	must(t, sub.Ready(t.Context()))
	for range 2 { // one that is handled and one that waits
		must(t, from.EmitBytes(t.Context(), "x", nil))
		pass(50 * ms)
	}
	var receipts []bus.Receipt
	for range 20 {
		r, err := from.EmitMessage(t.Context(), message)
		must(t, err)
		receipts = append(receipts, r)
		if r.Seq%2 == 0 {
			wantMissed(t, r)
		}
		pass(50 * ms)
	}
	for _, r := range receipts {
		wantMissed(t, r)
	}
	if !idle {
		close(release)
	}
	must(t, from.Drain(t.Context()))
	for _, r := range receipts {
		wantMissed(t, r)
	}
}

func wantMissed(t *testing.T, r bus.Receipt) {
	t.Helper()
	ctx, cancel := lasting(time.Minute)
	defer cancel()
	var gap *bus.GapError
	if err := r.Done(ctx); !errors.As(err, &gap) || gap.From > r.Seq || gap.To < r.Seq {
		t.Errorf("the receipt of event %d says %v", r.Seq, err)
	}
}

// Who closes a link waits no longer for the node at its other end.
func TestReceiptOfALinkThatIsClosed(t *testing.T) {
	for name, answers := range map[string]bool{"with a peer": true, "without": false} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := bustest.NewNetwork(1)
				from, to := network.Node(t, "from"), network.Node(t, "to")
				release := make(chan struct{})
				_, err := to.On("x", func(context.Context, bus.Event) { <-release })
				must(t, err)
				var link *bus.Link
				if answers {
					link = network.Connect(t, "from", "to")
				} else {
					link, err = from.Connect("mem://nobody:1")
					must(t, err)
				}
				pass(time.Second)
				r, err := from.EmitMessage(t.Context(), bus.Message{Topic: "x"})
				must(t, err)
				done := make(chan error, 2)
				go func() { done <- r.Done(context.Background()) }()
				go func() { done <- from.Drain(context.Background()) }()
				pass(time.Second)
				if len(done) > 0 {
					t.Fatal("nobody was waited for")
				}
				must(t, link.Close())
				pass(time.Second)
				if len(done) < 2 {
					t.Error("somebody still is")
				}
				close(release)
				for range 2 {
					must(t, <-done)
				}
			})
		})
	}
}
