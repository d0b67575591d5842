package protocol

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// Machine is the protocol of one run of one node. See the package comment for
// the order of calls. It is not safe for concurrent use.
type Machine struct {
	cfg Config
	now time.Duration

	logs    map[codec.LogID]*log
	logList []*log // in the order they were learned
	own     []*log // by lane
	pool    int64  // credit left in the shared pool

	peers     map[uuid.UUID]*peer
	peerList  []*peer // by id
	pledges   map[LinkID]*peer
	paths     map[PathID]*path
	connected int
	upped     bool  // a path was up: our epoch is known elsewhere
	reborn    timer // runs for orphanGrace after a restart that others remember

	records    map[uuid.UUID]*record
	blind      bool // there are more records than we keep: everything counts as wanted
	recordList []*record
	lost       int    // how many of them are known to be of nodes out of reach
	reprieved  uint64 // how many nodes had come into reach when these were looked at
	chart      chart  // what they say of who is connected to whom
	met        map[uuid.UUID]acquaintance
	self       *record
	dispute    dispute
	questions  []*want
	nonce      uint64 // of our last one
	clock      uint64 // grows with what we know: records stored, and peers that come with others (§8.5)
	selfTimer  timer
	lastSelf   time.Duration // when our record was last renewed

	endpoints       []string // where we can be dialled
	patterns        []string // of the local subscriptions
	patternsVersion uint64
	confirmed       uint64 // the version of them that every node reachable has

	recordGC timer
	heard    map[string]bool // whether anyone at all listens for a topic
	wanted   map[string]bool // the same, or keeps it for someone who is away

	timers  timers
	events  ring[Event]
	scratch []byte

	stats Stats
}

// Stats counts what a machine did since New.
type Stats struct {
	Unheard    uint64 // events emitted that nobody reachable listened for
	Dropped    uint64 // events of any log forced out by a bound while someone still needed them
	Gaps       uint64 // gaps declared here
	Missed     uint64 // events in them
	Reported   uint64 // events of ours that receivers reported missing
	Duplicates uint64 // batches that came again
	Logs       int
	Events     int64 // kept in all logs
	Bytes      int64
}

// New makes the machine of a node that has no connections yet. Cfg has been
// validated by the caller.
func New(now time.Duration, cfg Config) *Machine {
	m := &Machine{
		cfg: cfg, now: now,
		logs:    make(map[codec.LogID]*log),
		pool:    cfg.ReceiveBytes,
		peers:   make(map[uuid.UUID]*peer),
		pledges: make(map[LinkID]*peer),
		paths:   make(map[PathID]*path),
		records: make(map[uuid.UUID]*record),
		met:     make(map[uuid.UUID]acquaintance),
		heard:   make(map[string]bool),
		wanted:  make(map[string]bool),
	}
	m.recordGC.fire = m.dropUnreachable
	m.reborn.fire = m.settleAll
	m.selfTimer.fire = m.refreshSelf
	m.dispute.timer.fire = m.contest
	m.lastSelf = now - selfPace
	for lane := range cfg.Lanes {
		l := m.newLog(codec.LogID{Node: cfg.ID, Epoch: cfg.Epoch, Lane: uint8(lane)}, 0)
		m.own = append(m.own, l)
	}
	m.self = &record{version: recordVersion{node: cfg.ID, epoch: cfg.Epoch, version: cfg.Epoch}, name: cfg.Name}
	m.chart = newChart(m.self)
	m.records[cfg.ID] = m.self
	m.recordList = append(m.recordList, m.self)
	m.pledge(0)
	return m
}

func (m *Machine) newLog(id codec.LogID, begin uint64) *log {
	l := &log{id: id, own: id.Node == m.cfg.ID && id.Epoch == m.cfg.Epoch,
		begin: begin, base: begin, have: begin, done: begin, live: begin, newest: m.now}
	l.expiry.fire = func(now time.Duration) { m.expire(now, l) }
	l.stall.fire = func(now time.Duration) { m.checkStall(now, l) }
	l.patience.fire = func(time.Duration) { m.impatient(l) }
	l.slow.fire = func(now time.Duration) { m.lagging(now, l) }
	l.edge = reserveWindow
	m.logs[id] = l
	m.logList = append(m.logList, l)
	for _, q := range m.peerList {
		if r := q.remote[id]; r != nil { // should it restart, it resumes at what it was done with
			m.addCursor(q, l, r.done).heard(r.have, r.done)
		} else {
			m.addCursor(q, l, begin)
		}
		m.introduce(q.cursors[l])
		m.enqueue(q.cursors[l])
	}
	m.armExpiry(m.now, l)
	return l
}

// Append adds a sealed batch of our own to its log.
func (m *Machine) Append(now time.Duration, b *codec.Batch) {
	m.now = now
	l := m.own[b.Log.Lane]
	if b.Log != l.id { // sealed before the epoch was renewed
		b = b.WithEpoch(l.id.Epoch)
	}
	e := l.push(entry{kind: entryBatch, first: b.First, last: b.Last(), batch: b, size: int64(len(b.Bytes())), came: now})
	l.done = l.have
	m.countUnheard(b)
	m.judge(l, e)
	m.settle(now, l)
	m.markAll(l, nil)
	if m.self.begun != m.begun() {
		m.refreshSoon(now)
	}
}

// renew makes this a later run than any that a peer knows of, as long as nobody knows of it
// yet: the clock that the epoch came from has gone back (§3.2).
func (m *Machine) renew(epoch uint64) bool {
	if m.upped || epoch >= mostKnown {
		return false
	}
	m.cfg.Epoch = epoch
	for _, l := range m.own {
		delete(m.logs, l.id)
		l.id.Epoch = epoch
		m.logs[l.id] = l
		for i := range l.entries.len() {
			e := l.entries.at(i)
			e.batch = e.batch.WithEpoch(epoch)
			grown := int64(len(e.batch.Bytes())) - e.size
			e.size += grown
			l.bytes += grown
			if e.last > l.live {
				l.liveBytes += grown
			}
		}
	}
	m.self.version.epoch, m.self.version.version = epoch, max(epoch, m.self.version.version)
	return true
}

// Epoch is that of this run.
func (m *Machine) Epoch() uint64 { return m.cfg.Epoch }

// Fresh says whether no path was up yet: nobody knows of this run.
func (m *Machine) Fresh() bool { return !m.upped }

// Dispatched says to how many local consumers a delivered or missing range
// went; each of them calls Release when it is done.
func (m *Machine) Dispatched(now time.Duration, id codec.LogID, last uint64, consumers int) {
	m.consume(now, id, last, consumers-1)
}

// Release says that one local consumer is done with the range that ends at last.
func (m *Machine) Release(now time.Duration, id codec.LogID, last uint64) {
	m.consume(now, id, last, -1)
}

func (m *Machine) consume(now time.Duration, id codec.LogID, last uint64, n int) {
	m.now = now
	l := m.logs[id]
	if l == nil || last <= l.done || last > l.have {
		return
	}
	i := l.search(last - 1)
	if i == l.entries.len() || l.entries.at(i).last != last {
		return
	}
	l.entries.at(i).pending += n
	m.advanceDone(now, l)
}

// advanceDone moves done over every entry that no local consumer holds.
func (m *Machine) advanceDone(now time.Duration, l *log) {
	before := l.done
	for i := l.search(l.done); i < l.entries.len(); i++ {
		e := l.entries.at(i)
		if e.pending > 0 {
			break
		}
		l.done = e.last
	}
	if l.done == before {
		return
	}
	m.settle(now, l)
	m.ackParent(now, l)
	m.markAll(l, l.parent)
}

// SetPatterns replaces the patterns of the local subscriptions. The version
// returned is the one that Confirmed has to reach.
func (m *Machine) SetPatterns(now time.Duration, patterns []string) (version uint64) {
	m.now = now
	m.patterns = patterns
	m.patternsVersion++
	m.refreshSoon(now)
	return m.patternsVersion
}

// SetEndpoints replaces the addresses that others are told to dial this node at: as many as
// a record has room for.
func (m *Machine) SetEndpoints(now time.Duration, endpoints []string) {
	m.now = now
	m.endpoints = endpoints[:min(len(endpoints), maxEndpoints)]
	m.refreshSoon(now)
}

// Confirmed is the version of our patterns that every node reachable has; 0 while nodes that just
// came into reach have not answered.
func (m *Machine) Confirmed() uint64 {
	if m.self.awaiting != nil || m.selfTimer.index != 0 {
		return 0
	}
	return m.confirmed
}

// Finish marks our own logs as ended: receivers learn that nothing follows.
func (m *Machine) Finish(now time.Duration) {
	m.now = now
	for _, l := range m.own {
		l.fin, l.last = true, l.have
		m.finish(l)
	}
}

// Tick fires what is due.
func (m *Machine) Tick(now time.Duration) {
	m.now = now
	m.timers.run(now)
}

// NextWake is when Tick has to be called; ok is false if never.
func (m *Machine) NextWake() (at time.Duration, ok bool) { return m.timers.next() }

// PollEvent returns the next thing the owner has to act on.
func (m *Machine) PollEvent() (Event, bool) {
	if m.events.len() == 0 {
		return Event{}, false
	}
	e := *m.events.at(0)
	m.events.pop()
	return e, true
}

func (m *Machine) emit(e Event) { m.events.push(e) }

// Retained is what a log of our own holds, in events and bytes.
func (m *Machine) Retained(lane uint8) (events, bytes int64) {
	l := m.own[lane]
	return l.events, l.bytes
}

// Held is what connected peers keep a log of our own from letting go of, in
// events and bytes: what an emitter has to wait for once it is too much.
func (m *Machine) Held(lane uint8) (events, bytes int64) {
	l := m.own[lane]
	return l.liveEvents, l.liveBytes
}

// Stats returns the counters.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.Logs = len(m.logList)
	for _, l := range m.logList {
		s.Events += l.events
		s.Bytes += l.bytes
	}
	return s
}

// PeerStats is what was exchanged with one peer.
type PeerStats struct {
	ID                           uuid.UUID
	Name                         string
	Connected                    bool
	Paths                        int
	SentBatches, ReceivedBatches uint64
	SentEvents, ReceivedEvents   uint64
	SentBytes, ReceivedBytes     uint64 // of batches, as they went
	Unacknowledged, Undone, Lost uint64 // batches in flight, not done, ranges not to be had
	Interested                   bool
}

// PeerStats returns what was exchanged with a peer; ok is false if it is unknown.
func (m *Machine) PeerStats(id uuid.UUID) (s PeerStats, ok bool) {
	q := m.peers[id]
	if q == nil {
		return s, false
	}
	s = PeerStats{ID: q.id, Name: q.name, Connected: q.active != nil, Paths: len(q.paths),
		SentBatches: q.sent.batches, SentEvents: q.sent.events, SentBytes: q.sent.bytes,
		ReceivedBatches: q.received.batches, ReceivedEvents: q.received.events, ReceivedBytes: q.received.bytes}
	for _, c := range q.cursors {
		s.Undone += uint64(c.flight.len())
		s.Unacknowledged += uint64(c.flight.len() - c.acked)
		s.Lost += uint64(len(c.lost))
	}
	for _, v := range m.behindOf(q).nodes {
		s.Interested = s.Interested || len(v.rec.patterns) > 0
	}
	return s, true
}

// Pending is what a peer, or a link that never connected, still has to be done with.
type Pending struct {
	Peer   uuid.UUID // uuid.Nil for a link that never connected
	Events uint64
}

// Pending lists who is not done with what this node holds for it: connected
// peers, peers of open links, and peers that vanished less than grace ago.
func (m *Machine) Pending(now, grace time.Duration) []Pending {
	var list []Pending
	add := func(q *peer) {
		var n uint64
		for _, l := range m.logList {
			if c := q.cursors[l]; c != nil {
				n += c.remaining(m)
			}
		}
		if n > 0 {
			list = append(list, Pending{q.id, n})
		}
	}
	for _, q := range m.peerList {
		if q.active != nil || q.link != 0 || !q.clean && now-q.lostAt < grace {
			add(q)
		}
	}
	for _, id := range sortedKeys(m.pledges) {
		if id != 0 {
			add(m.pledges[id])
		}
	}
	return list
}

// DoneAt says whether every peer that wants it and is connected, or that a link is for, is done with our log up to seq, and
// how many of them there are.
func (m *Machine) DoneAt(lane uint8, seq uint64) (peers int, done bool) {
	done = true
	for _, c := range m.own[lane].cursors {
		if c.peer.active == nil && (c.peer.link == 0 || c.done() >= seq) {
			continue
		}
		peers++
		done = done && c.done() >= seq
	}
	return peers, done
}

// remaining is how many events the peer is not done with.
func (c *cursor) remaining(m *Machine) (n uint64) {
	from := max(c.done(), c.log.base)
	if held := min(c.clear(), c.log.base); held > c.done() {
		n = held - c.done() // let go of here, for the peer has them
	}
	if from >= c.log.have {
		return n
	}
	for i := c.log.search(from); i < c.log.entries.len(); i++ {
		if e := c.log.entries.at(i); e.kind == entryBatch && m.wants(c.peer, e.batch) {
			n += e.last - e.first + 1
		}
	}
	return n
}

func sortedKeys(set map[LinkID]*peer) []LinkID {
	keys := make([]LinkID, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// knownEpoch is the highest epoch seen of a node.
func (m *Machine) knownEpoch(id uuid.UUID) (epoch uint64) {
	for _, l := range m.logList {
		if l.id.Node == id {
			epoch = max(epoch, l.id.Epoch)
		}
	}
	if r := m.records[id]; r != nil {
		epoch = max(epoch, r.version.epoch)
	}
	if q := m.peers[id]; q != nil {
		epoch = max(epoch, q.epoch)
	}
	return epoch
}

// untold is the epoch that a node is told was seen of it: of the run before, while the one that is met may not have heard of that. It
// would not know that it has restarted if the first paths to it were lost too soon.
func (m *Machine) untold(id uuid.UUID) (epoch uint64) {
	epoch = m.knownEpoch(id)
	if q := m.peers[id]; q != nil && q.epoch == epoch && q.before > 0 {
		return q.before
	}
	return epoch
}

// Check panics if the machine's own books do not agree; tests call it after each step.
func (m *Machine) Check() {
	for _, l := range m.logList {
		var events, size, liveEvents, liveBytes int64
		pos := l.base
		for i := range l.entries.len() {
			e := l.entries.at(i)
			if e.first != pos+1 || e.last < e.first {
				panic(fmt.Sprintf("log %v: entry %d–%d after %d", l.id, e.first, e.last, pos))
			}
			pos = e.last
			events, size = events+e.events(), size+e.size
			if e.last > l.live {
				liveEvents, liveBytes = liveEvents+e.events(), liveBytes+e.size
			}
		}
		if pos != l.have || events != l.events || size != l.bytes || liveEvents != l.liveEvents || liveBytes != l.liveBytes {
			panic(fmt.Sprintf("log %v: have %d at %d, %d/%d events, %d/%d bytes, live %d/%d %d/%d",
				l.id, l.have, pos, l.events, events, l.bytes, size, l.liveEvents, liveEvents, l.liveBytes, liveBytes))
		}
		for _, c := range l.cursors {
			var unacked int64
			for i := c.acked; i < c.flight.len(); i++ {
				unacked += c.flight.at(i).size
			}
			if unacked != c.unacked {
				panic(fmt.Sprintf("log %v: cursor of %v: %d bytes in flight, %d counted", l.id, c.peer.id, unacked, c.unacked))
			}
		}
	}
	if !slices.IsSortedFunc(m.peerList, func(a, b *peer) int { return bytes.Compare(a.id[:], b.id[:]) }) {
		panic("peers out of order")
	}
}
