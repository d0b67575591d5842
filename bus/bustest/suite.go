package bustest

import (
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

// Factory makes the transports of a test.
type Factory struct {
	// New returns a transport with an identity of its own. All that one factory
	// makes trust each other. The suite closes it. Required.
	New func(t testing.TB) bus.Transport

	// Listen is the address to listen on, such as 127.0.0.1:0. Listening on it
	// several times gives several addresses. Required.
	Listen string

	// Freezing returns a transport as New does, and what stops it as the process of a node is stopped: from
	// freeze until thaw nothing that is sent to it gets an answer, and it sends nothing. Its own calls may hang as long. Both can
	// be called again, and thaw is called before the transport is closed. Nil: the rules of silent peers are skipped.
	Freezing func(t testing.TB) (tr bus.Transport, freeze, thaw func())

	// Stranger returns a transport that trusts those of New, and that they do not trust. Nil: the rule of peers that are not
	// trusted is skipped.
	Stranger func(t testing.TB) bus.Transport
}

// RunTransportSuite holds a transport to the contract of [bus.Transport], and to what the bus relies on beyond
// its text. Each rule is a subtest of its own, with transports of its own, and leaves no goroutine behind. A rule about something that the
// transport or the factory does not have is skipped, and says so.
// Run it with -race as well, and not beside parallel tests, whose goroutines it would find. A transport passes it with
//
//	func TestSuite(t *testing.T) {
//		bustest.RunTransportSuite(t, bustest.Factory{
//			New:    func(t testing.TB) bus.Transport { return mytransport.New(...) },
//			Listen: "127.0.0.1:0",
//		})
//	}
//
// The rules, and where they are more exact than the contract:
//
//   - A connection is made without the listener's Accept: Dial returns, a stream opens and a few KiB are
//     taken, and are there once Accept is called.
//   - 80 streams can be open from each side at once. Each has a bound of its own, of at most 32 MiB: a writer
//     whose reader does not read waits, and holds up no other stream. All together may share a
//     bound, of at least 512 KiB that nobody has read.
//   - What ends a stream other than the peer's CloseWrite is never io.EOF. A reset is the
//     end of its stream only, and so is no *[bus.PeerError]; its error names the code. The end of a connection with a
//     code is the same *[bus.PeerError] for every call that it ends.
//   - What fails because this side ended it is [net.ErrClosed]: a write after CloseWrite, a stream after Reset,
//     a connection after CloseWithCode.
//   - What a reset stream took of a shared bound is given back.
//   - A call that waits and is ended by its context returns the context's cause.
//   - Write keeps nothing of its argument, and its count is exact when it fails with a deadline.
//   - Where there is a [bus.TryWriter], it takes a kilobyte on a stream that has nothing else to send.
//   - Where there is a [bus.Pusher], it gives its sink all that was not read yet, and leaves it alone once it has returned. What the
//     sink leaves to be done is done, without a lock, and reading goes on when that takes long.
//   - When CloseWithCode returns, the connection's Context is done. A reason may arrive cut, not changed.
//   - The first close of a connection is the one that counts, on each side.
//   - A peer that is frozen holds up nothing of this side: deadlines, contexts, CloseWithCode and Transport.Close work as ever.
//   - A transport that is a [bus.TimeoutSetter] ends a connection whose peer is silent with [bus.CloseTimeout], and
//     keeps one on which only the two applications are.
//   - A listener never hands out a peer that it does not trust. Such a peer learns so from Dial, or as the end of its connection.
//   - Transport.Close ends connections and listeners that are still there.
func RunTransportSuite(t *testing.T, f Factory) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.try(t, f) })
	}
}

// rule is one thing that holds for every transport.
type rule struct {
	name string
	hold func(t *trial)
}

var rules = []rule{
	{"IDsOnBothSides", idsOnBothSides},
	{"WrongIDIsRefused", wrongIDIsRefused},
	{"UntrustedIsRefused", untrustedIsRefused},
	{"ManyConnections", manyConnections},
	{"DataBeforeAccept", dataBeforeAccept},
	{"CancelDial", cancelDial},
	{"CancelAccept", cancelAccept},
	{"DialToClosedAddress", dialToClosedAddress},
	{"ListenerClose", listenerClose},

	{"HalfClose", halfClose},
	{"ResetUnblocksReads", resetUnblocksReads},
	{"ResetUnblocksWrites", resetUnblocksWrites},
	{"ResetUnblocksReaderAndWriter", resetUnblocksReaderAndWriter},
	{"ResetReturnsTheWindow", resetReturnsTheWindow},
	{"ReadDeadline", readDeadline},
	{"WriteDeadline", writeDeadline},
	{"DeadlinesMove", deadlinesMove},
	{"WriteKeepsNothing", writeKeepsNothing},
	{"BackPressure", backPressure},
	{"TryWrite", tryWrite},
	{"Push", push},
	{"BlockedStreamHoldsUpNoOther", blockedStreamHoldsUpNoOther},
	{"Bulk", bulk},

	{"EightyStreams", eightyStreams},
	{"StreamsInAnyOrder", streamsInAnyOrder},
	{"CancelOpenStream", cancelOpenStream},
	{"CancelAcceptStream", cancelAcceptStream},
	{"EndedStreamMakesRoom", endedStreamMakesRoom},
	{"ConcurrentUse", concurrentUse},

	{"CloseCodesArrive", closeCodesArrive},
	{"CloseEndsTheConnection", closeEndsTheConnection},
	{"CloseTwice", closeTwice},
	{"PeerVanishes", peerVanishes},
	{"FrozenPeer", frozenPeer},
	{"FrozenPeerTimesOut", frozenPeerTimesOut},
	{"IdlePeersLive", idlePeersLive},
	{"TransportClose", transportClose},
	{"NoGoroutineLeft", noGoroutineLeft},
}
