package bustest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// port is where the nodes made here listen.
const port = ":1"

// Pair returns two nodes, "a" and "b" of a network of their own, that are connected and
// ready. They are closed with the test.
func Pair(t testing.TB, configure ...func(*bus.Config)) (a, b *bus.Node) {
	t.Helper()
	n := NewNetwork(1)
	a, b = n.Node(t, "a", configure...), n.Node(t, "b", configure...)
	n.Connect(t, "b", "a")
	return a, b
}

// Chain returns n nodes in a row, "node-1" to "node-n" of a network of their own, each connected to the
// next and ready. They are closed with the test.
func Chain(t testing.TB, n int, configure ...func(*bus.Config)) []*bus.Node {
	t.Helper()
	network := NewNetwork(1)
	nodes := make([]*bus.Node, n)
	for i := range nodes {
		nodes[i] = network.Node(t, fmt.Sprint("node-", i+1), configure...)
		if i > 0 {
			network.Connect(t, fmt.Sprint("node-", i+1), fmt.Sprint("node-", i))
		}
	}
	return nodes
}

// Node makes a node, which listens on name:1 and is closed with the test. Its Config has the
// name and a transport of the network; configure may change all of it, and add transports. A
// node that was closed may be made again, which is its restart.
func (n *Network) Node(t testing.TB, name string, configure ...func(*bus.Config)) *bus.Node {
	t.Helper()
	cfg := bus.Config{Name: name, Transports: []bus.Transport{n.Transport(name)}}
	for _, f := range configure {
		f(&cfg)
	}
	node, err := bus.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := node.Listen(t.Context(), scheme+"://"+name+port); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.nodes[name] = node
	n.mu.Unlock()
	return node
}

// Connect has one of the network's nodes connect to another, by their names, and returns once each has the other
// for a peer. It fails the test if that takes more than 20 s.
func (n *Network) Connect(t testing.TB, from, to string) *bus.Link {
	t.Helper()
	n.mu.Lock()
	a, b := n.nodes[from], n.nodes[to]
	n.mu.Unlock()
	if a == nil || b == nil {
		t.Fatalf("bustest: connect %s to %s: Network.Node has made no such node", from, to)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	life := b.Lifecycle(ctx)
	link, err := a.Connect(scheme + "://" + to + port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Ready(ctx); err != nil {
		t.Fatalf("bustest: connect %s to %s: %v", from, to, err)
	}
	if hasPeer(b, a) {
		return link
	}
	for e := range life {
		if e.Kind == bus.LifecyclePeerUp && e.Peer == a.ID() {
			return link
		}
	}
	t.Fatalf("bustest: connect %s to %s: %s has no such peer after 20 s", from, to, to)
	return nil
}

func hasPeer(n, other *bus.Node) bool {
	for _, p := range n.Peers() {
		if p.ID() == other.ID() {
			return true
		}
	}
	return false
}
