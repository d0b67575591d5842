// Package bustest has what tests of services on the bus need: nodes that are linked in memory,
// a network between them that can be slow, silent or broken, and the suite that every transport must pass.
//
// # A first test
//
// [Pair] and [Chain] give nodes that are connected, and close them with the test:
//
//	func TestOrders(t *testing.T) {
//		shop, stock := bustest.Pair(t)
//		sub, _ := stock.Subscribe("orders.*")
//		shop.WaitInterest(t.Context(), "orders.new")
//		shop.Emit(t.Context(), "orders.new", 42)
//		for event := range sub.Events(t.Context()) { ... }
//	}
//
// # Outages
//
// A [Network] has nodes by name, and a [Link] between any two of them whose delay and faults
// change while traffic runs. Everything waits on channels and timers only, so inside testing/synctest an outage of
// an hour takes no time:
//
//	network := bustest.NewNetwork(1)
//	a, b := network.Node(t, "a"), network.Node(t, "b")
//	network.Connect(t, "a", "b")
//	network.Link("a", "b").Cut()
//
// # Transports
//
// [Network.Transport] is the transport of a node, for tests that make their nodes themselves. It
// stands for QUIC or TCP and passes [RunTransportSuite] as they do. It proves nothing: a node is who its name says.
package bustest
