package bus_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// The rows of TestOriginal that are about a node and one peer: connecting, what is kept, and the end.

// diary is what happened to a node.
type diary struct {
	mu     sync.Mutex
	events []bus.LifecycleEvent
}

// keepDiary begins now and ends with the node, which the test's end closes.
func keepDiary(t *testing.T, n *bus.Node) *diary {
	d := new(diary)
	stream := n.Lifecycle(t.Context())
	go func() {
		for e := range stream {
			d.mu.Lock()
			d.events = append(d.events, e)
			d.mu.Unlock()
		}
	}()
	return d
}

// of returns the events of a kind so far.
func (d *diary) of(kind bus.LifecycleKind) (list []bus.LifecycleEvent) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// sealed emits, and has the events put into a batch: until then they are kept, and not counted.
func sealed(t *testing.T, n *bus.Node, payloads ...string) {
	t.Helper()
	send(t, n, "x", payloads...)
	var absent *bus.DrainError
	if err := n.Drain(soon(t)); err != nil && !errors.As(err, &absent) {
		t.Fatal(err)
	}
}

// wantKept waits until nothing moves and compares how many events a node keeps.
func wantKept(t *testing.T, n *bus.Node, want int64) {
	t.Helper()
	synctest.Wait()
	if got := n.Stats().Events; got != want {
		t.Errorf("%d events are kept, want %d", got, want)
	}
}

func firstConnectionGetsWhatWaits(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	send(t, client, "x", "ABC", "DEF")
	n.Connect(t, "client", "server")
	in.settled("ABC", "DEF")
}

func acceptingSideWritesAtOnce(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	n.Link("client", "server").Delay(50 * time.Millisecond)
	life := server.Lifecycle(soon(t))
	dial(t, client, "server")
	awaitLifecycle(t, life, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePathUp })
	send(t, server, "x", "abc", "def")
	in.settled("abc", "def")
}

func handshakeEnds(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	accepted := keepDiary(t, server)
	p, err := dial(t, client, "server").Ready(soon(t))
	must(t, err)
	if up := accepted.of(bus.LifecyclePeerUp); p.ID() != server.ID() || len(up) != 1 || up[0].Peer != client.ID() {
		t.Errorf("the client has %v for a peer, the server %v", p.ID(), up)
	}
}

func channelsMustAgree(t *testing.T, n *bustest.Network) {
	server := n.Node(t, "server", func(c *bus.Config) { c.Channel = "blue" })
	client := n.Node(t, "client", func(c *bus.Config) { c.Channel = "red" })
	book := keepDiary(t, server)
	told := []error{refusal(t, client, mem("server"))}
	for _, e := range book.of(bus.LifecycleRejected) {
		told = append(told, e.Err)
	}
	if len(told) != 2 {
		t.Fatalf("errors %v, want one at each side", told)
	}
	for _, err := range told {
		var peer *bus.PeerError
		if !errors.As(err, &peer) || peer.Code != bus.CloseChannel || !hasAll(err.Error(), []string{"blue", "red"}) {
			t.Errorf("error %v, want both channels", err)
		}
	}
}

func messageIsSent(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	n.Connect(t, "client", "server")
	send(t, client, "x", "this is it")
	in.settled("this is it")
}

func pipeTo(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, "file")
	n.Connect(t, "client", "server")
	type object struct{ A string }
	file := json.NewDecoder(strings.NewReader("{\"a\": \"1\"}\n{\"a\": \"2\"}\n{\"a\": \"3\"}\n"))
	for file.More() {
		var o object
		must(t, file.Decode(&o))
		must(t, client.Emit(soon(t), "file", o))
	}
	in.until("three", func() bool { return len(in.events) == 3 })
	for i, want := range numbers(1, 3) {
		var o object
		if must(t, in.events[i].Args(&o)); o.A != want {
			t.Errorf("object %q, want %q", o.A, want)
		}
	}
}

func pipeFrom(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	sub, err := client.Subscribe("x")
	must(t, err)
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	send(t, server, "x", "uno", "due", "tre")
	var elsewhere []string
	for e, err := range sub.Events(soon(t)) {
		must(t, err)
		if elsewhere = append(elsewhere, string(e.Payload)); len(elsewhere) == 3 {
			break
		}
	}
	if got := strings.Join(elsewhere, " "); got != "uno due tre" {
		t.Errorf("%q", got)
	}
}

func acknowledgedIsNotKept(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	send(t, server, "x", "1", "2")
	in.settled("1", "2")
	wantKept(t, server, 0)
	wantKept(t, client, 0)
	if p, err := server.Peers()[0].Stats(); err != nil || p.SentEvents != 2 || p.Unacked != 0 || p.Undone != 0 {
		t.Errorf("stats %+v, %v", p, err)
	}
}

func senderHearsOfTheAcknowledgement(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	n.Connect(t, "client", "server")
	must(t, client.WaitInterest(soon(t), "x"))
	send(t, client, "x", "abc")
	last, err := client.EmitMessage(soon(t), bus.Message{Topic: "x", Payload: []byte("def")})
	must(t, err)
	must(t, last.Done(soon(t)))
	in.want("abc", "def") // they had come when it was done
	wantKept(t, client, 0)
}

func unacknowledgedTimesOut(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client", bufferTimeout)
	in := collect(t, server, ">")
	n.Connect(t, "client", "server")
	must(t, client.WaitInterest(soon(t), "x"))
	n.Link("client", "server").Cut()
	sealed(t, client, "abc", "def")
	wantKept(t, client, 2)
	time.Sleep(time.Minute + time.Second)
	wantKept(t, client, 0)
	n.Link("client", "server").Heal()
	in.until("the report", func() bool { return len(in.gaps) > 0 })
	if g := in.gaps[0]; len(in.events) != 0 || g.From != 1 || g.To != 2 {
		t.Errorf("%d events, and the gap %v", len(in.events), g)
	}
}

func onlyTheMissingIsSentAgain(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	n.Connect(t, "client", "server")
	must(t, client.WaitInterest(soon(t), "x"))
	send(t, client, "x", "ghi")
	in.settled("ghi")
	link := n.Link("client", "server")
	link.Stall()
	send(t, client, "x", "jkl", "mno")
	synctest.Wait()
	link.Reset() // what was on its way is lost
	link.Resume()
	in.settled("ghi", "jkl", "mno")
	if s := server.Stats(); s.Duplicates != 0 || s.Gaps != 0 {
		t.Errorf("stats %+v", s)
	}
	if p, err := client.Peers()[0].Stats(); err != nil || p.SentEvents != 1+2+2 {
		t.Errorf("%d events were sent, %v; want one, two, and the two again", p.SentEvents, err)
	}
}

func endIsToldOnce(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	n.Connect(t, "client", "server")
	there, here := keepDiary(t, server), keepDiary(t, client)
	must(t, client.Close())
	must(t, client.Close())
	time.Sleep(time.Hour)
	if down := there.of(bus.LifecyclePeerDown); len(down) != 1 || down[0].Peer != client.ID() {
		t.Errorf("the server was told %v", down)
	}
	if closed := here.of(bus.LifecycleClosed); len(closed) != 1 {
		t.Errorf("the client was told %v", closed)
	}
}

func peersIntroduceThemselves(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	books := map[*bus.Node]*diary{server: keepDiary(t, client), client: keepDiary(t, server)}
	n.Connect(t, "client", "server")
	for node, name := range map[*bus.Node]string{server: "server", client: "client"} {
		if up := books[node].of(bus.LifecyclePeerUp); len(up) != 1 || up[0].Peer != node.ID() || up[0].Name != name {
			t.Errorf("the %s is known as %v", name, up)
		}
	}
}

func unresponsivePeerTimesOut(t *testing.T, n *bustest.Network) {
	client := n.Node(t, "client")
	mute := n.Transport("mute") // takes connections, and says nothing
	defer mute.Close()
	_, err := mute.Listen(t.Context(), ":1")
	must(t, err)
	if err := refusal(t, client, mem("mute")); err.Code != bus.CloseHelloTimeout || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("refused with %v", err)
	}

	// And one that falls silent later.
	n.Node(t, "server")
	n.Connect(t, "client", "server")
	book := keepDiary(t, client)
	n.Link("client", "server").Stall()
	time.Sleep(2 * time.Minute)
	var peer *bus.PeerError
	if down := book.of(bus.LifecyclePeerDown); len(down) != 1 || !errors.As(down[0].Err, &peer) || peer.Code != bus.CloseTimeout {
		t.Errorf("a silent peer: %v", down)
	}
}

func messagesWaitForTheHandshake(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	n.Link("client", "server").Delay(time.Second)
	dial(t, client, "server")
	for _, p := range numbers(1, 5) { // some of them while each message of the handshake is on its way
		send(t, client, "x", p)
		time.Sleep(700 * time.Millisecond)
	}
	in.settled(numbers(1, 5)...)
}

func keptIsCounted(t *testing.T, n *bustest.Network) {
	lonely := n.Node(t, "lonely")
	sealed(t, lonely, "1", "2")
	wantKept(t, lonely, 2)
}

func keptIsTakenInOrder(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	send(t, server, "x", "1", "2")
	n.Connect(t, "client", "server")
	in.settled("1", "2")
	wantKept(t, server, 0)
}

func acknowledgementEndsTheEarlier(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	send(t, server, "x", "1", "2")
	in.settled("1", "2")
	n.Link("client", "server").Cut()
	sealed(t, server, "3", "4")
	wantKept(t, server, 2)
	n.Link("client", "server").Heal()
	in.settled(numbers(1, 4)...)
	wantKept(t, server, 0)
}

func keptTimesOut(t *testing.T, n *bustest.Network) {
	lonely := n.Node(t, "lonely", bufferTimeout)
	sealed(t, lonely, "1", "2")
	wantKept(t, lonely, 2)
	time.Sleep(time.Minute + time.Second)
	wantKept(t, lonely, 0)
}

func newestAreKept(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server", func(c *bus.Config) { c.BufferMax = 2 }), n.Node(t, "client")
	in := collect(t, client, ">")
	for _, p := range numbers(1, 4) {
		sealed(t, server, p)
	}
	wantKept(t, server, 2)
	n.Connect(t, "client", "server")
	in.settled("3", "4")
	if len(in.gaps) != 1 || in.gaps[0].From != 1 || in.gaps[0].To != 2 || server.Stats().Dropped != 2 {
		t.Errorf("gaps %v and %d events dropped, want the first two", in.gaps, server.Stats().Dropped)
	}
}

// othersAcknowledgementEndsNothing of what is kept for a peer that is away.
func othersAcknowledgementEndsNothing(t *testing.T, n *bustest.Network) {
	server, client, other := n.Node(t, "server"), n.Node(t, "client"), n.Node(t, "other")
	in, others := collect(t, client, ">"), collect(t, other, ">")
	n.Connect(t, "client", "server")
	n.Connect(t, "other", "server")
	n.Link("client", "server").Cut()
	sealed(t, server, "1", "2")
	others.settled("1", "2")
	wantKept(t, server, 2)
	n.Link("client", "server").Heal()
	in.settled("1", "2")
	wantKept(t, server, 0)
}

func eventsGoBothWays(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	at, back := collect(t, client, "there"), collect(t, server, "back")
	n.Connect(t, "client", "server")
	send(t, server, "there", "ABC")
	at.settled("ABC")
	send(t, client, "back", "DEF")
	back.settled("DEF")
}

func peersHearEachOther(t *testing.T, n *bustest.Network) {
	hub, one, two := n.Node(t, "hub"), n.Node(t, "one"), n.Node(t, "two")
	in := collect(t, two, ">")
	n.Connect(t, "one", "hub")
	n.Connect(t, "two", "hub")
	must(t, one.WaitInterest(soon(t), "x"))
	send(t, one, "x", "ABCDEF")
	in.settled("ABCDEF")
	wantKept(t, hub, 0)
}

func endedPeerIsSentNothing(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	peer := server.Peers()[0]
	must(t, client.Close())
	send(t, server, "x", "ABCDEF")
	time.Sleep(time.Minute)
	if s, err := peer.Stats(); err != nil || s.Connected || s.SentEvents != 0 {
		t.Errorf("stats %+v, %v", s, err)
	}
	in.settled()
}

func endedPeerIsForgotten(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server", bufferTimeout), n.Node(t, "client")
	n.Connect(t, "client", "server")
	book := keepDiary(t, server)
	n.Link("client", "server").Cut() // it does not say goodbye either
	must(t, client.Close())
	time.Sleep(59 * time.Second)
	if early := book.of(bus.LifecycleForgotten); len(early) != 0 {
		t.Errorf("%v before BufferTimeout", early)
	}
	time.Sleep(2 * time.Second)
	if gone := book.of(bus.LifecycleForgotten); len(gone) != 1 || gone[0].Peer != client.ID() {
		t.Errorf("%v after BufferTimeout", gone)
	}
}

func returnedPeerIsNotForgotten(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server", bufferTimeout), n.Node(t, "client")
	collect(t, client, ">")
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	book := keepDiary(t, server)
	must(t, client.Close())
	send(t, server, "x", "missed")
	time.Sleep(30 * time.Second)
	again := n.Node(t, "client") // another run of the same node
	in := collect(t, again, ">")
	n.Connect(t, "client", "server")
	time.Sleep(time.Minute)
	in.settled("missed")
	if gone := book.of(bus.LifecycleForgotten); len(gone) != 0 || len(server.Peers()) != 1 {
		t.Errorf("%v, and %d peers", gone, len(server.Peers()))
	}
}
