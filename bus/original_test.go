package bus_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// The test-suite of the Node.js package verbose 0.2.3, held by nodes over the memory network in virtual time.
//
// What its tests do to parts of it, its streams and its table of unacknowledged messages, is here done to whole nodes by
// what a caller can see. What is different on purpose:
//
//   - the bytes: its messages are lines of JSON with an id each. Here PROTOCOL.md has the frames, and TestHostileGreetings
//     and TestHostileData hold what becomes of others;
//   - an acknowledgement names a message there, and a position in a log here. One of what was never sent ends nothing
//     there, and the connection here: TestHostileData;
//   - what a bound drops is reported as a gap, where the original says nothing: TestAbsentPeerMissesWhatTheBufferCouldNotKeep;
//   - a peer that is away is not among Peers, but still known until BufferTimeout: there it is listed until then.

// original has a row for each test of the original, in the order of its files.
var original = []struct {
	file, checks string
	holds        func(t *testing.T, n *bustest.Network)
}{
	{"node.js", "a server hears in order what a client emitted before it was connected", serverHearsTheClient},
	{"node.js", "a client hears in order what a server emits once they are connected", clientHearsTheServer},
	{"node.js", "a server hears all of its clients", serverHearsEveryClient},
	{"node.js", "what is emitted while a client is away comes when it is back, in order", absentClientCatchesUp},
	{"node.js", "a client that stays away is forgotten after bufferTimeout", absentClientIsForgotten},
	{"node.js", "every server hears a client of several", everyServerHearsTheClient},
	{"node.js", "a node does not hear its own events", nodeDoesNotHearItself},
	{"stream_emitter.js", "a server's handler gets the values a client emitted, and no more", handlerGetsTheValues("client", "server")},
	{"stream_emitter.js", "a client's handler gets the values a server emitted, and no more", handlerGetsTheValues("server", "client")},
	{"buffered_peer.js", "what is written without a connection is sent with the first", firstConnectionGetsWhatWaits},
	{"buffered_peer.js", "the accepting side writes as soon as it has a connection", acceptingSideWritesAtOnce},
	{"peer_stream.js", "both sides end their handshake", handshakeEnds},
	{"peer_stream.js", "another channel is an error that names both", channelsMustAgree},
	{"peer_stream.js", "a message is sent", messageIsSent},
	{"peer_stream.js", "a file of JSON objects can be piped to a peer", pipeTo},
	{"peer_stream.js", "what a peer sends can be piped elsewhere", pipeFrom},
	{"peer_stream.js", "what came is acknowledged, and what was acknowledged is no longer kept", acknowledgedIsNotKept},
	{"peer_stream.js", "a sender hears of the acknowledgement of its last message", senderHearsOfTheAcknowledgement},
	{"peer_stream.js", "what nobody acknowledges is kept for bufferTimeout", unacknowledgedTimesOut},
	{"peer_stream.js", "a new connection brings what the other does not have, and nothing else", onlyTheMissingIsSentAgain},
	{"peer_stream.js", "the end is told once", endIsToldOnce},
	{"peer_protocol.js", "peers tell each other who they are", peersIntroduceThemselves},
	{"peer_protocol.js", "an unresponsive peer is an error that says timeout", unresponsivePeerTimesOut},
	{"peer_protocol.js", "messages given before the handshake's end follow it in order", messagesWaitForTheHandshake},
	{"messages.js", "what was pushed is counted", keptIsCounted},
	{"messages.js", "the next is taken in order, until there is none", keptIsTakenInOrder},
	{"messages.js", "an acknowledgement ends those up to it and no later one", acknowledgementEndsTheEarlier},
	{"messages.js", "after bufferTimeout nothing is left", keptTimesOut},
	{"messages.js", "of more than bufferMax the oldest go", newestAreKept},
	{"messages.js", "an acknowledgement that matches nothing ends nothing", othersAcknowledgementEndsNothing},
	{"peer_pool.js", "events go from a node to its peer and back", eventsGoBothWays},
	{"peer_pool.js", "a peer's events go on to the other peers", peersHearEachOther},
	{"peer_pool.js", "an ended peer is sent nothing more", endedPeerIsSentNothing},
	{"peer_pool.js", "an ended peer is forgotten after bufferTimeout", endedPeerIsForgotten},
	{"peer_pool.js", "an ended peer that returned in time is not forgotten", returnedPeerIsNotForgotten},
}

func TestOriginal(t *testing.T) {
	for _, row := range original {
		t.Run(row.file+"/"+row.checks, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { row.holds(t, bustest.NewNetwork(1)) })
		})
	}
}

// mem is where a node of the memory network listens.
func mem(name string) string { return "mem://" + name + ":1" }

func bufferTimeout(c *bus.Config) { c.BufferTimeout = time.Minute }

// dial begins to connect two nodes of the network.
func dial(t *testing.T, from *bus.Node, to string) *bus.Link {
	t.Helper()
	l, err := from.Connect(mem(to))
	must(t, err)
	return l
}

// call is what one Emit says.
type call []any

func emitCalls(t *testing.T, n *bus.Node, calls ...call) {
	t.Helper()
	for _, c := range calls {
		must(t, n.Emit(soon(t), c[0].(string), c[1:]...))
	}
}

// wantCalls waits for exactly these calls, in order.
func (b *inbox) wantCalls(calls ...call) {
	b.t.Helper()
	b.until("the calls", func() bool { return len(b.events) >= len(calls) })
	synctest.Wait()
	var got []call
	for _, e := range b.events {
		var values []any
		must(b.t, json.Unmarshal(e.Payload, &values))
		got = append(got, append(call{e.Topic}, values...))
	}
	if !reflect.DeepEqual(got, calls) {
		b.t.Fatalf("events %v, want %v", got, calls)
	}
}

// settled waits for payloads, and holds that a minute later there are no others.
func (b *inbox) settled(payloads ...string) {
	b.t.Helper()
	b.want(payloads...)
	time.Sleep(time.Minute)
	b.want(payloads...)
}

func serverHearsTheClient(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, server, ">")
	n.Link("client", "server").Cut() // nobody answers yet
	dial(t, client, "server")
	calls := []call{{"event.1", "a", "b"}, {"event.2", "c", "d"}}
	emitCalls(t, client, calls...)
	n.Link("client", "server").Heal()
	in.wantCalls(calls...)
}

func clientHearsTheServer(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	n.Connect(t, "client", "server")
	calls := []call{{"message.2.1"}, {"message.2.2"}}
	emitCalls(t, server, calls...)
	in.wantCalls(calls...)
}

func serverHearsEveryClient(t *testing.T, n *bustest.Network) {
	server, one, two := n.Node(t, "server"), n.Node(t, "one"), n.Node(t, "two")
	ofOne, ofTwo := collect(t, server, "one"), collect(t, server, "two")
	n.Connect(t, "one", "server")
	n.Connect(t, "two", "server")
	for _, p := range []string{"1", "2"} {
		send(t, one, "one", p)
		send(t, two, "two", p)
	}
	ofOne.settled("1", "2")
	ofTwo.settled("1", "2")
}

func absentClientCatchesUp(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	in := collect(t, client, ">")
	l := n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	must(t, l.Close())
	send(t, server, "x", numbers(1, 3)...)
	in.settled()
	n.Connect(t, "client", "server")
	in.settled(numbers(1, 3)...)
}

func absentClientIsForgotten(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server", bufferTimeout), n.Node(t, "client")
	collect(t, client, ">")
	n.Connect(t, "client", "server")
	must(t, server.WaitInterest(soon(t), "x"))
	if p := server.Peers(); len(p) != 1 {
		t.Fatalf("%d peers, want the client", len(p))
	}
	peer := server.Peers()[0]
	must(t, client.Close())
	send(t, server, "x", "1")
	synctest.Wait()
	if s, err := peer.Stats(); err != nil || s.Connected || len(server.Peers()) != 0 {
		t.Errorf("while it is away: connected: %t, %v, and %d peers", s.Connected, err, len(server.Peers()))
	}
	time.Sleep(time.Minute + time.Second)
	if _, err := peer.Stats(); err != bus.ErrNotConnected {
		t.Errorf("after BufferTimeout: %v, want ErrNotConnected", err)
	}
	if s := server.Stats(); s.Events != 0 {
		t.Errorf("%d events are kept for nobody", s.Events)
	}
}

func everyServerHearsTheClient(t *testing.T, n *bustest.Network) {
	client := n.Node(t, "client")
	var inboxes []*inbox
	for _, name := range []string{"one", "two"} {
		inboxes = append(inboxes, collect(t, n.Node(t, name), ">"))
		dial(t, client, name)
	}
	send(t, client, "x", numbers(1, 3)...)
	for _, in := range inboxes {
		in.settled(numbers(1, 3)...)
	}
}

func nodeDoesNotHearItself(t *testing.T, n *bustest.Network) {
	server, client := n.Node(t, "server"), n.Node(t, "client")
	own, other := collect(t, client, ">"), collect(t, server, ">")
	dial(t, client, "server")
	emitCalls(t, client, call{"ABC", "a", "b"})
	other.wantCalls(call{"ABC", "a", "b"})
	own.settled()
}

// handlerGetsTheValues of one node emitted at another. The client is the one that dials.
func handlerGetsTheValues(from, to string) func(*testing.T, *bustest.Network) {
	return func(t *testing.T, n *bustest.Network) {
		nodes := map[string]*bus.Node{"server": n.Node(t, "server"), "client": n.Node(t, "client")}
		in := collect(t, nodes[to], "abc")
		n.Connect(t, "client", "server")
		emitCalls(t, nodes[from], call{"abc", "a", 7})
		in.until("the event", func() bool { return len(in.events) == 1 })
		var text, none string
		var number int
		must(t, in.events[0].Args(&text, &number))
		if text != "a" || number != 7 {
			t.Errorf("values %q and %d", text, number)
		}
		if err := in.events[0].Args(&text, &number, &none); err == nil {
			t.Errorf("a third value %q", none)
		}
	}
}
