package protocol

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

// book is the truth: every batch of every log, as its origin sealed it.
type book struct {
	logs  map[codec.LogID]*bookLog
	order []codec.LogID
}

type bookLog struct {
	batches []*codec.Batch
	met     []map[*simNode]bool // whom the origin had come to know when it emitted each
	wanted  []map[*simNode]bool // whose interest for a while it knew of
	dead    bool                // its origin was killed
}

func newBook() *book { return &book{logs: map[codec.LogID]*bookLog{}} }

func (l *bookLog) find(first uint64) *codec.Batch {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].First >= first })
	if i == len(l.batches) || l.batches[i].First != first {
		return nil
	}
	return l.batches[i]
}

// inbox is what one run of a node was handed.
type inbox struct {
	logs map[codec.LogID]*received
}

type received struct {
	at       uint64          // the end of the newest
	got      map[uint64]bool // delivered batches, by their end
	held     map[uint64]int  // how many consumers still hold what ends there
	released map[uint64]bool
	ranges   []span // delivered, in order
	gaps     []span
	bytes    int64

	edge       int64  // of the credit announced so far
	have, done uint64 // announced so far
}

func newInbox() *inbox { return &inbox{logs: map[codec.LogID]*received{}} }

func (in *inbox) log(id codec.LogID) *received {
	r := in.logs[id]
	if r == nil {
		r = &received{got: map[uint64]bool{}, held: map[uint64]int{}, released: map[uint64]bool{}}
		in.logs[id] = r
	}
	return r
}

// deliver holds a delivery to the truth: once, in order, and what the origin sealed.
func (in *inbox) deliver(n *simNode, e Event) {
	w, r := n.w, in.log(e.Log)
	truth := w.book.logs[e.Log].find(e.First)
	switch {
	case e.First <= r.at:
		w.failf("%s: %d–%d of %v delivered after %d", n, e.First, e.Last, e.Log, r.at)
	case truth == nil || !bytes.Equal(truth.Bytes(), e.Batch.Bytes()) || e.Last != truth.Last():
		w.failf("%s: %d–%d of %v was never emitted like this", n, e.First, e.Last, e.Log)
	case e.Log.Node == n.id:
		w.failf("%s: its own %d–%d came back", n, e.First, e.Last)
	}
	w.trace("%s: gets %d–%d of %v", n, e.First, e.Last, e.Log)
	r.at = e.Last
	r.got[e.Last] = true
	r.ranges = append(r.ranges, span{first: e.First, last: e.Last})
	r.bytes += int64(len(e.Batch.Bytes()))
}

func (in *inbox) gap(n *simNode, e Event) {
	r := in.log(e.Log)
	if e.First <= r.at || e.Last < e.First {
		n.w.failf("%s: gap %d–%d of %v after %d", n, e.First, e.Last, e.Log, r.at)
	}
	r.at = e.Last
	r.gaps = append(r.gaps, span{e.First, e.Last, e.Reason})
	if e.Reason != ReasonExpired && e.Reason != ReasonTooLarge && n.w.now > n.w.unrest+time.Second {
		n.checkAvoidable(e)
	}
}

// checkAvoidable expects that nobody in reach has what was declared missing, once the network was calm for a
// while.
func (n *simNode) checkAvoidable(e Event) {
	for _, b := range n.w.book.logs[e.Log].batches {
		if b.First < e.First || b.Last() > e.Last || !matches(n.patterns, b) {
			continue
		}
		for _, x := range n.reachable() {
			if l := x.m.logs[e.Log]; l != nil && l.base < b.First && b.Last() <= l.have && l.at(b.First-1).kind == entryBatch {
				n.w.failf("%s: declared %d–%d of %v missing, and %s has %d–%d", n, e.First, e.Last, e.Log, x, b.First, b.Last())
			}
		}
	}
}

// reachable is the nodes that a walk over connected peers leads to.
func (n *simNode) reachable() (list []*simNode) {
	list = []*simNode{n}
	for i := 0; i < len(list); i++ {
		for _, x := range n.w.nodes {
			if x.m == nil || slices.Contains(list, x) {
				continue
			}
			if a, b := list[i].m.peers[x.id], x.m.peers[list[i].id]; a != nil && b != nil && a.active != nil && b.active != nil {
				list = append(list, x)
			}
		}
	}
	return list[1:]
}

// released notes that one consumer is done with a batch or a gap.
func (in *inbox) released(t handled) {
	r := in.log(t.log)
	if r.held[t.last]--; r.held[t.last] == 0 {
		delete(r.held, t.last)
		r.released[t.last] = true
	}
}

// missing says whether a batch was neither delivered nor reported.
func (r *received) missing(b *codec.Batch) bool {
	if r.got[b.Last()] {
		return false
	}
	for _, g := range r.gaps {
		if g.first <= b.First && b.Last() <= g.last {
			return false
		}
	}
	return true
}

func (in *inbox) gapCount() (n int) {
	for _, r := range in.logs {
		n += len(r.gaps)
	}
	return n
}

func matches(patterns []string, b *codec.Batch) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(b.Topics, func(t codec.TopicCount) bool { return topic.Match(p, t.Name) })
	})
}

// checkComplete holds every receiver to the promise: what it listened for from the
// beginning on was delivered or reported. A run after a restart has to make up
// for what the runs before it were not done with.
func (w *world) checkComplete() {
	for _, n := range w.nodes {
		for _, id := range w.book.order {
			if id.Node != n.id {
				w.checkLog(n, id)
			}
		}
	}
}

func (w *world) checkLog(n *simNode, id codec.LogID) {
	truth := w.book.logs[id]
	r := n.inbox.log(id)
	for i, b := range truth.batches {
		if !truth.met[i][n] || !matches(n.patterns, b) && !truth.wanted[i][n] || !r.missing(b) {
			continue
		}
		var begin, have uint64
		if l := n.m.logs[id]; l != nil {
			begin, have = l.begin, l.have
		}
		switch {
		case truth.dead && b.First > r.at: // its end died with the origin
		case n.handledBefore(b): // by an earlier run
		case len(n.before) > 0 && w.killed() > 1: // who knew what the run before it had done may be gone
		case len(n.before) > 0 && w.moved: // it may have met one first who did not know it
		default:
			w.failf("%s: %d–%d of %v was neither delivered nor reported; its log is %d–%d", n, b.First, b.Last(), id, begin, have)
		}
	}
}

func (n *simNode) handledBefore(b *codec.Batch) bool {
	return slices.ContainsFunc(n.before, func(in *inbox) bool {
		r := in.log(b.Log)
		return r.released[b.Last()] || r.missing(b) == false && !r.got[b.Last()]
	})
}

// killed is how many nodes had to start again.
func (w *world) killed() (n int) {
	for _, x := range w.nodes {
		n += min(1, len(x.before))
	}
	return n
}

// settled says what keeps the network from being at rest: everything done and
// forgotten, and everyone knowing of everyone.
func (w *world) settled() (why string) {
	for _, n := range w.nodes {
		if n.m == nil {
			return n.name + " is down"
		}
		for _, l := range n.m.logList {
			if l.entries.len() > 0 && (n.m.reborn.index == 0 || l.needed()) {
				return fmt.Sprintf("%s holds %d–%d of %v: %s", n, l.base+1, l.have, l.id, holders(n.m, l))
			}
		}
		if n.m.Confirmed() != n.m.patternsVersion {
			return n.name + " is not confirmed: " + w.awaiting(n)
		}
		for lane := range n.cfg.Lanes {
			if _, done := n.m.DoneAt(uint8(lane), n.m.own[lane].have); !done {
				return n.name + " waits for receipts"
			}
		}
		if len(n.m.Pending(w.now, 0)) > 0 {
			return n.name + " has something pending"
		}
	}
	return w.interestAgrees()
}

// needed says whether someone is not done with a log.
func (l *log) needed() bool {
	return l.done < l.have || slices.ContainsFunc(l.cursors, func(c *cursor) bool { return c.clear() < l.have })
}

// awaiting tells who has not answered a node's record, or one on its way back.
func (w *world) awaiting(n *simNode) (text string) {
	for _, x := range w.nodes {
		if x.m == nil || x.m.records[n.id] == nil {
			continue
		}
		r := x.m.records[n.id]
		for q := range r.awaiting {
			text += fmt.Sprintf(" %s awaits %s for version %d;", x, q.name, r.version.version)
		}
	}
	return text
}

// interestAgrees compares what each node believes of the others with what they want.
func (w *world) interestAgrees() (why string) {
	for _, n := range w.nodes {
		for _, other := range w.nodes {
			rec := n.m.records[other.id]
			if rec == nil || rec.version != other.m.self.version {
				return n.name + " has no current record of " + other.name
			}
		}
		for _, t := range simTopics {
			heard := false
			for _, other := range w.nodes {
				heard = heard || other != n && slices.ContainsFunc(other.m.patterns, func(p string) bool { return topic.Match(p, t) })
			}
			if n.m.Heard(t) != heard {
				return n.name + " is wrong about " + t
			}
		}
	}
	return ""
}

func sortedPaths[V any](m map[PathID]V) []PathID { return slices.Sorted(maps.Keys(m)) }

var simTopics = []string{"a.x", "a.y", "b.x", "b.y", "c.x", "c.y.z"}

// simLargest is above the size of any batch that is emitted.
const simLargest = 50 << 10

// checkBounds holds a machine to its limits after every step.
func (n *simNode) checkBounds() {
	m := n.m
	for _, l := range m.logList {
		if m.over(l) && l.entries.len() > 1 && l.entries.at(0).last <= l.live {
			n.w.failf("%s: log %v keeps %d events, %d bytes that nobody holds by right", n, l.id, l.events, l.bytes)
		}
		if !l.own && l.received > l.edge+simLargest {
			n.w.failf("%s: log %v: %d bytes received, %d allowed", n, l.id, l.received, l.edge)
		}
	}
}

// checkTrees holds a network at rest to its trees: after some batches have pruned what is not needed,
// each crosses as many links as there are nodes that take it.
func (w *world) checkTrees() {
	taken := func() (count int) {
		for _, n := range w.nodes {
			for _, r := range n.inbox.logs {
				count += len(r.ranges)
			}
		}
		return count
	}
	// A tree belongs to an origin: those of some tell as much as all of them, which would take the square of the nodes.
	origins := slices.Clone(w.nodes)
	if most := 6; len(origins) > most {
		w.rng.Shuffle(len(origins), func(i, j int) { origins[i], origins[j] = origins[j], origins[i] })
		origins = origins[:most]
	}
	const passes = 8
	for pass := range passes {
		frames, fresh := w.kinds[frameBatch], taken()
		for i := range 4 * len(simTopics) {
			for _, n := range origins {
				n.emit(0, 8, simTopics[i%len(simTopics)])
			}
			w.runFor(w.between(0, 100*time.Millisecond))
		}
		w.settle(30 * time.Second)
		frames, fresh = w.kinds[frameBatch]-frames, taken()-fresh
		if frames <= fresh+fresh/50 {
			return
		}
		if pass == passes-1 {
			w.failf("%d batches crossed links, and %d were fresh", frames, fresh)
		}
	}
}

// holders tells who keeps a log from being empty.
func holders(m *Machine, l *log) string {
	text := fmt.Sprintf("done %d", l.done)
	for _, c := range l.cursors {
		if c.clear() < l.have {
			text += fmt.Sprintf(", %s at %d (said %+v, next %d, %d in flight, %d unacked, may begin %v, ready %v, connected %v, link %d)",
				string(c.peer.id[15:]), c.clear(), c.peer.remote[l.id], c.next, c.flight.len(), c.unacked, m.mayBegin(c), c.ready, c.peer.active != nil, c.peer.link)
		}
	}
	return text
}
