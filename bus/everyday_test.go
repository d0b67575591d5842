package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// The everyday behaviour of nodes, over QUIC on loopback.

func TestEventsBeforeTheFirstConnectionArrive(t *testing.T) {
	w := newNetwork(t)
	client, server := w.node("client"), w.node("server")
	in := collect(t, server, ">")
	send(t, client, "a", numbers(1, 3)...)
	_, err := client.Connect(w.listen(server))
	must(t, err)
	send(t, client, "a", numbers(4, 6)...)
	in.want(numbers(1, 6)...)
}

func TestEventsBetweenConnectAndTheConnectionArrive(t *testing.T) {
	w := newNetwork(t)
	client, first, second := w.node("client"), w.node("first"), w.node("second")
	w.connect(client, w.listen(first)) // so that the second is not the first peer
	in := collect(t, second, ">")
	send(t, client, "a", "not owed")
	must(t, client.Drain(soon(t)))
	url := reserve(t)
	_, err := client.Connect(url)
	must(t, err)
	send(t, client, "a", numbers(1, 3)...)
	_, err = second.Listen(soon(t), url)
	must(t, err)
	in.want(numbers(1, 3)...)
}

func TestServerEmitsToItsClients(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server")
	url := w.listen(server)
	var inboxes []*inbox
	for _, name := range []string{"one", "two", "three"} {
		client := w.node(name)
		in := collect(t, client, "news.*")
		w.connect(client, url)
		must(t, in.sub.Ready(soon(t)))
		inboxes = append(inboxes, in)
	}
	send(t, server, "news.today", numbers(1, 100)...)
	for _, in := range inboxes {
		in.want(numbers(1, 100)...)
	}
	must(t, server.Drain(soon(t)))
}

func TestSeveralClientsToOneServer(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server")
	in := collect(t, server, ">")
	url := w.listen(server)
	var clients []*bus.Node
	for _, name := range []string{"one", "two", "three"} {
		client := w.node(name)
		w.connect(client, url)
		clients = append(clients, client)
	}
	for i := range 50 {
		for _, c := range clients {
			send(t, c, "a", numbers(i, i)...)
		}
	}
	in.until("all", func() bool { return len(in.events) == 150 })
	next := make(map[uuid.UUID]uint64)
	for _, e := range in.events {
		if next[e.Origin.Node]++; e.Seq != next[e.Origin.Node] {
			t.Fatalf("event %d of %v came as number %d", e.Seq, e.Origin.Node, next[e.Origin.Node])
		}
	}
}

func TestOneClientToSeveralServers(t *testing.T) {
	w := newNetwork(t)
	client := w.node("client")
	var inboxes []*inbox
	for _, name := range []string{"one", "two", "three"} {
		server := w.node(name)
		inboxes = append(inboxes, collect(t, server, ">"))
		w.connect(client, w.listen(server))
	}
	must(t, client.WaitInterest(soon(t), "a"))
	send(t, client, "a", numbers(1, 20)...)
	for _, in := range inboxes {
		in.want(numbers(1, 20)...)
	}
}

func TestClientThatReturnsGetsWhatItMissed(t *testing.T) {
	w := newNetwork(t)
	server, client := w.node("server"), w.node("client")
	in := collect(t, client, ">")
	url := w.listen(server)
	l := w.connect(client, url)
	must(t, in.sub.Ready(soon(t)))
	send(t, server, "a", numbers(1, 5)...)
	in.want(numbers(1, 5)...)
	must(t, l.Close())
	if peers := client.Peers(); len(peers) != 0 {
		t.Fatalf("%d peers after the link was closed", len(peers))
	}
	send(t, server, "a", numbers(6, 10)...)
	w.connect(client, url)
	send(t, server, "a", numbers(11, 12)...)
	in.want(numbers(1, 12)...)
}

func TestDisconnectKeepsTheNode(t *testing.T) {
	w := newNetwork(t)
	server, client := w.node("server"), w.node("client")
	in := collect(t, client, ">")
	url := w.listen(server)
	w.connect(client, url)
	must(t, in.sub.Ready(soon(t)))
	send(t, server, "a", "1")
	in.want("1")
	must(t, server.Disconnect()) // the client's link connects again
	send(t, server, "a", "2")
	in.want("1", "2")
}

func TestRestartedReceiverGetsWhatItHadNotDone(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server")
	url := w.listen(server)
	identity := w.identity(uuid.New(), "client")

	client := w.nodeAs(identity)
	in := collect(t, client, ">")
	w.connect(client, url)
	must(t, in.sub.Ready(soon(t)))
	send(t, server, "a", numbers(1, 5)...)
	in.want(numbers(1, 5)...)
	must(t, server.Drain(soon(t)))
	must(t, client.Close())
	send(t, server, "a", numbers(6, 9)...)

	again := w.nodeAs(identity)
	in = collect(t, again, ">")
	w.connect(again, url)
	in.want(numbers(6, 9)...)
}

func TestRestartedOriginIsANewRun(t *testing.T) {
	w := newNetwork(t)
	server := w.node("server")
	in := collect(t, server, ">")
	url := w.listen(server)
	identity := w.identity(uuid.New(), "client")
	for run := range 2 {
		client := w.nodeAs(identity)
		w.connect(client, url)
		send(t, client, "a", numbers(3*run+1, 3*run+3)...)
		must(t, client.Drain(soon(t)))
		must(t, client.Close())
	}
	in.want(numbers(1, 6)...)
	if a, b := in.events[0].Origin, in.events[3].Origin; a.Node != b.Node || a.Epoch >= b.Epoch || in.events[3].Seq != 1 {
		t.Fatalf("runs %v and %v, the second begins at %d", a, b, in.events[3].Seq)
	}
}

func TestNodeDoesNotHearItself(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	own, other := collect(t, a, ">"), collect(t, b, ">")
	w.chain(a, b)
	must(t, a.WaitInterest(soon(t), "x"))
	send(t, a, "x", "1")
	other.want("1")
	send(t, b, "x", "2")
	own.want("2")
}

func TestEndedPeersLeavePeers(t *testing.T) {
	w := newNetwork(t)
	server, client := w.node("server"), w.node("client")
	stream := server.Lifecycle(soon(t))
	w.connect(client, w.listen(server))
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerUp })
	if len(server.Peers()) != 1 {
		t.Fatalf("%d peers, want 1", len(server.Peers()))
	}
	stream = server.Lifecycle(soon(t))
	must(t, client.Close())
	down := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerDown })
	var peer *bus.PeerError
	if !errors.As(down.Err, &peer) || peer.Code != bus.CloseNormal {
		t.Fatalf("the peer ended with %v", down.Err)
	}
	if len(server.Peers()) != 0 {
		t.Fatalf("%d peers after the client was closed", len(server.Peers()))
	}
}

func TestPeerCloseAndReconnect(t *testing.T) {
	w := newNetwork(t)
	server, client := w.node("server"), w.node("client")
	in := collect(t, server, ">")
	stream := server.Lifecycle(soon(t))
	l := w.connect(client, w.listen(server))
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerUp })
	stream = client.Lifecycle(soon(t))
	must(t, server.Peers()[0].Close())
	awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerUp })
	_, err := l.Ready(soon(t))
	must(t, err)
	send(t, client, "a", "back")
	in.want("back")
}

func TestValuesAndHeaders(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	in := collect(t, b, "orders.*")
	w.chain(a, b)
	must(t, in.sub.Ready(soon(t)))
	before := time.Now().Add(-time.Second)
	must(t, a.Emit(soon(t), "orders.new", "apples", 3, map[string]any{"express": true}))
	must(t, a.Emit(soon(t), "orders.none"))
	_, err := a.EmitMessage(soon(t), bus.Message{Topic: "orders.raw", Payload: []byte{0, 255}, Headers: []bus.Header{{Key: "k", Value: "v"}, {Key: "k", Value: "w"}}})
	must(t, err)
	in.until("three", func() bool { return len(in.events) == 3 })

	e := in.events[0]
	var what string
	var count int
	var more struct{ Express bool }
	must(t, e.Args(&what, &count, &more))
	if what != "apples" || count != 3 || !more.Express {
		t.Errorf("values %q, %d, %v", what, count, more)
	}
	if e.Topic != "orders.new" || e.Origin != a.Origin() || e.Seq != 1 || e.Time.Before(before) || e.Time.After(time.Now()) {
		t.Errorf("event %+v of %v", e, a.Origin())
	}
	if err := e.Args(&what, &count, &more, &what); err == nil {
		t.Error("more values were decoded than were emitted")
	}
	must(t, in.events[1].Args())
	raw := in.events[2]
	if v, ok := raw.Headers.Get("k"); !ok || v != "v" || raw.Headers.Len() != 2 || string(raw.Payload) != "\x00\xff" {
		t.Errorf("headers %v, payload %q", raw.Headers, raw.Payload)
	}
	if c := raw.Clone(); string(c.Payload) != string(raw.Payload) || c.Topic != raw.Topic || c.Headers.Len() != 2 {
		t.Errorf("clone %+v", c)
	}
}

func TestRelaysInAChain(t *testing.T) {
	w := newNetwork(t)
	nodes := []*bus.Node{w.node("emitter"), w.node("relay 1"), w.node("relay 2"), w.node("listener")}
	in := collect(t, nodes[3], "quakes.>")
	w.chain(nodes...)
	must(t, nodes[0].WaitInterest(soon(t), "quakes.week"))
	send(t, nodes[0], "quakes.week", numbers(1, 2000)...)
	in.want(numbers(1, 2000)...)
	for _, n := range nodes {
		must(t, n.Drain(soon(t)))
	}
	send(t, nodes[0], "other", "unheard") // now, or it would be in a batch with others
	must(t, nodes[0].Drain(soon(t)))
	if s := nodes[0].Stats(); s.Unheard != 1 {
		t.Errorf("%d events unheard, want 1", s.Unheard)
	}
	p, err := nodes[2].Peers()[0].Stats()
	must(t, err)
	if p.SentEvents+p.ReceivedEvents != 2000 {
		t.Errorf("relay 2 exchanged %d events with a neighbour, want 2,000", p.SentEvents+p.ReceivedEvents)
	}
}

func TestStar(t *testing.T) {
	w := newNetwork(t)
	hub := w.node("hub")
	url := w.listen(hub)
	var leaves []*bus.Node
	var inboxes []*inbox
	for _, name := range []string{"a", "b", "c", "d"} {
		n := w.node(name)
		in := collect(t, n, ">")
		w.connect(n, url)
		leaves, inboxes = append(leaves, n), append(inboxes, in)
	}
	for _, in := range inboxes {
		must(t, in.sub.Ready(soon(t)))
	}
	for i, n := range leaves {
		send(t, n, "x", numbers(100*i, 100*i+99)...)
	}
	for i, in := range inboxes {
		in.until("the others' events", func() bool { return len(in.events) == 300 })
		for _, e := range in.events {
			if e.Origin == leaves[i].Origin() {
				t.Fatal("a node heard itself")
			}
		}
	}
}

func TestSubscriptionReadyMeansArriving(t *testing.T) {
	w := newNetwork(t)
	nodes := []*bus.Node{w.node("emitter"), w.node("relay"), w.node("listener")}
	w.chain(nodes...)
	for i := range 20 {
		topic := "t" + numbers(i, i)[0]
		in := collect(t, nodes[2], topic)
		must(t, in.sub.Ready(soon(t)))
		send(t, nodes[0], topic, "1", "2")
		in.want("1", "2")
		must(t, in.sub.Close())
	}
}

func TestPing(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	w.chain(a, b)
	rtt, err := b.Peers()[0].Ping(soon(t))
	must(t, err)
	if rtt <= 0 || rtt > 10*time.Second {
		t.Errorf("a round trip of %v", rtt)
	}
	p := b.Peers()[0]
	must(t, a.Close())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Ping(ctx); err == nil {
		t.Error("a ping to a peer that is gone")
	}
}
