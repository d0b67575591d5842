package protocol

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// PathInfo describes a connection handed to [Machine.AddPath].
type PathInfo struct {
	ID     PathID
	Peer   uuid.UUID // proved by the transport
	Dialed bool      // we dialled it
	Link   LinkID    // of a dialled path
	Pref   uint8     // the transport's place in our configuration
	Nonce  uint64    // of a dialled path: grows with each attempt of this node
}

// path is a connection, bound to a peer once its hello was accepted (§5).
type path struct {
	info      PathInfo
	peer      *peer // nil until the hello
	theirs    hello
	remembers uint64 // the highest epoch of the peer seen before that, or of a run that this one has not heard of
	greeted   bool   // our hello and snapshot were queued
	began     uint64 // our clock when it came
	snapshot  uint64 // our clock when that was made
	known     uint64 // up to which moment of ours the peer was told that it knows everything
	up        bool   // the peer's snapshot is complete
	crossed   bool   // a vector came after that: the peer has ours, too
	silent    bool   // the peer does not answer on it
	closing   bool

	woken       bool
	sayHello    bool
	sayReady    bool
	records     []*record
	told, heard bases // of the peer, and by it
	echoes      []recordVersion
	prunes      []prune
	grafts      []*log
	reports     []report
	wants       []*want
	nones       []none
	pings       []uint64
	pongs       []uint64
	bye         int // data streams told in a bye, plus one
	vectors     map[*log]*vectorState
	dirty       []*vectorState
	vectorDue   bool
	lastVector  time.Duration
	lastSent    time.Duration
	lastHeard   time.Duration
	lastData    time.Duration
	vectorTimer timer
	aliveTimer  timer
	deadTimer   timer
	skipTimer   timer
	probe       probe

	aliases      []codec.LogID        // of the peer's vectors
	listed       map[codec.LogID]bool // the logs that have one of these
	nextAlias    uint64               // of ours
	spareAliases []uint64
	out          [maxLanes]*stream
	in           [maxLanes]*streamIn
}

// report tells a log's origin what a receiver misses.
type report struct {
	log         codec.LogID
	first, last uint64
	reason      Reason
	receiver    uuid.UUID
}

// AddPath takes on a connection. The dialler greets at once; the other side
// waits for the hello.
func (m *Machine) AddPath(now time.Duration, info PathInfo) {
	p := &path{info: info, remembers: m.untold(info.Peer), began: m.clock, vectors: make(map[*log]*vectorState), listed: make(map[codec.LogID]bool), lastHeard: now, lastSent: now, lastData: now, lastVector: now - time.Hour}
	p.vectorTimer.fire = func(time.Duration) { p.vectorDue = true; m.wakeControl(p) }
	p.aliveTimer.fire = func(now time.Duration) { m.keepAlive(now, p) }
	p.deadTimer.fire = func(now time.Duration) { m.checkSilence(now, p) }
	p.skipTimer.fire = func(time.Duration) { m.flushSkips(p) }
	p.probe.timer.fire = func(now time.Duration) { m.suspect(now, p) }
	m.paths[info.ID] = p
	m.timers.set(&p.deadTimer, now+m.cfg.HelloTimeout)
	m.timers.set(&p.aliveTimer, now+m.aliveInterval(p))
	if info.Peer == m.cfg.ID {
		m.closePath(p, CodeSelf, "")
		return
	}
	if info.Dialed {
		m.greet(p)
	}
}

// greet queues our hello and snapshot: records, vectors, ready.
func (m *Machine) greet(p *path) {
	p.greeted, p.sayHello, p.sayReady, p.vectorDue = true, true, true, true
	p.records = append(p.records[:0], m.recordList...)
	p.snapshot = m.clock
	for _, l := range m.logList {
		m.markVector(p, l)
	}
	m.wakeControl(p)
}

func (m *Machine) hello(p *path) hello {
	return hello{
		min: Version, max: Version,
		node: m.cfg.ID, epoch: m.cfg.Epoch, known: p.remembers,
		nonce: p.info.Nonce, pref: p.info.Pref,
		maxBatch: m.cfg.MaxBatch, timeout: m.cfg.Timeout,
		name: m.cfg.Name, channel: m.cfg.Channel,
	}
}

// handleHello accepts the peer, or ends the path with the code that says why.
func (m *Machine) handleHello(now time.Duration, p *path, body []byte) error {
	if p.peer != nil {
		return violation("a second hello")
	}
	h, err := parseHello(body)
	if err != nil {
		return err
	}
	switch {
	case h.node != p.info.Peer:
		return &CloseError{CodeWrongID, fmt.Sprintf("the certificate is of %s, the hello of %s", p.info.Peer, h.node)}
	case h.channel != m.cfg.Channel:
		return &CloseError{CodeChannel, fmt.Sprintf("%q here, %q there", m.cfg.Channel, h.channel)}
	case h.maxBatch < reserveWindow:
		return violation("hello: largest batch of %d bytes", h.maxBatch)
	}
	known := m.peers[h.node]
	if known != nil && len(known.paths) > 0 {
		if h.epoch < known.epoch {
			return &CloseError{CodeSuperseded, ""}
		}
		if h.epoch > known.epoch {
			for _, old := range bytesCopy(known.paths) {
				m.closePath(old, CodeSuperseded, "")
			}
		}
	} else if m.connected >= m.cfg.MaxPeers {
		return &CloseError{CodeFull, fmt.Sprintf("%d peers are connected", m.connected)}
	}
	if h.known > m.cfg.Epoch && m.renew(h.known+1+m.cfg.Leap) {
		reason := fmt.Sprintf("going on under epoch %d", m.cfg.Epoch)
		for _, id := range slices.Sorted(maps.Keys(m.paths)) {
			if other := m.paths[id]; other != p && other.greeted {
				m.closePath(other, CodeInternal, reason)
			}
		}
		if p.greeted {
			return &CloseError{CodeInternal, reason}
		}
	}
	p.theirs, p.remembers = h, m.knownEpoch(h.node)
	again := known != nil && known.epoch == h.epoch
	if again {
		p.remembers = m.untold(h.node)
	}
	if h.known > 0 && h.known < m.cfg.Epoch && m.reborn.index == 0 {
		m.timers.set(&m.reborn, now+min(orphanGrace, m.cfg.BufferTimeout))
	}
	m.adopt(now, p)
	if !again {
		p.peer.before = p.remembers
	}
	if !p.greeted {
		m.greet(p)
		return nil
	}
	for _, rec := range m.recordList { // nothing was flooded here between our greeting and now
		if rec.stamp > p.snapshot {
			m.queueRecord(p, rec)
		}
	}
	return nil
}

func versionText(h hello) string {
	return fmt.Sprintf("version %d here, %d to %d there", Version, h.min, h.max)
}

func bytesCopy[T any](s []T) []T { return append([]T(nil), s...) }

// handleReady marks the end of the peer's snapshot: the path can carry data.
func (m *Machine) handleReady(now time.Duration, p *path) error {
	if p.up {
		return violation("a second ready")
	}
	p.up, m.upped = true, true
	m.timers.lower(&p.deadTimer, now+m.cfg.Timeout)
	m.emit(Event{Kind: EventUp, Path: p.info.ID, Peer: p.peer.id, Text: p.theirs.name})
	for _, other := range p.peer.paths {
		if other != p && other.up { // the peer may know that it is lost
			m.ask(now, other)
		}
	}
	m.ask(now, p) // to know how long an answer takes
	m.choosePath(now, p.peer)
	// A vector now, even if it is empty, shows the peer that its snapshot arrived.
	p.vectorDue = true
	m.wakeControl(p)
	return nil
}

// closePath asks the owner to close a path, and forgets it at once.
func (m *Machine) closePath(p *path, code Code, reason string) {
	if p.closing {
		return
	}
	p.closing = true
	m.emit(Event{Kind: EventClose, Path: p.info.ID, Peer: p.info.Peer, Code: code, Text: reason})
	m.dropPath(m.now, p, code, reason)
}

// PathClosed tells the machine that a connection is gone.
func (m *Machine) PathClosed(now time.Duration, id PathID, code Code, reason string) {
	m.now = now
	if p := m.paths[id]; p != nil {
		m.dropPath(now, p, code, reason)
	}
}

func (m *Machine) dropPath(now time.Duration, p *path, code Code, reason string) {
	delete(m.paths, p.info.ID)
	for _, t := range []*timer{&p.vectorTimer, &p.aliveTimer, &p.deadTimer, &p.skipTimer, &p.probe.timer} {
		m.timers.stop(t)
	}
	switch q := m.peers[p.info.Peer]; {
	case p.peer != nil:
		m.detach(now, p, code, reason)
	case code == CodeSurplus && p.info.Dialed && q != nil && m.removePledge(p.info.Link) != nil:
		// The peer, whose hello has not arrived yet, has a better path to us already.
		q.link = p.info.Link
		m.settleAll(now)
	}
}

// less orders the paths of one peer, the best first, alike on both sides (§5.3).
func (m *Machine) less(a, b *path) bool {
	if a.up != b.up {
		return a.up
	}
	if a.silent != b.silent {
		return b.silent
	}
	if x, y := m.smallerPref(a), m.smallerPref(b); x != y {
		return x < y
	}
	if x, y := m.diallerOf(a), m.diallerOf(b); x != y {
		return bytes.Compare(x[:], y[:]) < 0
	}
	return m.nonceOf(a) > m.nonceOf(b)
}

func (m *Machine) weAreSmaller(p *path) bool {
	return bytes.Compare(m.cfg.ID[:], p.info.Peer[:]) < 0
}

func (m *Machine) smallerPref(p *path) uint8 {
	if m.weAreSmaller(p) {
		return p.info.Pref
	}
	return p.theirs.pref
}

func (m *Machine) diallerOf(p *path) uuid.UUID {
	if p.info.Dialed {
		return m.cfg.ID
	}
	return p.info.Peer
}

func (m *Machine) nonceOf(p *path) uint64 {
	if p.info.Dialed {
		return p.info.Nonce
	}
	return p.theirs.nonce
}

// choosePath moves a peer's cursors to its best path. The node with the
// smaller id retires the others, once the peer has shown that it uses the best.
func (m *Machine) choosePath(now time.Duration, q *peer) {
	var best *path
	for _, p := range q.paths {
		if p.up && (best == nil || m.less(p, best)) {
			best = p
		}
	}
	if best == nil {
		return
	}
	if q.active != best {
		m.activate(now, q, best)
	}
	m.retireSurplus(q)
}

func (m *Machine) retireSurplus(q *peer) {
	if q.active == nil || !q.active.crossed || q.active.probe.open || !m.weAreSmaller(q.active) {
		return
	}
	for _, p := range bytesCopy(q.paths) {
		if p != q.active && p.up {
			m.closePath(p, CodeSurplus, "")
		}
	}
}

// wakeControl tells the owner that PollControl has something.
func (m *Machine) wakeControl(p *path) {
	if !p.woken && !p.closing {
		p.woken = true
		m.emit(Event{Kind: EventControl, Path: p.info.ID})
	}
}
