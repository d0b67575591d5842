package protocol

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

// peer is the node at the other end, whatever its paths: it outlives them, and
// so do its cursors. A pledge is a peer that has no id yet: what a link is owed
// before its first connection (§6.4).
type peer struct {
	id       uuid.UUID
	name     string
	epoch    uint64
	before   uint64        // the highest seen before this run, while that may not have heard of it; 0: it has, or there was none
	patience time.Duration // with its answers to probes
	rtt      time.Duration // how long the longest of the last answers took; 0: there was none
	overflow Overflow      // what happens when it lags behind one of our own logs
	paths    []*path
	active   *path // the one that data goes over; nil: disconnected
	link     LinkID
	remote   map[codec.LogID]*remote
	cursors  map[*log]*cursor
	asked    int // questions that it has not answered

	lostAt   time.Duration // when it was disconnected
	clean    bool          // it left on purpose
	retained *topic.Set[struct{}]
	patterns []string           // of retained: what it is owed while it is away
	kin      map[uuid.UUID]bool // who was behind it then
	grew     bool               // some of them want more now
	orphans  bool               // retained holds on: it restarted, and may not know yet who was behind it
	wanted   map[string]bool
	behind   *region // whose interest counts toward it
	forget   timer

	joined uint64 // the moment at which who is behind it became known
	listed uint64 // the same, and that we are its neighbour; unlisted: not in our record yet
	marks  []mark // what we knew of what it knows, and when

	sent, received counter
}

// counter counts batches, their events and their bytes.
type counter struct{ batches, events, bytes uint64 }

func (c *counter) add(b *codec.Batch) {
	c.batches++
	c.events += uint64(b.Count)
	c.bytes += uint64(len(b.Bytes()))
}

// OpenLink notes that the owner wants to stay connected to some node: whoever
// that turns out to be is owed our events from here on.
func (m *Machine) OpenLink(now time.Duration, id LinkID) {
	m.now = now
	m.pledge(id)
}

// CloseLink ends what a link that never connected is owed.
func (m *Machine) CloseLink(now time.Duration, id LinkID) {
	m.now = now
	if q := m.pledges[id]; q != nil {
		m.removePledge(id)
		m.settleAll(now)
	}
	for _, q := range m.peerList {
		if q.link == id {
			q.link = 0
		}
	}
}

func (m *Machine) pledge(id LinkID) {
	q := &peer{link: id, cursors: make(map[*log]*cursor)}
	m.pledges[id] = q
	for _, l := range m.own {
		m.addCursor(q, l, l.have)
	}
}

func (m *Machine) removePledge(id LinkID) *peer {
	q := m.pledges[id]
	if q == nil {
		return nil
	}
	delete(m.pledges, id)
	for _, c := range q.cursors {
		c.log.cursors = slices.DeleteFunc(c.log.cursors, func(x *cursor) bool { return x == c })
	}
	return q
}

// adopt binds an accepted path to its peer, which is new, known, or known from
// an earlier run.
func (m *Machine) adopt(now time.Duration, p *path) {
	h := p.theirs
	q := m.peers[h.node]
	if q == nil {
		m.forgetOldest(now)
		q = &peer{id: h.node, epoch: h.epoch, overflow: m.overflow(h.node), remote: make(map[codec.LogID]*remote), cursors: make(map[*log]*cursor)}
		q.forget.fire = func(now time.Duration) { m.forgetPeer(now, q) }
		m.peers[h.node] = q
		i, _ := slices.BinarySearchFunc(m.peerList, q, func(a, b *peer) int { return bytes.Compare(a.id[:], b.id[:]) })
		m.peerList = slices.Insert(m.peerList, i, q)
		m.claimPledges(q, p)
	} else if p.info.Dialed {
		m.dropPledge(now, q, p.info.Link)
	}
	if h.epoch != q.epoch {
		// A restarted receiver resumes at what it had done, which floor holds.
		q.epoch = h.epoch
		clear(q.remote)
		q.marks = nil
		for _, c := range q.cursors {
			c.theirs = nil
			c.rewind(c.floor)
		}
		q.orphans = len(q.patterns) > 0
	}
	if p.info.Dialed {
		q.link = p.info.Link
	}
	q.name = h.name
	p.peer = q
	if len(q.paths) == 0 {
		m.connected++
		m.timers.stop(&q.forget)
	}
	q.paths = append(q.paths, p)
	// From here on the silence of the path is measured, not its hello.
	p.lastHeard = now
	m.timers.lower(&p.aliveTimer, now+m.aliveInterval(p))
}

func (m *Machine) overflow(id uuid.UUID) Overflow {
	if o, ok := m.cfg.PeerOverflow[id]; ok {
		return o
	}
	return m.cfg.Overflow
}

// forgetOldest makes room for a newcomer, when more peers are away than there may be
// connected.
func (m *Machine) forgetOldest(now time.Duration) {
	var oldest *peer
	away := 0
	for _, q := range m.peerList {
		if len(q.paths) > 0 {
			continue
		}
		if away++; oldest == nil || q.lostAt < oldest.lostAt {
			oldest = q
		}
	}
	if away > m.cfg.MaxPeers {
		m.timers.stop(&oldest.forget)
		m.forgetPeer(now, oldest)
	}
}

// dropPledge ends what a link was owed that led to a peer known already. What the link
// was owed from before the peer came is reported: the peer will not miss it, for it
// does not know of it.
func (m *Machine) dropPledge(now time.Duration, q *peer, id LinkID) {
	pledged := m.removePledge(id)
	if pledged == nil {
		return
	}
	for _, l := range m.own {
		c := pledged.cursors[l]
		if born := q.cursors[l].born; c != nil && c.clear() < born {
			m.stats.Reported += born - c.clear()
			m.emit(Event{Kind: EventReport, Log: l.id, First: c.clear() + 1, Last: born, Reason: ReasonGone, Peer: q.id})
		}
	}
	m.settleAll(now)
}

// claimPledges gives a newcomer its place in every log: at the head, but where it is
// owed more. What a link was owed goes to whoever answers there: also when that is
// another node than before.
func (m *Machine) claimPledges(q *peer, p *path) {
	owed := make(map[*log]*cursor)
	inherit := func(x *peer) {
		for l, c := range x.cursors {
			if owed[l] == nil || c.done() < owed[l].done() {
				owed[l] = c
			}
		}
	}
	claim := func(id LinkID) {
		if pledged := m.removePledge(id); pledged != nil {
			inherit(pledged)
		}
	}
	claim(0) // the first peer of a node gets everything still held
	if p.info.Dialed {
		claim(p.info.Link)
		for _, x := range m.peerList {
			if x != q && x.link == p.info.Link && len(x.paths) == 0 {
				inherit(x)
				x.link, x.clean = 0, true // it is not waited for any more
			}
		}
	}
	for _, l := range m.logList {
		kept := owed[l]
		if kept == nil {
			m.addCursor(q, l, l.have)
			continue
		}
		c := m.addCursor(q, l, kept.done())
		if kept.peer.id == uuid.Nil { // it was owed everything, and why some is lost is known
			c.lost = slices.Clone(kept.lost)
		}
	}
}

// addCursor places a peer in a log: everything up to pos is none of its concern.
func (m *Machine) addCursor(q *peer, l *log, pos uint64) *cursor {
	c := &cursor{peer: q, log: l, inert: q.id == l.id.Node, next: pos, prev: pos, floor: pos, born: pos}
	q.cursors[l] = c
	l.cursors = append(l.cursors, c)
	if pos < l.base {
		c.addLost(span{pos + 1, l.base, ReasonGone})
	}
	return c
}

// activate moves a peer to a path: every log resumes there, right after what the
// peer has (§6.3).
func (m *Machine) activate(now time.Duration, q *peer, p *path) {
	first := q.active == nil
	if !first {
		m.clearQueues(q.active)
	}
	q.active = p
	if first && m.widened(q, p) {
		m.clock++ // a moment of its own: what was judged before it was judged without them
		q.joined, q.listed, q.grew = m.clock, unlisted, false
	}
	if q.orphans {
		m.timers.set(&q.forget, now+min(orphanGrace, m.cfg.BufferTimeout))
	} else {
		q.retained, q.patterns, q.kin = nil, nil, nil
	}
	for _, l := range m.logList {
		c := q.cursors[l]
		pos := c.floor
		if r := q.remote[l.id]; r != nil {
			pos = r.have
		}
		c.rewind(pos)
		if r := q.remote[l.id]; r != nil {
			c.heard(r.have, r.done)
		}
		c.demoted = 0
		m.introduce(c)
		m.enqueue(c)
		m.markVector(p, l) // what changed while the path came up was told to nobody
		if l.asked == q {  // that may have been lost with another path
			m.askFor(p, l)
		}
		m.settle(now, l)
	}
	if !first {
		m.askOn(q, p)
	}
	p.vectorDue = true
	m.wakeControl(p)
	for _, rec := range m.recordList {
		if rec.awaiting[q] { // its answer may have been lost with another path
			m.queueRecord(p, rec)
		}
		if !first && rec != m.self && rec.awaiting == nil { // and so may ours
			m.echo(p, rec.version)
		}
	}
	if first {
		m.emit(Event{Kind: EventPeerUp, Path: p.info.ID, Peer: q.id, Text: q.name})
		m.topologyChanged(now)
	}
}

// introduce has a peer that does not list a log told where it is, even if it is at rest:
// what a relay had taken custody of and lost in a restart would otherwise be missed
// only once the origin goes on.
func (m *Machine) introduce(c *cursor) {
	rec := m.records[c.log.id.Node]
	lives := rec != nil && rec.version.epoch == c.log.id.Epoch && !c.log.finished
	c.opens = lives && !c.started && c.next > 0 && c.peer.remote[c.log.id] == nil
}

// introduceLogs looks at the logs of a node again whose record came after them.
func (m *Machine) introduceLogs(id uuid.UUID) {
	for _, l := range m.logList {
		if l.id.Node != id {
			continue
		}
		for _, c := range l.cursors {
			m.introduce(c)
			m.enqueue(c)
		}
	}
}

// detach takes a path from its peer.
func (m *Machine) detach(now time.Duration, p *path, code Code, reason string) {
	q := p.peer
	q.paths = slices.DeleteFunc(q.paths, func(x *path) bool { return x == p })
	if q.active == p {
		m.choosePath(now, q)
	}
	if len(q.paths) == 0 {
		m.connected--
		q.lostAt, q.clean = now, code == CodeNormal
		m.timers.set(&q.forget, now+m.cfg.BufferTimeout)
	}
	if q.active == p { // there is no other
		m.clearQueues(p)
		q.active = nil
		m.retain(q)
		m.peerLost(now, q)
		m.emit(Event{Kind: EventPeerDown, Path: p.info.ID, Peer: q.id, Code: code, Text: reason})
		m.settleAll(now)
	}
}

// retain keeps the interest behind a peer that is away: it is owed what it
// would have got (§8.4).
func (m *Machine) retain(q *peer) {
	all := q.patterns
	if q.kin == nil {
		q.kin = make(map[uuid.UUID]bool)
	}
	for _, v := range m.behindOf(q).nodes {
		q.kin[v.id] = true
		all = append(all, v.rec.patterns...)
	}
	q.patterns = topic.Minimise(all)
	q.retained = &topic.Set[struct{}]{}
	for _, p := range q.patterns {
		q.retained.Add(p, struct{}{})
	}
	q.wanted = nil
}

// reclaimed says whether everyone for whom a restarted peer is owed something is
// behind it again, with all they wanted. That someone wants it is not enough: neighbours that
// each keep it on behalf of the other would both let go of it.
func (m *Machine) reclaimed(q *peer) bool {
	behind, back := m.behindOf(q).nodes, 0
	for _, v := range behind {
		if q.kin[v.id] {
			back++
		}
	}
	return back == len(q.kin) && !slices.ContainsFunc(q.patterns, func(p string) bool {
		return !slices.ContainsFunc(behind, func(v *vertex) bool { return covers(v.rec.patterns, p) })
	})
}

func covers(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(x string) bool { return topic.Covers(x, p) })
}

func (m *Machine) disown(q *peer) {
	q.orphans, q.retained, q.patterns, q.kin, q.wanted = false, nil, nil, nil, nil
	m.timers.stop(&q.forget)
}

// peerLost lets go of everything that waited for a peer.
func (m *Machine) peerLost(now time.Duration, q *peer) {
	m.stopAwaiting(now, q)
	m.dropWants(now, q)
	for _, l := range m.logList {
		if l.parent == q || l.asked == q {
			if l.parent == q {
				m.orphan(l, q)
			}
			l.asked = nil
			m.graftAll(l)
		}
		if s := l.seeking; s != nil && s.teller == q { // who is ahead of us will say what is missing
			m.endSearch(l)
		}
	}
	m.topologyChanged(now)
}

// forgetPeer drops a peer that was away for BufferTimeout, and what was kept for
// it. Only its own have is needed should it return.
func (m *Machine) forgetPeer(now time.Duration, q *peer) {
	if len(q.paths) > 0 {
		m.disown(q)
		m.topologyChanged(now)
		return
	}
	delete(m.peers, q.id)
	m.peerList = slices.DeleteFunc(m.peerList, func(x *peer) bool { return x == q })
	for l := range q.cursors {
		l.cursors = slices.DeleteFunc(l.cursors, func(c *cursor) bool { return c.peer == q })
	}
	m.emit(Event{Kind: EventForget, Peer: q.id})
	m.settleAll(now)
	m.topologyChanged(now)
}

// Connected lists the ids of the connected peers, in order.
func (m *Machine) Connected() []uuid.UUID {
	var list []uuid.UUID
	for _, q := range m.peerList {
		if q.active != nil {
			list = append(list, q.id)
		}
	}
	return list
}

// ActivePath is the path that carries a peer's data, or 0.
func (m *Machine) ActivePath(id uuid.UUID) PathID {
	if q := m.peers[id]; q != nil && q.active != nil {
		return q.active.info.ID
	}
	return 0
}
