package protocol

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// simNode is the owner of a machine, as the shell around it would be, and what it
// remembers over the machine's restarts.
type simNode struct {
	w    *world
	name string
	id   uuid.UUID
	cfg  Config
	m    *Machine // of the current run; nil while the node is down
	ends map[PathID]*simEnd

	builders   []*codec.Builder
	patterns   []string            // wanted from the beginning on
	extra      []string            // wanted for a while
	extraAfter uint64              // the version of its record before that
	owed       []map[*simNode]bool // batches that it is to get for as long as it wants them
	consumers  int                 // local consumers of what matches
	work       func() time.Duration
	heldUp     bool      // consumers do nothing
	todo       []handled // what they hold
	told       map[teller]remote
	wakeAt     time.Duration
	pumps      int
	pumping    bool
	pumpDue    bool
	ready      []*simPipe // scratch of pump

	met     map[*simNode]bool
	inbox   *inbox
	before  []*inbox // of earlier runs
	reports []Event
	events  []Event // of other kinds
}

// handled is what a consumer is to release.
type handled struct {
	m    *Machine
	log  codec.LogID
	last uint64
}

func (n *simNode) String() string { return n.name }

func (w *world) addNode(cfg Config, patterns ...string) *simNode {
	i := len(w.nodes)
	n := &simNode{w: w, name: string(rune('A' + i)), id: simID(i), cfg: cfg, patterns: patterns, consumers: 1}
	n.cfg.ID, n.cfg.Epoch, n.cfg.Name, n.cfg.Lanes = n.id, 10*simRun, n.name, w.lanes
	w.nodes = append(w.nodes, n)
	n.boot()
	return n
}

// simRun is how far the epochs of two runs are apart: no run makes as many versions of its record.
const simRun = 1 << 20

// boot starts a run of the node.
func (n *simNode) boot() {
	n.w.disturb(0)
	n.cfg.Epoch += simRun
	n.m = New(n.w.now, n.cfg)
	n.ends = map[PathID]*simEnd{}
	n.told = map[teller]remote{}
	n.inbox, n.met = newInbox(), map[*simNode]bool{}
	n.builders, n.todo, n.extra, n.wakeAt = nil, nil, nil, 0
	for lane := range n.cfg.Lanes {
		id := codec.LogID{Node: n.id, Epoch: n.cfg.Epoch, Lane: uint8(lane)}
		n.builders = append(n.builders, codec.NewBuilder(id, 1))
		n.w.book.logs[id] = &bookLog{}
		n.w.book.order = append(n.w.book.order, id)
	}
	n.m.SetPatterns(n.w.now, n.patterns)
	n.pump()
	for _, l := range n.w.links {
		if l.from == n {
			n.m.OpenLink(n.w.now, l.id)
			l.redial(0)
		}
	}
}

// kill ends the run without a word.
func (n *simNode) kill() {
	n.w.trace("%s: killed", n)
	n.w.disturb(0)
	for lane := range n.builders {
		n.w.book.logs[n.log(lane)].dead = true
	}
	n.m = nil
	for _, id := range sortedPaths(n.ends) {
		e := n.ends[id]
		e.lost(CodeInternal, "killed")
		e.hangUp(CodeTimeout, "killed")
	}
	n.before = append(n.before, n.inbox)
	n.letOff()
}

// letOff strikes the node from the batches that it wanted only for a while.
func (n *simNode) letOff() {
	for _, who := range n.owed {
		delete(who, n)
	}
	n.owed = nil
}

func (n *simNode) log(lane int) codec.LogID {
	return codec.LogID{Node: n.id, Epoch: n.cfg.Epoch, Lane: uint8(lane)}
}

func (n *simNode) setExtra(patterns ...string) uint64 {
	n.extra, n.extraAfter = patterns, n.m.self.version.version
	n.letOff()
	v := n.m.SetPatterns(n.w.now, append(append([]string(nil), n.patterns...), patterns...))
	n.pump()
	return v
}

// emit appends a batch of events, one per topic, and returns its end.
func (n *simNode) emit(lane, payload int, topics ...string) uint64 {
	b := n.builders[lane]
	for _, t := range topics {
		body := make([]byte, max(8, payload))
		binary.BigEndian.PutUint64(body, n.w.rng.Uint64())
		b.Append(t, codec.EncodingRaw, int64(n.w.now/time.Microsecond), nil, body)
	}
	batch := b.Seal(nil)
	batch.Retain() // for the book
	l := n.w.book.logs[batch.Log]
	l.batches = append(l.batches, batch)
	l.met = append(l.met, n.meet())
	l.wanted = append(l.wanted, n.wanting(batch))
	n.w.trace("%s: emits %d–%d of lane %d: %v", n, batch.First, batch.Last(), lane, topics)
	n.m.Append(n.w.now, batch)
	n.pump()
	return batch.Last()
}

// meet is who the node has known how to reach in this run.
func (n *simNode) meet() map[*simNode]bool {
	for _, other := range n.w.nodes {
		if n.m.records[other.id] != nil && n.m.isReachable(other.id) && !n.met[other] {
			n.met = maps.Clone(n.met)
			n.met[other] = true
		}
	}
	return n.met
}

// wanting is which of the nodes that want a batch for now the node knows to want it. They no
// longer have to get it once they want something else.
func (n *simNode) wanting(b *codec.Batch) map[*simNode]bool {
	who := map[*simNode]bool{}
	for _, other := range n.w.nodes {
		if r := n.m.records[other.id]; r != nil && n.m.isReachable(other.id) && other.m != nil && r.version.epoch == other.cfg.Epoch &&
			r.version.version > other.extraAfter && matches(other.extra, b) {
			who[other] = true
			other.owed = append(other.owed, who)
		}
	}
	return who
}

// full says whether an emitter would have to wait, and begins to.
func (n *simNode) full(lane int) bool {
	if !n.m.full(n.m.own[lane]) {
		return false
	}
	n.m.Wait(n.w.now, uint8(lane))
	n.pump()
	return true
}

// pump follows the order of calls that the package comment gives.
func (n *simNode) pump() {
	if n.pumping || n.m == nil {
		return
	}
	n.pumping = true
	m := n.m
	if m.Epoch() != n.cfg.Epoch {
		n.renewed()
	}
	for again := true; again && n.m == m; {
		again = false
		ready := n.ready[:0]
		for e, ok := m.PollEvent(); ok; e, ok = m.PollEvent() {
			again = true
			if p := n.act(e); p != nil {
				ready = append(ready, p)
			}
		}
		for _, p := range ready {
			p.flushSoon()
		}
		n.ready = ready
	}
	n.pumping = false
	if n.pumps++; !n.w.large && n.pumps%max(1, len(n.w.nodes)/8) == 0 { // its logs grow with the nodes, and so does checking them
		m.Check()
		n.checkBounds()
	}
	n.armWake()
}

// pumpSoon pumps once all that arrives at this time has.
func (n *simNode) pumpSoon() {
	if n.pumpDue {
		return
	}
	n.pumpDue = true
	n.w.after(0, func() {
		n.pumpDue = false
		n.pump()
	})
}

// renewed follows the machine when it goes on under another epoch: all that was emitted is of that.
func (n *simNode) renewed() {
	n.w.trace("%s: epoch %d becomes %d", n, n.cfg.Epoch, n.m.Epoch())
	for lane, b := range n.builders {
		old := n.log(lane)
		id := codec.LogID{Node: n.id, Epoch: n.m.Epoch(), Lane: uint8(lane)}
		n.builders[lane] = codec.NewBuilder(id, b.Next())
		l := n.w.book.logs[old]
		for i := range l.batches {
			l.batches[i] = l.batches[i].WithEpoch(id.Epoch)
		}
		delete(n.w.book.logs, old)
		n.w.book.logs[id] = l
		n.w.book.order[slices.Index(n.w.book.order, old)] = id
	}
	n.cfg.Epoch = n.m.Epoch()
}

// act does what an event asks for; a stream that has something to send is returned.
func (n *simNode) act(e Event) *simPipe {
	w := n.w
	switch e.Kind {
	case EventControl, EventData:
		end := n.ends[e.Path]
		if end == nil {
			return nil
		}
		if e.Kind == EventControl {
			return end.out[controlLane]
		}
		return end.out[int(e.Lane)]
	case EventDeliver:
		n.deliver(e)
	case EventGap:
		w.trace("%s: gap %d–%d of %v: %d", n, e.First, e.Last, e.Log, e.Reason)
		if e.Last == 0 { // the log is over, without an end
			n.events = append(n.events, e)
			return nil
		}
		n.inbox.gap(n, e)
		n.consume(e)
	case EventReport:
		n.reports = append(n.reports, e)
	case EventClose:
		n.events = append(n.events, e)
		if end := n.ends[e.Path]; end != nil {
			end.shut(e.Code, e.Text)
		}
	case EventSilent:
		for _, l := range w.links {
			if l.from == n && l.conn != nil && l.conn.ends[0].info.ID == e.Path {
				l.race(l.conn, 60)
			}
		}
	case EventRoom, EventDone, EventInterest, EventPong, EventHeard:
	default:
		w.trace("%s: event %d of path %d, peer %x: %s", n, e.Kind, e.Path, e.Peer[15:], e.Text)
		n.events = append(n.events, e)
	}
	return nil
}

// saw returns the events of a kind.
func (n *simNode) saw(k Kind) (list []Event) {
	for _, e := range n.events {
		if e.Kind == k {
			list = append(list, e)
		}
	}
	return list
}

func (n *simNode) deliver(e Event) {
	n.inbox.deliver(n, e)
	n.consume(e)
}

// consume lets the local consumers have an event, now or later.
func (n *simNode) consume(e Event) {
	consumers := n.consumers
	if e.Batch != nil && !matches(n.m.patterns, e.Batch) {
		consumers = 0
	}
	for range consumers {
		n.inbox.log(e.Log).held[e.Last]++
		n.todo = append(n.todo, handled{n.m, e.Log, e.Last})
	}
	n.m.Dispatched(n.w.now, e.Log, e.Last, consumers)
	n.toil()
}

// toil has the consumers release what they hold, in any order between logs.
func (n *simNode) toil() {
	if n.heldUp {
		return
	}
	for _, t := range n.todo {
		if n.work == nil {
			n.inbox.released(t)
			t.m.Release(n.w.now, t.log, t.last)
			continue
		}
		n.w.after(n.work(), func() {
			if n.m == t.m {
				n.inbox.released(t)
				n.m.Release(n.w.now, t.log, t.last)
				n.pump()
			}
		})
	}
	n.todo = nil
}

func (n *simNode) hold() { n.heldUp = true }

func (n *simNode) letGo() {
	n.heldUp = false
	n.toil()
	n.pump()
}

// armWake plans the machine's next Tick.
func (n *simNode) armWake() {
	at, ok := n.m.NextWake()
	at = max(at, n.w.now)
	if !ok || n.wakeAt > 0 && n.wakeAt <= at && n.wakeAt >= n.w.now {
		return
	}
	n.wakeAt = at
	m := n.m
	n.w.plan.add(at, func() {
		if n.m == m && n.wakeAt == at {
			n.wakeAt = 0
			m.Tick(n.w.now)
			n.pump()
		}
	})
}

// simLink is the wish of a node to stay connected to another.
type simLink struct {
	w        *world
	from, to *simNode
	id       LinkID
	conn     *simConn
	down     bool                 // the network lets nothing through for now
	lag      func() time.Duration // of its connections; nil: the world's
	nonce    uint64
	dialling bool
}

func (w *world) link(from, to *simNode) *simLink {
	l := &simLink{w: w, from: from, to: to, id: LinkID(w.nextID())}
	w.links = append(w.links, l)
	from.m.OpenLink(w.now, l.id)
	from.pump()
	l.redial(0)
	return l
}

// redial dials after a while, and again for as long as that fails.
func (l *simLink) redial(after time.Duration) {
	if l.dialling {
		return
	}
	l.dialling = true
	l.w.after(after+l.w.lag(), func() {
		l.dialling = false
		switch {
		case l.from.m == nil || l.conn != nil:
		case l.down || l.to.m == nil || l.from.connected(l.to):
			l.redial(l.w.between(100*time.Millisecond, 800*time.Millisecond))
		default:
			l.nonce++
			l.conn = l.w.connect(l.from, l.to, l.id, l.nonce)
			if l.lag != nil {
				l.conn.lag = l.lag
			}
		}
	})
}

func (n *simNode) connected(to *simNode) bool {
	for _, e := range n.ends {
		if e.peer.node == to && e.info.Link != 0 {
			return true
		}
	}
	return false
}

// unlink notes that a connection of the node is gone, and dials again if it was the node's own.
func (n *simNode) unlink(e *simEnd, code Code) {
	for _, l := range n.w.links {
		if l.conn != e.conn || l.from != n {
			continue
		}
		l.conn = nil
		switch {
		case n.m == nil:
		case code == CodeSurplus:
			l.watch()
		default:
			l.redial(n.w.between(10*time.Millisecond, 1500*time.Millisecond))
		}
	}
}

// race dials beside a connection that went silent.
func (l *simLink) race(conn *simConn, attempts int) {
	l.w.after(l.w.between(100*time.Millisecond, 200*time.Millisecond), func() {
		e := conn.ends[0]
		switch {
		case l.conn != conn || l.from.m != e.m || e.m.paths[e.info.ID] == nil || !e.m.paths[e.info.ID].silent:
		case !l.down && l.to.m != nil:
			l.w.trace("%s: races path %d", l.from, e.info.ID)
			l.nonce++
			l.conn = l.w.connect(l.from, l.to, l.id, l.nonce)
		case attempts > 0:
			l.race(conn, attempts-1)
		}
	})
}

// watch waits until the other path, which made this one surplus, is gone.
func (l *simLink) watch() {
	l.w.after(200*time.Millisecond, func() {
		for _, e := range l.from.ends {
			if e.peer.node == l.to {
				l.watch()
				return
			}
		}
		l.redial(0)
	})
}
