package protocol

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// view writes a node's members down, each with its distance, next hops and neighbours: "C2:B(BD)".
func view(list []Member) string {
	letters := func(ids []uuid.UUID) (text string) {
		for _, id := range ids {
			text += string(id[15:])
		}
		return text
	}
	var text []string
	for _, x := range list {
		text = append(text, fmt.Sprintf("%s%d:%s(%s)", x.Name, x.Distance, letters(x.NextHops), letters(x.Neighbours)))
	}
	return strings.Join(text, " ")
}

// wantView lets every timeout pass, and fails the scene unless a node sees that then.
func (n *simNode) wantView(want string) {
	n.w.runFor(20 * time.Second)
	if got := view(n.m.Graph().Members()); got != want {
		n.w.failf("%s sees\n%s\nnot\n%s", n, got, want)
	}
}

func TestTopologyOfAChain(t *testing.T) {
	scene(t, func(w *world) {
		a, b, c, _, bc := chain(w, simConfig())
		a.wantView("A0:(B) B1:B(AC) C2:B(B)")
		b.wantView("B0:(AC) A1:A(B) C1:C(B)")
		patterns := a.m.Graph().Members()[2].Patterns
		w.expect(slices.Equal(patterns, []string{">"}), "%s listens to %q", c, patterns)
		bc.outage(3 * time.Second)
		w.runFor(time.Second)
		a.wantView("A0:(B) B1:B(AC) C2:B(B)") // again
		c.kill()
		a.wantView("A0:(B) B1:B(A)")
		patterns = a.m.Graph().Members()[1].Patterns
		w.expect(len(patterns) == 0, "%s listens to %q, which is owed to %s", b, patterns, c)
	})
}

func TestTopologyOfARing(t *testing.T) {
	scene(t, func(w *world) {
		var ring []*simNode
		for range 5 {
			ring = append(ring, w.addNode(simConfig()))
		}
		for i, n := range ring {
			w.link(n, ring[(i+1)%len(ring)])
		}
		ring[0].wantView("A0:(BE) B1:B(AC) E1:E(AD) C2:B(BD) D2:E(CE)")
		ring[1].kill()
		ring[0].wantView("A0:(E) E1:E(AD) D2:E(CE) C3:E(D)")
	})
}

func TestTopologyOfADiamond(t *testing.T) {
	scene(t, func(w *world) {
		a, b, c, d, e := w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig())
		for _, ends := range [][2]*simNode{{b, a}, {a, c}, {c, d}, {d, b}, {e, d}} {
			w.link(ends[0], ends[1])
		}
		a.wantView("A0:(BC) B1:B(AD) C1:C(AD) D2:BC(BCE) E3:BC(D)")
		e.wantView("E0:(D) D1:D(BCE) B2:D(AD) C2:D(AD) A3:D(BC)")
	})
}

func TestTopologyOfARestartedNode(t *testing.T) {
	scene(t, func(w *world) {
		a, _, c, _, _ := chain(w, simConfig())
		before := a.m.Graph().Members()[2]
		c.kill()
		c.cfg.Name = "renamed"
		c.boot()
		a.wantView("A0:(B) B1:B(AC) renamed2:B(B)")
		after := a.m.Graph().Members()[2]
		w.expect(after.ID == before.ID && after.Epoch > before.Epoch, "%+v became %+v", before, after)
	})
}

// Over any graph, also one whose links only one end names, the members are those that count as
// reachable, and each peer is a next hop exactly if the way over it is a shortest one.
func TestTopologyAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 8
		node := rapid.IntRange(0, most-1)
		m := New(0, Config{ID: simID(0), Lanes: 1})
		links := [most][]int{}
		links[0] = slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.IntRange(1, most-1), 0, 4, rapid.ID[int]).Draw(t, "peers")))
		for _, i := range links[0] {
			m.peerList = append(m.peerList, &peer{id: simID(i), active: &path{}})
		}
		m.peerList = append(m.peerList, &peer{id: simID(most)}) // away
		for i := 1; i < most; i++ {
			if rapid.IntRange(0, 5).Draw(t, "known") == 0 {
				continue
			}
			links[i] = slices.Sorted(slices.Values(rapid.SliceOfNDistinct(node, 0, 4, rapid.ID[int]).Draw(t, "links")))
			rec := &record{version: recordVersion{simID(i), 1, 1}}
			for _, j := range links[i] {
				rec.neighbours = append(rec.neighbours, simID(j))
			}
			m.storeRecord(rec)
		}
		members := m.Graph().Members()
		at := 0
		for i := range most {
			want := fewest(links[:], 0)[i]
			known := m.records[simID(i)] != nil
			if got := m.isReachable(simID(i)); got != (want >= 0) {
				t.Fatalf("node %d is %d links away, reachable: %t", i, want, got)
			}
			if want < 0 || !known {
				continue
			}
			at++
			k := slices.IndexFunc(members, func(x Member) bool { return x.ID == simID(i) })
			if k < 0 || members[k].Distance != want {
				t.Fatalf("node %d is %d links away, not so in %+v", i, want, members)
			}
			var hops []uuid.UUID
			for _, p := range links[0] {
				if d := fewest(links[:], p)[i]; i > 0 && m.records[simID(p)] != nil && d >= 0 && d+1 == want {
					hops = append(hops, simID(p))
				}
			}
			if !slices.Equal(members[k].NextHops, hops) {
				t.Fatalf("next hops of node %d are %v, not %v", i, members[k].NextHops, hops)
			}
		}
		if len(members) != at {
			t.Fatalf("%d members, %d can be reached", len(members), at)
		}
		if !slices.IsSortedFunc(members, func(a, b Member) int {
			return (a.Distance-b.Distance)*2 + compareIDs(a.ID, b.ID)
		}) {
			t.Fatalf("out of order: %+v", members)
		}
	})
}

// fewest is how many links each node is away from one; -1: it can't be reached.
func fewest(links [][]int, from int) []int {
	away := make([]int, len(links))
	for i := range away {
		away[i] = -1
	}
	away[from] = 0
	for range links {
		for i, ends := range links {
			for _, j := range ends {
				if away[i] >= 0 && (away[j] < 0 || away[j] > away[i]+1) {
					away[j] = away[i] + 1
				}
			}
		}
	}
	return away
}
