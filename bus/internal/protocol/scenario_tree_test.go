package protocol

import (
	"testing"
	"time"
)

// every is a delay that does not change.
func every(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// diamond is an origin, two relays, and a receiver that is connected to both. All of them listen.
func diamond(w *world, cfg Config) (o, p1, p2, r *simNode, links []*simLink) {
	o, p1, p2, r = w.addNode(cfg, ">"), w.addNode(cfg, ">"), w.addNode(cfg, ">"), w.addNode(cfg, ">")
	for _, ends := range [][2]*simNode{{p1, o}, {p2, o}, {r, p1}, {r, p2}} {
		links = append(links, w.link(ends[0], ends[1]))
	}
	w.rest(5 * time.Second)
	return o, p1, p2, r, links
}

func (n *simNode) parent(id *simNode) *simNode {
	l := n.m.logs[id.log(0)]
	if l == nil || l.parent == nil {
		return nil
	}
	for _, x := range n.w.nodes {
		if x.id == l.parent.id {
			return x
		}
	}
	return nil
}

// feeds says whether a node sends another the batches of a log.
func (n *simNode) feeds(to, origin *simNode) bool {
	c := n.m.peers[to.id].cursors[n.m.logs[origin.log(0)]]
	return c.peer.active != nil && !c.pruned && !c.inert
}

// Both parents pruned: the first batch comes from one parent first, and the second, which was on its
// way, from the other. One of them has to stay.
func TestOneOfTwoParentsStays(t *testing.T) {
	scene(t, func(w *world) {
		o, p1, p2, r, _ := diamond(w, simConfig())
		for range 60 {
			o.emit(0, 8, "a.x")
			w.runFor(w.between(0, 10*time.Millisecond))
		}
		w.rest(5 * time.Second)
		r.want(o.log(0), "1-60")
		w.expect(p1.feeds(r, o) != p2.feeds(r, o), "P1 feeds R: %v, and P2: %v", p1.feeds(r, o), p2.feeds(r, o))
		w.expect(r.parent(o).feeds(r, o), "R's parent %s does not feed it", r.parent(o))
		w.expect(w.kinds[frameGraft] == 0, "%d grafts", w.kinds[frameGraft])
	})
}

// Graft storm: on a link that is full, a child is always behind others. As long as its parent brings
// something, it stays.
func TestSaturatedChildDoesNotGraft(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.ReceiveBytes = 0
		o, p1, p2, r, links := diamond(w, cfg)
		for _, l := range links[2:] {
			l.conn.lag = every(60 * time.Millisecond)
		}
		for range 400 {
			if !o.full(0) {
				o.emit(0, 8<<10, "a.x")
			}
			w.runFor(2 * time.Millisecond)
		}
		w.rest(30 * time.Second)
		w.expect(w.kinds[frameGraft] <= 1, "%d grafts", w.kinds[frameGraft])
		w.expect(p1.feeds(r, o) != p2.feeds(r, o), "P1 feeds R: %v, and P2: %v", p1.feeds(r, o), p2.feeds(r, o))
		again := r.m.stats.Duplicates
		w.expect(again*20 <= uint64(len(r.inbox.log(o.log(0)).ranges)), "%d batches came again", again)
	})
}

// A parent is lost: the others are grafted at once, and bring what it did not.
func TestLostParentIsReplacedAtOnce(t *testing.T) {
	scene(t, func(w *world) {
		o, p1, _, r, links := diamond(w, simConfig())
		o.emitMany(30, "a.x")
		w.rest(5 * time.Second)
		lost := links[2]
		if r.parent(o) != p1 {
			lost = links[3]
		}
		lost.down = true
		lost.conn.cut()
		w.runFor(w.between(0, 150*time.Millisecond))
		o.emit(0, 8, "a.x")
		noticed := w.now
		for r.inbox.log(o.log(0)).at < 31 {
			w.runFor(time.Millisecond)
			if len(r.ends) > 1 {
				noticed = w.now
			}
			w.expect(w.now-noticed < 3*2*3*40*time.Millisecond, "nothing came for %v after the parent was gone", w.now-noticed)
		}
		o.emitMany(30, "a.x")
		w.runFor(2 * time.Second)
		r.want(o.log(0), "1-61")
		r.wantGaps(o.log(0), "")
	})
}

// A parent that is connected and brings nothing is left for one that is ahead.
func TestParentThatBringsNothingIsLeft(t *testing.T) {
	scene(t, func(w *world) {
		o, p1, p2, r, links := diamond(w, simConfig())
		o.emitMany(10, "a.x")
		w.rest(5 * time.Second)
		parent, stuck := p1, links[2]
		if r.parent(o) != p1 {
			parent, stuck = p2, links[3]
		}
		stuck.conn.ends[1].out[0].stalled = w.now + time.Hour // its batches do not come, its vectors do
		o.emit(0, 8, "a.x")
		w.runFor(3 * time.Second)
		r.want(o.log(0), "1-11")
		w.expect(r.parent(o) != parent, "R stays with %s", parent)
		o.emitMany(10, "a.x")
		w.runFor(time.Second)
		r.want(o.log(0), "1-21")
	})
}

// A link that is faster than the tree becomes part of it.
func TestFasterLinkBecomesPartOfTheTree(t *testing.T) {
	scene(t, func(w *world) {
		w.lag = every(20 * time.Millisecond)
		a, b, c := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(b, a)
		w.link(c, b)
		w.rest(5 * time.Second)
		a.emitMany(5, "a.x")
		w.rest(5 * time.Second)
		w.expect(c.parent(a) == b, "C's parent is %s", c.parent(a))
		direct := w.link(c, a)
		direct.lag = every(time.Millisecond)
		w.rest(5 * time.Second)
		for range 30 {
			a.emit(0, 8, "a.x")
			w.runFor(20 * time.Millisecond)
		}
		w.rest(5 * time.Second)
		w.expect(c.parent(a) == a, "C's parent is %s", c.parent(a))
		w.expect(!b.feeds(c, a) && !c.feeds(b, a), "B feeds C: %v; C feeds B: %v", b.feeds(c, a), c.feeds(b, a))
		c.want(a.log(0), "1-35")
	})
}

// A link that is slower does not.
func TestSlowerLinkIsPruned(t *testing.T) {
	scene(t, func(w *world) {
		w.lag = every(5 * time.Millisecond)
		a, b, c := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(b, a)
		w.link(c, b)
		w.rest(5 * time.Second)
		slow := w.link(c, a)
		slow.lag = every(50 * time.Millisecond)
		w.rest(5 * time.Second)
		before := c.m.stats.Duplicates
		for range 30 {
			a.emit(0, 8, "a.x")
			w.runFor(20 * time.Millisecond)
		}
		w.rest(5 * time.Second)
		w.expect(c.parent(a) == b && !a.feeds(c, a), "C's parent is %s; A feeds it: %v", c.parent(a), a.feeds(c, a))
		w.expect(c.m.stats.Duplicates-before <= 8, "%d batches came again", c.m.stats.Duplicates-before)
	})
}

// What a neighbour that pruned us has is let go of long before AckInterval, if it is much: or the
// emitter would wait for that.
func TestPrunedNeighbourDoesNotHoldUpTheEmitter(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.ReceiveBytes, cfg.BufferBytes, cfg.AckInterval = 0, 256<<10, 10*time.Second
		w.lag = every(time.Millisecond)
		o, _, _, r, _ := diamond(w, cfg)
		ready := w.now
		for o.m.own[0].have < 200 {
			if !o.full(0) {
				o.emit(0, 8<<10, "a.x")
			}
			w.runFor(100 * time.Microsecond)
		}
		w.expect(w.now-ready < 3*time.Second, "200 batches took %v", w.now-ready)
		w.rest(40 * time.Second)
		r.want(o.log(0), "1-200")
	})
}

// A peer that says it has more than it gives is asked in vain, and not again at once; those who have
// it are asked, too.
func TestWhoClaimsAndDoesNotGiveIsLeft(t *testing.T) {
	scene(t, func(w *world) {
		o, p1, _, r, links := diamond(w, simConfig())
		o.emitMany(10, "a.x")
		w.rest(5 * time.Second)
		honest, stuck := links[3], links[2]
		if r.parent(o) != p1 {
			honest, stuck = links[2], links[3]
		}
		stuck.conn.ends[1].out[0].stalled = w.now + time.Hour
		honest.conn.ends[1].out[0].stalled = w.now + 3*time.Second // it gives later
		o.emit(0, 8, "a.x")
		w.runFor(20 * time.Second)
		r.want(o.log(0), "1-11")
		w.expect(w.kinds[frameGraft] < 12, "%d grafts", w.kinds[frameGraft])
	})
}

// A prune may meet a run that was begun since. It is not meant.
func TestPruneOfAnEarlierRunIsIgnored(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		l := a.m.own[0]
		c := a.m.peers[b.id].cursors[l]
		p := c.peer.active
		w.expect(c.started, "there is no run")
		body := prune{l, c.run - 1}.append(nil)
		w.expect(a.m.handlePrune(p, body) == nil && !c.pruned, "an earlier run's prune ended this one")
		body = prune{l, c.run}.append(nil)
		w.expect(a.m.handlePrune(p, body) == nil && c.pruned, "the prune of this run did not end it")
	})
}

// An idle neighbour that was pruned before it had anything must go on sending when it is grafted, though
// it is behind.
func TestGraftOfOneWhoIsBehindCounts(t *testing.T) {
	played := 0
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.AckInterval = 3 * time.Second
		o, p1, p2, r, links := diamond(w, cfg)
		for range 10 {
			o.emit(0, 8, "a.x")
			w.runFor(50 * time.Millisecond) // the relays hear of each from its origin first
		}
		w.rest(10 * time.Second)
		parent, other, lost, late := p1, p2, links[2], links[1]
		if r.parent(o) != p1 {
			parent, other, lost, late = p2, p1, links[3], links[0]
		}
		if other.parent(o) != o { // R feeds it
			return
		}
		played++
		late.conn.stall(1, time.Second) // the other relay gets nothing for a while
		o.emit(0, 8, "a.x")
		w.runFor(100 * time.Millisecond) // it has not noticed yet, and taken no other parent
		r.want(o.log(0), "1-11")
		w.expect(other.m.logs[o.log(0)].have == 10, "%s is not behind", other)
		lost.down = true
		lost.conn.cut()
		o.emit(0, 8, "a.x")
		w.runFor(time.Second)
		r.want(o.log(0), "1-12")
		w.expect(other.feeds(r, o), "%s does not feed R after %s was lost", other, parent)
	})
	if played < 10 {
		t.Errorf("played with %d trees alone", played)
	}
}

// ringOf is nodes in a ring that all want everything.
func ringOf(w *world, cfg Config, count int) (nodes []*simNode) {
	for range count {
		nodes = append(nodes, w.addNode(cfg, ">"))
	}
	for i, n := range nodes {
		w.link(n, nodes[(i+1)%count])
	}
	w.rest(10 * time.Second)
	return nodes
}

// The store-and-forward deadlock: in a ring where everyone sends to everyone, each node is full of what
// the next has no room for, when all that it holds shares one account. Credit is per log, so here the
// room of a log is its own.
func TestFullRingDoesNotLock(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.ReceiveBytes = 0
		nodes := ringOf(w, cfg, 6)
		const batches = 60
		for _, n := range nodes {
			for range batches {
				n.emit(0, 12<<10, "a.x")
			}
		}
		w.settle(60 * time.Second)
		for _, n := range nodes {
			for _, x := range nodes {
				if x != n {
					n.want(x.log(0), "1-60")
				}
			}
		}
	})
}

// In a ring, interest that has ended must not be kept alive by each node believing the next.
func TestInterestEndsInARing(t *testing.T) {
	scene(t, func(w *world) {
		nodes := ringOf(w, simConfig(), 5)
		for _, n := range nodes {
			n.patterns = nil
			n.m.SetPatterns(w.now, nil)
			n.pump()
		}
		w.rest(5 * time.Second)
		before := w.kinds[frameBatch]
		for _, n := range nodes {
			n.emitMany(20, "a.x")
		}
		w.rest(5 * time.Second)
		w.expect(w.kinds[frameBatch] == before, "%d batches that nobody wants", w.kinds[frameBatch]-before)
		for _, n := range nodes {
			w.expect(!n.m.Heard("a.x") && n.m.stats.Unheard == 20, "%s: %d unheard", n, n.m.stats.Unheard)
		}
	})
}

// A link of a ring is cut, then it heals and the next is cut: each time the trees that led over it turn
// round, and nobody waits for word that others are ahead.
func TestTreesTurnRoundInARing(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.AckInterval = 5 * time.Second
		nodes := ringOf(w, cfg, 5)
		emitAll := func() {
			for _, n := range nodes {
				n.emit(0, 8, "a.x")
			}
		}
		complete := func() bool {
			for _, n := range nodes {
				for _, x := range nodes {
					if x != n && n.inbox.log(x.log(0)).at < x.m.own[0].have {
						return false
					}
				}
			}
			return true
		}
		for range 10 {
			emitAll()
			w.runFor(100 * time.Millisecond)
		}
		for _, l := range w.links {
			l.down = true
			l.conn.cut()
			w.runFor(200 * time.Millisecond)
			emitAll()
			for began := w.now; !complete(); w.runFor(10 * time.Millisecond) {
				w.expect(w.now-began < time.Second, "not everyone has everything")
			}
			l.down = false
			w.runFor(4 * time.Second)
			emitAll()
			w.runFor(time.Second)
		}
	})
}
