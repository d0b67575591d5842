package bustest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

func TestPairIsReady(t *testing.T) {
	a, b := bustest.Pair(t, func(c *bus.Config) { c.Name += ".test" })
	for _, side := range []struct {
		node, peer *bus.Node
		name       string
	}{{a, b, "b.test"}, {b, a, "a.test"}} {
		peers := side.node.Peers()
		if len(peers) != 1 || peers[0].ID() != side.peer.ID() {
			t.Fatalf("%d peers, want the other", len(peers))
		}
		if stats, err := peers[0].Stats(); err != nil || stats.Name != side.name {
			t.Errorf("the peer is called %q, %v, want %q", stats.Name, err, side.name)
		}
	}
}

func TestChainIsReady(t *testing.T) {
	nodes := bustest.Chain(t, 5)
	for i, n := range nodes {
		want := 2
		if i == 0 || i == len(nodes)-1 {
			want = 1
		}
		if got := len(n.Peers()); got != want {
			t.Errorf("node %d has %d peers, want %d", i+1, got, want)
		}
	}
	if nodes := bustest.Chain(t, 0); len(nodes) != 0 {
		t.Errorf("a chain of none has %d", len(nodes))
	}
}

// TestRestart closes a node and makes it again: it is the same one, at the same address.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		a, b := network.Node(t, "a"), network.Node(t, "b")
		network.Connect(t, "a", "b")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		again := network.Node(t, "b")
		if again.ID() != b.ID() {
			t.Errorf("the restarted node is %s, want %s", again.ID(), b.ID())
		}
		got := make(chan uint64, 10)
		if _, err := again.On("tick", func(_ context.Context, e bus.Event) { got <- e.Seq }); err != nil {
			t.Fatal(err)
		}
		if err := a.WaitInterest(t.Context(), "tick"); err != nil {
			t.Fatal(err)
		}
		if err := a.Emit(t.Context(), "tick"); err != nil {
			t.Fatal(err)
		}
		<-got
	})
}

// TestSilentPeerIsGivenUp stalls a link for longer than Config.Timeout, an hour of it.
func TestSilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		timeout := func(c *bus.Config) { c.Timeout, c.BufferTimeout = time.Minute, 3*time.Hour }
		a, b := network.Node(t, "a", timeout), network.Node(t, "b", timeout)
		network.Connect(t, "a", "b")
		got := make(chan string, 10)
		if _, err := b.On(">", func(_ context.Context, e bus.Event) { got <- string(e.Payload) }); err != nil {
			t.Fatal(err)
		}
		if err := a.WaitInterest(t.Context(), "news"); err != nil {
			t.Fatal(err)
		}
		for _, link := range []*bustest.Link{network.Link("a", "b").OneWay(), network.Link("b", "a").OneWay(), network.Link("a", "b")} {
			link.Stall()
			if err := a.EmitBytes(t.Context(), "news", []byte("while it stalls")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			if len(a.Peers())+len(b.Peers()) != 0 {
				t.Errorf("after 2 minutes of silence there are %d and %d peers", len(a.Peers()), len(b.Peers()))
			}
			time.Sleep(time.Hour)
			link.Resume()
			if text := <-got; text != "while it stalls" {
				t.Errorf("got %q", text)
			}
			synctest.Wait()
		}
	})
}

func TestConnectNeedsNodes(t *testing.T) {
	e := &example{ctx: t.Context()}
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "no such node") {
			t.Errorf("Connect failed with %q", text)
		}
	}()
	bustest.NewNetwork(1).Connect(e, "a", "b")
}
