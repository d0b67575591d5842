package bus_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/codec"
)

// gate is a handler that waits to be opened, once it has begun.
type gate struct {
	begun chan struct{} // gets one for each call
	open  chan struct{}
}

func newGate(t *testing.T) *gate {
	g := &gate{begun: make(chan struct{}, 1<<20), open: make(chan struct{})}
	t.Cleanup(g.release) // before the nodes are closed, which wait for it
	return g
}

func (g *gate) handle(context.Context, bus.Event) {
	g.begun <- struct{}{}
	<-g.open
}

func (g *gate) release() {
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// blockedPair is an emitter whose only peer does not get on: its handler waits at
// the gate.
func blockedPair(t *testing.T, configure func(*bus.Config)) (emitter, receiver *bus.Node, g *gate) {
	w := newNetwork(t)
	emitter = w.node("emitter", func(c *bus.Config) { c.Compression = codec.Off }, configure)
	receiver = w.node("receiver")
	g = newGate(t)
	sub, err := receiver.On("x", g.handle)
	must(t, err)
	w.chain(emitter, receiver)
	must(t, sub.Ready(soon(t)))
	send(t, emitter, "x", "0")
	<-g.begun
	return emitter, receiver, g
}

func TestOverflowReject(t *testing.T) {
	emitter, _, g := blockedPair(t, func(c *bus.Config) { c.BufferMax, c.Overflow = 100, bus.Reject })
	var err error
	accepted := 1
	for ; err == nil && accepted < 1000; accepted++ {
		err = emitter.EmitBytes(soon(t), "x", []byte("more"))
	}
	if !errors.Is(err, bus.ErrBufferFull) || accepted-1 != 100 {
		t.Fatalf("%v after %d events, want ErrBufferFull after 100", err, accepted-1)
	}
	g.release()
	must(t, emitter.Drain(soon(t)))
	must(t, emitter.EmitBytes(soon(t), "x", []byte("room again")))
}

func TestOverflowBlock(t *testing.T) {
	emitter, _, g := blockedPair(t, func(c *bus.Config) { c.BufferMax = 100 })
	for range 99 {
		must(t, emitter.EmitBytes(soon(t), "x", []byte("more")))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := emitter.EmitBytes(ctx, "x", []byte("no room")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	emitted := make(chan error)
	go func() { emitted <- emitter.EmitBytes(context.Background(), "x", []byte("waits")) }()
	g.release()
	must(t, <-emitted)
	must(t, emitter.Drain(soon(t)))
}

func TestOverflowBlockByBytes(t *testing.T) {
	emitter, _, _ := blockedPair(t, func(c *bus.Config) { c.BufferBytes, c.Overflow = 1<<20, bus.Reject })
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = emitter.EmitBytes(soon(t), "x", make([]byte, 10_000))
	}
	if !errors.Is(err, bus.ErrBufferFull) || n < 90 || n > 120 {
		t.Fatalf("%v after %d events of 10 kB, want ErrBufferFull after about 1 MiB", err, n)
	}
}

// A handler that never returns holds its origin up for BlockTimeout, and then
// misses what it holds up, alone: another subscription beside it gets everything.
func TestBlockTimeoutCutsOffOnlyTheLaggard(t *testing.T) {
	w := newNetwork(t)
	emitter := w.node("emitter", func(c *bus.Config) { c.BufferMax, c.BlockTimeout, c.Compression = 100, 2*time.Second, codec.Off })
	receiver := w.node("receiver", func(c *bus.Config) { c.ReceiveBytes, c.BlockTimeout = 1, 400*time.Millisecond })
	g := newGate(t)
	gaps := make(chan *bus.GapError, 100)
	stuck, err := receiver.On("x", g.handle, bus.OnGap(func(_ context.Context, gap *bus.GapError) { gaps <- gap }))
	must(t, err)
	in := collect(t, receiver, "x")
	w.chain(emitter, receiver)
	must(t, in.sub.Ready(soon(t)))
	stream := emitter.Lifecycle(soon(t))
	payload := make([]byte, 10_000)
	for range 300 {
		must(t, emitter.EmitBytes(soon(t), "x", payload))
	}
	in.until("everything, at the one that keeps up", func() bool { return len(in.events) == 300 })
	must(t, emitter.Drain(soon(t)))
	g.release()
	missed := uint64(0)
	for missed+stuck.Stats().Delivered < 300 {
		select {
		case gap := <-gaps:
			if gap.Reason != bus.ReasonStalled {
				t.Fatalf("gap %v", gap)
			}
			missed += gap.To - gap.From + 1
		case <-soon(t).Done():
			t.Fatalf("delivered %d, missed %d of 300", stuck.Stats().Delivered, missed)
		}
	}
	if s := stuck.Stats(); s.Delivered+missed != 300 || s.Dropped != missed {
		t.Errorf("delivered %d, dropped %d, reported %d of 300", s.Delivered, s.Dropped, missed)
	}
	if len(in.gaps) != 0 {
		t.Errorf("the other subscription missed %v", in.gaps)
	}
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleReport })
	if e.Gap.Reason != bus.ReasonStalled || e.Gap.Receiver != receiver.ID() {
		t.Errorf("the origin heard of %v", e.Gap)
	}
	if n := emitter.Stats().Reported; n != missed {
		t.Errorf("the origin heard of %d events, %d were missed", n, missed)
	}
}

// Nor does one miss anything that is slow, and gets on: what it has queued is behind what holds the log up.
func TestBlockTimeoutSparesWhoGetsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 50
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.Compression = codec.Off })
		to := network.Node(t, "to", func(c *bus.Config) { c.ReceiveBytes, c.BlockTimeout = 1, 400*ms })
		network.Connect(t, "from", "to")
		release := make(chan struct{})
		stuck, err := to.On("x", func(context.Context, bus.Event) { <-release })
		must(t, err)
		slow, err := to.On("x", func(context.Context, bus.Event) { pass(150 * ms) },
			bus.OnGap(func(_ context.Context, gap *bus.GapError) { t.Errorf("who gets on misses %v", gap) }))
		must(t, err)
		must(t, slow.Ready(t.Context()))
		for range count {
			must(t, from.EmitBytes(t.Context(), "x", make([]byte, 10_000)))
			pass(20 * ms) // each is a batch: a log moves by these
		}
		must(t, from.Drain(t.Context()))
		close(release)
		synctest.Wait()
		if s := slow.Stats(); s.Delivered != count || s.Dropped != 0 {
			t.Errorf("who gets on: %+v", s)
		}
		if s := stuck.Stats(); s.Dropped == 0 || s.Delivered+s.Dropped != count {
			t.Errorf("who does not: %+v", s)
		}
	})
}

func TestOverflowDisconnect(t *testing.T) {
	w := newNetwork(t)
	emitter := w.node("emitter", func(c *bus.Config) { c.BufferMax, c.Overflow = 100, bus.Disconnect })
	receiver := w.node("receiver")
	g := newGate(t)
	sub, err := receiver.On("x", g.handle)
	must(t, err)
	w.chain(emitter, receiver)
	must(t, sub.Ready(soon(t)))
	stream := emitter.Lifecycle(soon(t))
	for range 1000 {
		must(t, emitter.EmitBytes(soon(t), "x", []byte("more")))
	}
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerDown })
	var peer *bus.PeerError
	if !errors.As(e.Err, &peer) || peer.Code != bus.CloseTooSlow {
		t.Errorf("the laggard was cut off with %v", e.Err)
	}
}

// One peer may lag and lose, and the emitter does not wait for it; for the other it does.
func TestPeerOverflow(t *testing.T) {
	w := newNetwork(t)
	slow := w.node("slow", func(c *bus.Config) { c.ReceiveBytes = 1 })
	fast := w.node("fast")
	emitter := w.node("emitter", func(c *bus.Config) {
		c.BufferMax, c.PeerOverflow = 100, map[uuid.UUID]bus.Overflow{slow.ID(): bus.DropOldest}
		c.BlockTimeout = time.Hour // or it would end the wait for the slow one
	})
	g := newGate(t)
	gaps := make(chan *bus.GapError, 100)
	stuck, err := slow.On("x", g.handle, bus.OnGap(func(_ context.Context, gap *bus.GapError) { gaps <- gap }))
	must(t, err)
	in := collect(t, fast, "x")
	url := w.listen(emitter)
	w.connect(slow, url)
	w.connect(fast, url)
	must(t, stuck.Ready(soon(t)))
	must(t, emitter.WaitInterest(soon(t), "x"))
	const count = 20_000
	for range count {
		must(t, emitter.EmitBytes(soon(t), "x", make([]byte, 100)))
	}
	in.until("every event", func() bool { return len(in.events) == count })
	g.release()
	missed := uint64(0)
	for missed+stuck.Stats().Delivered < count {
		select {
		case gap := <-gaps:
			missed += gap.To - gap.From + 1
		case <-g.begun:
		case <-soon(t).Done():
			t.Fatalf("delivered %d, missed %d of %d", stuck.Stats().Delivered, missed, count)
		}
	}
	if missed == 0 || len(in.gaps) > 0 {
		t.Errorf("the slow one missed %d, the fast one %v", missed, in.gaps)
	}
}

func TestEmitInsideAHandlerDoesNotBlock(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.BufferMax = 10 })
	b := w.node("b")
	g := newGate(t)
	_, err := b.On("full", g.handle)
	must(t, err)
	w.chain(a, b)
	errs := make(chan error, 1)
	sub, err := a.On("ask", func(ctx context.Context, e bus.Event) {
		var err error
		for range 1000 {
			if err = a.EmitBytes(ctx, "full", nil); err != nil {
				break
			}
		}
		errs <- err
	})
	must(t, err)
	must(t, sub.Ready(soon(t)))
	must(t, a.WaitInterest(soon(t), "full"))
	send(t, b, "ask", "")
	if err := <-errs; !errors.Is(err, bus.ErrWouldBlock) {
		t.Errorf("error %v", err)
	}
}

// A peer that is away blocks nobody, and misses exactly what its buffer could not keep.
func TestAbsentPeerMissesWhatTheBufferCouldNotKeep(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server", func(c *bus.Config) { c.BufferMax = 100 })
	url := w.listen(server)
	client := w.node("client")
	in := collect(t, client, ">")
	l := w.connect(client, url)
	must(t, in.sub.Ready(soon(t)))
	send(t, server, "a", numbers(1, 10)...)
	in.want(numbers(1, 10)...)
	must(t, server.Drain(soon(t))) // the last handler returned, and the server knows: the peer needs none of these
	must(t, l.Close())
	for _, p := range numbers(11, 1000) {
		must(t, server.EmitBytes(soon(t), "a", []byte(p)))
	}
	if err := server.Drain(soon(t)); err != nil {
		t.Fatalf("a peer that left on purpose is drained for: %v", err)
	}
	stream := server.Lifecycle(soon(t))
	w.connect(client, url)
	in.until("the end", func() bool { return len(in.events) > 10 && string(in.events[len(in.events)-1].Payload) == "1000" })
	if len(in.gaps) != 1 {
		t.Fatalf("gaps %v", in.gaps)
	}
	gap := in.gaps[0]
	if gap.From != 11 || gap.Reason != bus.ReasonBuffer || gap.To != in.events[10].Seq-1 || gap.Receiver != client.ID() || gap.Origin != server.Origin() {
		t.Errorf("gap %+v before event %d", gap, in.events[10].Seq)
	}
	if kept := len(in.events) - 10; kept < 50 || kept > 100 {
		t.Errorf("%d events were kept, the bound is 100", kept)
	}
	if s := client.Stats(); s.Missed != gap.To-gap.From+1 || s.Gaps != 1 {
		t.Errorf("stats %+v", s)
	}
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleReport && e.Gap.From == 11 })
	if s := server.Stats(); s.Reported != gap.To-gap.From+1 || s.Dropped != s.Reported {
		t.Errorf("the origin counts %+v", s)
	}
}

func TestConfigBufferTimeout(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server", func(c *bus.Config) { c.BufferTimeout = 50 * time.Millisecond })
	url := w.listen(server)
	client := w.node("client")
	in := collect(t, client, ">")
	l := w.connect(client, url)
	must(t, in.sub.Ready(soon(t)))
	send(t, server, "a", "1")
	in.want("1")
	stream := server.Lifecycle(soon(t))
	must(t, l.Close())
	send(t, server, "a", "2")
	must(t, server.Drain(soon(t))) // so that it is in a batch, whose age counts
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleForgotten })
	w.connect(client, url)
	must(t, server.WaitInterest(soon(t), "a"))
	send(t, server, "a", "3")
	in.until("the last", func() bool { return len(in.events) == 2 })
	if string(in.events[1].Payload) != "3" || len(in.gaps) != 1 || in.gaps[0].From != 2 || in.gaps[0].To != 2 {
		t.Errorf("events %v, gaps %v", in.events, in.gaps)
	}
}

// Who has left does not count as a listener, also beyond the relay that keeps events for it.
func TestWaitInterestIsForListenersThatAreThere(t *testing.T) {
	w := newNetwork(t)
	emitter, relay, listener := w.node("emitter"), w.node("relay"), w.node("listener")
	in := collect(t, listener, "x")
	w.chain(emitter, relay, listener)
	must(t, in.sub.Ready(soon(t)))
	must(t, emitter.WaitInterest(soon(t), "x"))
	stream := relay.Lifecycle(soon(t))
	must(t, listener.Close())
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerDown })
	probe := collect(t, relay, "probe") // its flood follows that of the loss
	must(t, probe.sub.Ready(soon(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := emitter.WaitInterest(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a listener that has left is waited for: %v", err)
	}
}

func TestTypedTopic(t *testing.T) {
	type order struct{ Fruit string }
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	orders, err := bus.NewTopic("orders", codec.JSON[order]())
	must(t, err)
	got := make(chan order, 2)
	gaps := make(chan *bus.GapError, 1)
	sub, err := orders.On(b, func(_ context.Context, o order, e bus.Event) { got <- o },
		bus.OnGap(func(_ context.Context, g *bus.GapError) { gaps <- g }))
	must(t, err)
	w.chain(a, b)
	must(t, sub.Ready(soon(t)))
	must(t, orders.Emit(soon(t), a, order{"apple"}))
	must(t, a.Emit(soon(t), "orders", 7)) // no order
	must(t, a.Emit(soon(t), "orders", map[string]string{"Fruit": "pear"}))
	if o := <-got; o.Fruit != "apple" {
		t.Errorf("order %v", o)
	}
	if g := <-gaps; g.From != 2 || g.To != 2 || g.Reason != bus.ReasonDecode {
		t.Errorf("gap %v", g)
	}
	if o := <-got; o.Fruit != "pear" {
		t.Errorf("order %v", o)
	}
}

func TestNewNodesDoNotGetHistory(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a")
	url := w.listen(a)
	first, second := w.node("first"), w.node("second")
	in1, in2 := collect(t, first, ">"), collect(t, second, ">")
	w.connect(first, url)
	must(t, in1.sub.Ready(soon(t)))
	send(t, a, "x", numbers(1, 5)...)
	in1.want(numbers(1, 5)...)
	w.connect(second, url)
	must(t, in2.sub.Ready(soon(t)))
	send(t, a, "x", "6")
	in2.want("6")
	if len(in2.gaps) != 0 {
		t.Errorf("a newcomer misses %v", in2.gaps)
	}
}

func TestBothSidesDial(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	in := collect(t, b, ">")
	urlA, urlB := w.listen(a), w.listen(b)
	la, err := a.Connect(urlB)
	must(t, err)
	lb, err := b.Connect(urlA)
	must(t, err)
	for _, l := range []*bus.Link{la, lb} {
		_, err := l.Ready(soon(t))
		must(t, err)
	}
	send(t, a, "x", numbers(1, 1000)...)
	in.want(numbers(1, 1000)...)
	must(t, a.Drain(soon(t)))
	if n := len(a.Peers()); n != 1 {
		t.Errorf("%d peers", n)
	}
}

func TestNewerRunOfTheSameIDSupersedes(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server")
	url := w.listen(server)
	identity := w.identity(uuid.New(), "twin")
	older := w.nodeAs(identity)
	l := w.connect(older, url)
	newer := w.nodeAs(identity)
	w.connect(newer, url)
	var peer *bus.PeerError
	for {
		_, err := l.Ready(soon(t))
		if err == nil {
			continue // not told yet
		}
		if !errors.As(err, &peer) || peer.Code != bus.CloseSuperseded {
			t.Fatalf("the older run ended with %v", err)
		}
		break
	}
}

// The address leads to a run that is not the newest of its node. There may be a newer one behind it later.
func TestLinkToAnOlderRunGoesOn(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n")
	identity := w.identity(uuid.New(), "twin")
	older := w.nodeAs(identity)
	l := w.connect(n, w.listen(older))
	stream := n.Lifecycle(soon(t))
	newer := w.nodeAs(identity)
	w.connect(newer, w.listen(n))
	e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleBackoff && e.URL == l.URL() })
	if peer, ok := errors.AsType[*bus.PeerError](e.Err); !ok || peer.Code != bus.CloseSuperseded || peer.Remote {
		t.Errorf("it waits because of %v", e.Err)
	}
}

func TestSelf(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n")
	if err := refusal(t, n, w.listen(n)); err.Code != bus.CloseSelf {
		t.Errorf("refused with %v", err)
	}
}

func TestWrongID(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	url := w.listen(a)
	other := "quic://" + uuid.NewString() + "@" + url[len("quic://"):]
	if err := refusal(t, b, other); err.Code != bus.CloseWrongID {
		t.Errorf("refused with %v", err)
	}
	w.connect(b, "quic://"+a.ID().String()+"@"+url[len("quic://"):])
}

func TestForeignCA(t *testing.T) {
	w, foreign := newNetwork(t), newNetwork(t)
	a, b := w.node("a"), foreign.node("b")
	if err := refusal(t, b, w.listen(a)); err.Code != bus.CloseUntrusted {
		t.Errorf("refused with %v", err)
	}
}

func TestBadAddresses(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n")
	for _, url := range []string{"", "quic://", "quic://host", "tcp://127.0.0.1:1", "quic://me@127.0.0.1:1", "quic://127.0.0.1:1/path"} {
		if _, err := n.Connect(url); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

func TestBadTopics(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n")
	for _, name := range []string{"", ".", "a..b", "a b", "*", "a.>"} {
		if err := n.EmitBytes(soon(t), name, nil); err == nil {
			t.Errorf("%q was taken as a topic", name)
		}
	}
	if _, err := n.On("a.>.b", func(context.Context, bus.Event) {}); err == nil {
		t.Error("a.>.b was taken as a pattern")
	}
}

func TestAfterClose(t *testing.T) {
	w := newNetwork(t)
	n := w.node("n")
	must(t, n.Close())
	must(t, n.Close())
	_, subErr := n.Subscribe("x")
	_, linkErr := n.Connect("quic://127.0.0.1:1")
	_, listenErr := n.Listen(soon(t), "quic://127.0.0.1:0")
	for what, err := range map[string]error{
		"emit": n.EmitBytes(soon(t), "x", nil), "subscribe": subErr, "connect": linkErr, "listen": listenErr,
		"wait": n.WaitInterest(soon(t), "x"),
	} {
		if err == nil {
			t.Errorf("%s after Close", what)
		}
	}
	for e := range n.Lifecycle(soon(t)) {
		if e.Kind != bus.LifecycleClosed {
			t.Errorf("event %v", e)
		}
	}
}

func TestEmitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newNetwork(t)
	n := w.node("n")
	payload := make([]byte, 64)
	ctx := context.Background()
	if allocs := testing.AllocsPerRun(10_000, func() { n.EmitBytes(ctx, "x.y", payload) }); allocs > 0.05 {
		t.Errorf("%.2f allocations an event", allocs)
	}
}

// From an emitter to a handler in another node that holds on to nothing, the memory of batches goes round. What is left is the
// network between the two. How many small events share a batch depends on who is quicker; each large one is a batch.
func TestDeliveryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		size, count int
		most        float64 // an event
	}{{64, 200_000, 0.25}, {64 << 10, 4_000, 4}} {
		network := bustest.NewNetwork(1)
		from, to := network.Node(t, "from"), network.Node(t, "to")
		network.Connect(t, "from", "to")
		sub, err := to.On("x.*", func(context.Context, bus.Event) {}, bus.Borrow())
		must(t, err)
		must(t, sub.Ready(t.Context()))
		payload := make([]byte, c.size)
		emit := func(count int) {
			for range count {
				must(t, from.EmitBytes(t.Context(), "x.y", payload))
			}
			must(t, from.Drain(t.Context()))
		}
		emit(c.count) // whatever grows has grown
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		emit(c.count)
		runtime.ReadMemStats(&after)
		per := float64(after.Mallocs-before.Mallocs) / float64(c.count)
		t.Logf("%d B: %.4f allocations an event, of both nodes and the network between them", c.size, per)
		if per > c.most {
			t.Errorf("%d B: %.2f allocations an event", c.size, per)
		}
	}
}

// What a link is owed goes to whoever answers at its address, also when that is
// another node than before.
func TestAnotherNodeAnswersTheLink(t *testing.T) {
	w := newNetwork(t)
	emitter, first, second := w.node("emitter"), w.node("first"), w.node("second")
	url := w.listen(first)
	in1, in2 := collect(t, first, ">"), collect(t, second, ">")
	w.connect(emitter, url)
	must(t, emitter.WaitInterest(soon(t), "x"))
	send(t, emitter, "x", numbers(1, 5)...)
	in1.want(numbers(1, 5)...)
	must(t, emitter.Drain(soon(t)))
	must(t, first.Close())
	send(t, emitter, "x", numbers(6, 9)...)
	_, err := second.Listen(soon(t), url)
	must(t, err)
	in2.want(numbers(6, 9)...)
	must(t, emitter.Drain(soon(t)))
}
