package bus_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// view writes a topology down by names, each with its distance, next hops and neighbours:
// "node-3 2 via node-2 to node-2,node-4".
func view(t bus.Topology) string {
	names := make(map[uuid.UUID]string)
	for _, m := range t.Members {
		names[m.ID] = m.Name
	}
	list := func(ids []uuid.UUID) string {
		var text []string
		for _, id := range ids {
			text = append(text, names[id])
		}
		slices.Sort(text) // ids are in an order of their own
		return strings.Join(text, ",")
	}
	var rows []string
	for _, m := range t.Members {
		rows = append(rows, fmt.Sprintf("%s %d via %s to %s", m.Name, m.Distance, list(m.NextHops), list(m.Neighbours)))
	}
	slices.Sort(rows)
	return strings.Join(rows, "\n")
}

// awaitTopology waits until a node's view is as it should be.
func awaitTopology(t *testing.T, n *bus.Node, ok func(bus.Topology) bool) bus.Topology {
	t.Helper()
	stream := n.Lifecycle(soon(t))
	if now := n.Topology(); ok(now) {
		return now
	}
	for e := range stream {
		if e.Kind != bus.LifecycleTopology {
			continue
		}
		if now := n.Topology(); ok(now) {
			return now
		}
	}
	t.Fatalf("the topology did not come to be that; it is\n%s", view(n.Topology()))
	return bus.Topology{}
}

func wantView(t *testing.T, n *bus.Node, rows ...string) bus.Topology {
	t.Helper()
	slices.Sort(rows)
	return awaitTopology(t, n, func(now bus.Topology) bool { return view(now) == strings.Join(rows, "\n") })
}

// join links nodes of an in-memory network: "a-b b-c".
func join(t *testing.T, pairs string) (*bustest.Network, map[string]*bus.Node) {
	t.Helper()
	w, nodes := bustest.NewNetwork(1), make(map[string]*bus.Node)
	for _, pair := range strings.Fields(pairs) {
		a, b, _ := strings.Cut(pair, "-")
		for _, name := range []string{a, b} {
			if nodes[name] == nil {
				nodes[name] = w.Node(t, name)
			}
		}
		w.Connect(t, a, b)
	}
	return w, nodes
}

func ignore(context.Context, bus.Event) {}

func TestTopologyOfAChain(t *testing.T) {
	nodes := bustest.Chain(t, 4)
	sub, err := nodes[3].On("orders.>", ignore)
	must(t, err)
	must(t, sub.Ready(soon(t)))
	now := wantView(t, nodes[0],
		"node-1 0 via  to node-2",
		"node-2 1 via node-2 to node-1,node-3",
		"node-3 2 via node-2 to node-2,node-4",
		"node-4 3 via node-2 to node-3")
	if now.Self != nodes[0].ID() || now.Members[0].ID != now.Self {
		t.Errorf("self is %s, the first member %s, the node %s", now.Self, now.Members[0].ID, nodes[0].ID())
	}
	for i, m := range now.Members {
		if m.ID != nodes[i].ID() || m.Epoch != nodes[i].Origin().Epoch {
			t.Errorf("member %d is %s, run %d, not %v", i, m.ID, m.Epoch, nodes[i].Origin())
		}
		if (len(m.Paths) == 1) != (i == 1) {
			t.Errorf("%s has %d paths", m.Name, len(m.Paths))
		}
		if listens := slices.Equal(m.Patterns, []string{"orders.>"}); listens != (i == 3) {
			t.Errorf("%s listens to %q", m.Name, m.Patterns)
		}
	}

	must(t, nodes[2].Close())
	wantView(t, nodes[0], "node-1 0 via  to node-2", "node-2 1 via node-2 to node-1")
	wantView(t, nodes[3], "node-4 0 via  to ")
}

func TestTopologyOfARing(t *testing.T) {
	_, nodes := join(t, "a-b b-c c-d d-e e-a")
	wantView(t, nodes["a"],
		"a 0 via  to b,e", "b 1 via b to a,c", "e 1 via e to a,d", "c 2 via b to b,d", "d 2 via e to c,e")
	must(t, nodes["b"].Close())
	wantView(t, nodes["a"], "a 0 via  to e", "e 1 via e to a,d", "d 2 via e to c,e", "c 3 via e to d")
}

func TestTopologyOfADiamond(t *testing.T) {
	_, nodes := join(t, "a-b a-c b-d c-d d-e")
	now := wantView(t, nodes["a"],
		"a 0 via  to b,c", "b 1 via b to a,d", "c 1 via c to a,d", "d 2 via b,c to b,c,e", "e 3 via b,c to d")
	for i, m := range now.Members {
		for _, list := range [][]uuid.UUID{m.NextHops, m.Neighbours} {
			if !slices.IsSortedFunc(list, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }) {
				t.Errorf("%s: out of order: %v", m.Name, list)
			}
		}
		if i == 0 {
			continue
		}
		before := now.Members[i-1]
		if before.Distance > m.Distance || before.Distance == m.Distance && before.ID.String() > m.ID.String() {
			t.Errorf("%s comes before %s", before.Name, m.Name)
		}
	}
}

// What a caller does with a topology changes nothing for anybody else.
func TestTopologyIsTheCallersOwn(t *testing.T) {
	_, nodes := join(t, "a-b")
	sub, err := nodes["b"].On("x", ignore)
	must(t, err)
	must(t, sub.Ready(soon(t)))
	rows := []string{"a 0 via  to b", "b 1 via b to a"}
	now := wantView(t, nodes["a"], rows...)
	for _, m := range now.Members {
		clear(m.NextHops)
		clear(m.Neighbours)
		clear(m.Patterns)
	}
	again := wantView(t, nodes["a"], rows...)
	if !slices.Equal(again.Members[1].Patterns, []string{"x"}) {
		t.Errorf("b listens to %q", again.Members[1].Patterns)
	}
}

func TestTopologyOfARestartedNode(t *testing.T) {
	w, nodes := join(t, "a-b b-c")
	before := wantView(t, nodes["a"], "a 0 via  to b", "b 1 via b to a,c", "c 2 via b to b").Members[2]
	must(t, nodes["c"].Close())
	wantView(t, nodes["a"], "a 0 via  to b", "b 1 via b to a")
	w.Node(t, "c", func(c *bus.Config) { c.Name = "renamed" })
	w.Connect(t, "c", "b")
	after := wantView(t, nodes["a"], "a 0 via  to b", "b 1 via b to a,renamed", "renamed 2 via b to b").Members[2]
	if after.ID != before.ID || after.Epoch <= before.Epoch {
		t.Errorf("run %d of %s became run %d of %s", before.Epoch, before.ID, after.Epoch, after.ID)
	}
}

// A peer's connections are described as they are.
func TestTopologyPaths(t *testing.T) {
	w := newNetwork(t)
	a, b := w.node("a"), w.node("b")
	url := w.listen(b)
	w.connect(a, url)
	for _, n := range []*bus.Node{a, b} {
		now := awaitTopology(t, n, func(now bus.Topology) bool { return len(now.Members) == 2 })
		if len(now.Members[1].Paths) != 1 {
			t.Fatalf("%+v", now)
		}
		p := now.Members[1].Paths[0]
		if p.Scheme != "quic" || !p.Active || p.RTT <= 0 {
			t.Errorf("%+v", p)
		}
		ends := map[*bus.Node]net.Addr{a: p.Remote, b: p.Local}
		if got := "quic://" + ends[n].String(); got != url {
			t.Errorf("the listener's end is %s, not %s", got, url)
		}
	}
	mem, other := bustest.Pair(t)
	now := awaitTopology(t, mem, func(now bus.Topology) bool { return len(now.Members) == 2 })
	if p := now.Members[1].Paths[0]; p.Scheme != "mem" || p.RTT != 0 || p.Remote == nil {
		t.Errorf("%s: %+v", other.ID(), p)
	}
}

// However much changes while a reader does not read, one event tells it to look.
func TestLifecycleTopologyWaitsOnce(t *testing.T) {
	_, nodes := join(t, "a-b")
	life := nodes["a"].Lifecycle(soon(t))
	for i := range 5 {
		sub, err := nodes["b"].On(fmt.Sprint("x", i), ignore)
		must(t, err)
		must(t, sub.Ready(soon(t)))
	}
	awaitTopology(t, nodes["a"], func(now bus.Topology) bool { return len(now.Members[1].Patterns) == 5 })
	must(t, nodes["a"].Close())
	count := 0
	for e := range life {
		if e.Kind == bus.LifecycleTopology {
			count++
		}
	}
	if count != 1 {
		t.Errorf("it was told %d times", count)
	}
}

func TestTopologyDOT(t *testing.T) {
	a, b, c, d := uuid.UUID{15: 1}, uuid.UUID{0: 2}, uuid.UUID{0: 3}, uuid.UUID{0: 4}
	quic := bus.Path{Scheme: "quic", RTT: 1234567 * time.Nanosecond, Active: true}
	now := bus.Topology{Self: a, Members: []bus.Member{
		{ID: a, Neighbours: []uuid.UUID{b, c}},
		{ID: b, Name: "a \"b\" \\ \n\x1b[2J é \xff", Neighbours: []uuid.UUID{a, b, c, c}, Paths: []bus.Path{{Scheme: "tcp"}, quic}},
		{ID: c, Name: "c", Neighbours: []uuid.UUID{a, d}, Paths: []bus.Path{{Scheme: "mem", Active: true}}},
	}}
	want := `graph {
	node [shape=box]
	"00000000-0000-0000-0000-000000000001" [label="00000000", peripheries=2]
	"02000000-0000-0000-0000-000000000000" [label="a \"b\" \\ ..[2J é .\n02000000", peripheries=1]
	"03000000-0000-0000-0000-000000000000" [label="c\n03000000", peripheries=1]
	"00000000-0000-0000-0000-000000000001" -- "02000000-0000-0000-0000-000000000000" [label="quic 1.23ms", style=solid]
	"00000000-0000-0000-0000-000000000001" -- "03000000-0000-0000-0000-000000000000" [label="mem", style=solid]
	"02000000-0000-0000-0000-000000000000" -- "03000000-0000-0000-0000-000000000000" [label="", style=dashed]
	"03000000-0000-0000-0000-000000000000" -- "04000000-0000-0000-0000-000000000000" [label="", style=dashed]
}
`
	if got := now.DOT(); got != want {
		t.Errorf("it is\n%s", got)
	}
}
