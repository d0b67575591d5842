package protocol

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

var (
	scaleMost  = flag.Int("nodes", 30, "nodes of the largest networks in the table of costs: 10, 30, 100 or 1000")
	scaleShape = flag.String("graph", "", "the only graph in the table of costs")
)

// What each chunk of bytes takes over a link, half of a round trip: once the network is up, and until then.
const (
	scaleLag = 10 * time.Millisecond
	joinLag  = time.Millisecond
)

// shape is a family of graphs: the links that join a number of nodes.
type shape struct {
	name  string
	most  int // nodes
	links func(w *world, n int) [][2]int
}

var shapes = []shape{
	{"chain", 1000, func(_ *world, n int) [][2]int { return chainOf(0, n) }},
	{"star", 1000, func(_ *world, n int) (links [][2]int) {
		for i := 1; i < n; i++ {
			links = append(links, [2]int{i, 0})
		}
		return links
	}},
	{"ring", 1000, func(_ *world, n int) [][2]int { return append(chainOf(0, n), [2]int{0, n - 1}) }},
	{"diamonds", 1000, func(_ *world, n int) (links [][2]int) {
		for i := 0; i+3 < n; i += 3 { // a node, two beside each other, and the next
			links = append(links, [2]int{i + 1, i}, [2]int{i + 2, i}, [2]int{i + 3, i + 1}, [2]int{i + 3, i + 2})
		}
		return append(links, chainOf(n-1-(n-1)%3, n)...)
	}},
	{"mesh", 100, func(_ *world, n int) [][2]int { return meshOf(0, n) }},
	{"grid", 1000, func(_ *world, n int) (links [][2]int) {
		wide := 1
		for wide*wide < n {
			wide++
		}
		for i := range n {
			if i%wide > 0 {
				links = append(links, [2]int{i, i - 1})
			}
			if i >= wide {
				links = append(links, [2]int{i, i - wide})
			}
		}
		return links
	}},
	{"random", 1000, func(w *world, n int) (links [][2]int) { // a tree and as many links again: degree 4
		for i := 1; i < n; i++ {
			links = append(links, [2]int{i, w.rng.IntN(i)})
		}
		for len(links) < 2*n && len(links) < n*(n-1)/2 {
			a, b := w.rng.IntN(n), w.rng.IntN(n)
			if a != b && !slices.Contains(links, [2]int{a, b}) && !slices.Contains(links, [2]int{b, a}) {
				links = append(links, [2]int{a, b})
			}
		}
		return links
	}},
	{"two meshes, one link", 100, func(_ *world, n int) [][2]int {
		return append(append(meshOf(0, n/2), meshOf(n/2, n)...), [2]int{0, n - 1})
	}},
	{"two meshes, two links", 100, func(_ *world, n int) [][2]int {
		return append(append(meshOf(0, n/2), meshOf(n/2, n)...), [2]int{0, n - 1}, [2]int{1, n - 2})
	}},
}

func chainOf(from, to int) (links [][2]int) {
	for i := from + 1; i < to; i++ {
		links = append(links, [2]int{i, i - 1})
	}
	return links
}

func meshOf(from, to int) (links [][2]int) {
	for i := from; i < to; i++ {
		for j := from; j < i; j++ {
			links = append(links, [2]int{i, j})
		}
	}
	return links
}

// cost is what was measured of one graph. Frames and bytes are those of all kinds on all links, without
// the streams that carry them.
type cost struct {
	shape                  string
	nodes, links           int
	payloads               float64 // transmissions of a batch, for each node that it reached
	frames, bytes          float64 // the same
	batch                  int     // bytes of a batch
	join                   float64 // frames until the network knew of itself, for each node and link
	failover, confirm, far float64 // in round trips; far: the distance that interest had to go
	edits                  int     // PRUNE and GRAFT frames that the lost link cost
}

// newScale brings up a graph whose nodes listen to a.>, with one lag for all links: a short one first, for
// what a node says of each of its links as they come up is most of the work of a large network.
func newScale(g shape, n int) *world {
	w := newWorld(uint64(n))
	w.large = true
	lag := joinLag
	w.lag = func() time.Duration { return lag }
	for range n {
		cfg := simConfig()
		cfg.MaxPeers, cfg.MaxOrigins = n+1, 2*n
		w.addNode(cfg, "a.>")
	}
	for _, l := range g.links(w, n) {
		w.link(w.nodes[l[0]], w.nodes[l[1]])
	}
	w.await(5*time.Minute, "everyone to know of everyone", func(x *simNode) bool {
		return len(x.m.records) == n && x.m.Confirmed() == x.m.patternsVersion
	})
	lag = scaleLag
	return w
}

// await lets time pass until something holds of every node.
func (w *world) await(limit time.Duration, what string, holds func(*simNode) bool) (took time.Duration) {
	began, at := w.now, 0
	for {
		for at < len(w.nodes) && holds(w.nodes[at]) {
			at++
		}
		if at == len(w.nodes) {
			return w.now - began
		}
		if w.now-began > limit {
			w.failf("%s waits for %s", w.nodes[at], what)
		}
		w.runFor(scaleLag / 10)
	}
}

// rounds has some nodes emit in turn, and waits until all that was emitted is everywhere.
func (w *world) rounds(origins []*simNode, count int) {
	for range count {
		for _, n := range origins {
			n.emit(0, 100, "a.x")
		}
		w.runFor(5 * scaleLag)
	}
	w.await(time.Minute, "what was emitted", func(x *simNode) bool { return x.has(origins) })
}

// has says whether a node was delivered everything, once and in order, which its inbox holds.
func (n *simNode) has(origins []*simNode) bool {
	for _, o := range origins {
		r := n.inbox.logs[o.log(0)]
		if o == n || o.m.own[0].have == 0 {
			continue
		}
		if r == nil || r.at < o.m.own[0].have {
			return false
		}
		if len(r.ranges) != len(n.w.book.logs[o.log(0)].batches) || len(r.gaps) > 0 {
			n.w.failf("%s: %d ranges and gaps %v of %s's %d batches", n, len(r.ranges), r.gaps, o, len(n.w.book.logs[o.log(0)].batches))
		}
	}
	return true
}

// measure puts a graph through all that is asked of it.
func measure(g shape, n int) (c cost) {
	w := newScale(g, n)
	c = cost{shape: g.name, nodes: n, links: len(w.links)}
	c.join = float64(w.frames) / float64(n*len(w.links))
	var origins []*simNode
	for i := range min(n, 10) {
		origins = append(origins, w.nodes[i*n/min(n, 10)])
	}
	w.rounds(origins, 10) // trees grow
	w.runFor(time.Second)
	w.steady(&c, origins)
	w.failover(&c, origins)
	w.confirm(&c)
	w.unsubscribe(origins)
	return c
}

// steady is what events cost once the trees have grown.
func (w *world) steady(c *cost, origins []*simNode) {
	const count = 20
	payloads, frames, bytes := w.kinds[frameBatch], w.frames, w.bytes
	w.rounds(origins, count)
	w.runFor(time.Second) // acknowledgements
	taken := float64(count * len(origins) * (len(w.nodes) - 1))
	c.payloads = float64(w.kinds[frameBatch]-payloads) / taken
	c.frames = float64(w.frames-frames) / taken
	c.bytes = float64(w.bytes-bytes) / taken
	b := w.book.logs[origins[0].log(0)].batches
	c.batch = len(b[len(b)-1].Bytes())
	if c.payloads > 1.02 {
		w.failf("%.3f transmissions of a batch for each node", c.payloads)
	}
}

// failover cuts a link that is part of a tree, where the graph has another way, and takes the time until
// the next event is everywhere.
func (w *world) failover(c *cost, origins []*simNode) {
	o := origins[len(origins)-1]
	for _, l := range w.links {
		if l.from.above(o) != l.to && l.to.above(o) != l.from || w.isBridge(l) {
			continue
		}
		edits, most := w.edits(), 2*w.cutOff(l, origins)
		l.down = true
		for _, e := range l.conn.ends {
			e.lost(CodeTimeout, "cut")
		}
		o.emit(0, 100, "a.x")
		took := w.await(time.Minute, "the event after a link was lost", func(x *simNode) bool { return x.has(origins) })
		c.failover = float64(took) / float64(2*scaleLag)
		w.rounds(origins, 5)
		if c.edits = w.edits() - edits; c.edits > most {
			w.failf("%d PRUNE and GRAFT frames for a lost link, at most %d expected", c.edits, most)
		}
		l.down = false
		return
	}
}

// cutOff counts the links of all nodes that a link brings batches to, directly or through others, for each
// log: these trees may have to grow again.
func (w *world) cutOff(l *simLink, origins []*simNode) (links int) {
	for _, o := range origins {
		for _, n := range w.nodes {
			for x, left := n, len(w.nodes); x != nil && x != o && left > 0; left-- {
				up := x.above(o)
				if x == l.from && up == l.to || x == l.to && up == l.from {
					links += len(n.ends)
					break
				}
				x = up
			}
		}
	}
	return links
}

// above is the parent of a node in the tree of another, or nil.
func (n *simNode) above(o *simNode) *simNode {
	l := n.m.logs[o.log(0)]
	if l == nil || l.parent == nil {
		return nil
	}
	return n.w.nodes[binary.BigEndian.Uint64(l.parent.id[:])-1]
}

func (w *world) edits() int { return w.kinds[framePrune] + w.kinds[frameGraft] }

// isBridge says whether a graph falls apart without a link.
func (w *world) isBridge(without *simLink) bool {
	return len(w.distances(without.from, without)) < len(w.nodes)
}

// distances is how far each node is from one, in links.
func (w *world) distances(from *simNode, without *simLink) map[*simNode]int {
	beside := map[*simNode][]*simNode{}
	for _, l := range w.links {
		if l != without {
			beside[l.from] = append(beside[l.from], l.to)
			beside[l.to] = append(beside[l.to], l.from)
		}
	}
	away := map[*simNode]int{from: 0}
	for list := []*simNode{from}; len(list) > 0; list = list[1:] {
		for _, x := range beside[list[0]] {
			if _, ok := away[x]; !ok {
				away[x] = away[list[0]] + 1
				list = append(list, x)
			}
		}
	}
	return away
}

// confirm takes the time until a new subscription is confirmed.
func (w *world) confirm(c *cost) {
	n := w.nodes[0]
	for _, d := range w.distances(n, nil) {
		c.far = max(c.far, float64(d))
	}
	w.runFor(3 * time.Second) // the link that was cut is back
	n.patterns = append(n.patterns, "b.x")
	v := n.m.SetPatterns(w.now, n.patterns)
	n.pump()
	took := w.await(time.Minute, "its interest", func(x *simNode) bool { return x != n || n.m.Confirmed() == v })
	c.confirm = float64(took) / float64(2*scaleLag)
	if c.confirm > c.far+1 {
		w.failf("interest was confirmed after %.1f round trips, over %.0f links", c.confirm, c.far)
	}
	for _, x := range w.nodes {
		if x != n && !x.m.Heard("b.x") {
			w.failf("%s does not know of interest that is confirmed", x)
		}
	}
}

// unsubscribe ends all interest: no batch goes anywhere, and nobody believes that someone listens.
func (w *world) unsubscribe(origins []*simNode) {
	for _, n := range w.nodes {
		n.patterns = nil
		n.m.SetPatterns(w.now, nil)
		n.pump()
	}
	w.await(time.Minute, "everyone to know that nobody listens", func(x *simNode) bool { return !x.m.Heard("a.x") && !x.m.Heard("b.x") })
	w.runFor(time.Second)
	before := w.kinds[frameBatch]
	for _, n := range origins {
		n.emit(0, 100, "a.x")
	}
	w.runFor(time.Second)
	if sent := w.kinds[frameBatch] - before; sent > 0 {
		w.failf("%d batches that nobody wants", sent)
	}
}

func tryMeasure(t *testing.T, g shape, n int) (c cost, ok bool) {
	t.Helper()
	began := time.Now()
	defer func() {
		if p, failed := recover().(simFailure); failed {
			t.Errorf("%s of %d: %s", g.name, n, p.text)
		}
	}()
	c = measure(g, n)
	t.Logf("%s of %d: %+v (%v)", g.name, n, c, time.Since(began).Round(time.Millisecond))
	return c, true
}

// Every graph does what it promises: a batch goes over as many links as there are others, and is delivered
// once; a lost link costs neither an event nor many frames; interest comes and goes.
func TestScale(t *testing.T) {
	for _, g := range shapes {
		for _, n := range []int{10, 25} {
			tryMeasure(t, g, n)
		}
	}
}

// The same as a table in Markdown, of networks up to as many nodes as the flag says: each doubling takes
// four times as long, and eight times in a mesh.
func TestCostTableLong(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for the table of costs, and -nodes and -graph for larger networks")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a thousand nodes know a million records, for good
	fmt.Println("| graph | nodes | links | transmissions / optimum | frames per event and node | bytes per event and node (batch) | failover, RTT | interest confirmed, RTT (distance) | PRUNE+GRAFT for a lost link | frames of a join per node and link |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, n := range []int{10, 30, 100, 1000} {
		for _, g := range shapes {
			if n > g.most || n > *scaleMost || *scaleShape != "" && *scaleShape != g.name {
				continue
			}
			if c, ok := tryMeasure(t, g, n); ok {
				fmt.Println(c.row())
			}
		}
	}
}

func (c cost) row() string {
	failover := "no other way"
	if c.failover > 0 {
		failover = fmt.Sprintf("%.1f", c.failover)
	}
	return fmt.Sprintf("| %s | %d | %d | %.3f | %.2f | %.0f (%d) | %s | %.1f (%.0f) | %d | %.1f |",
		c.shape, c.nodes, c.links, c.payloads, c.frames, c.bytes, c.batch, failover, c.confirm, c.far, c.edits, c.join)
}
