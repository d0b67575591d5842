package protocol

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// simConn is a connection: a control stream and a stream per lane, in each direction.
// The streams are not ordered among each other.
type simConn struct {
	w    *world
	ends [2]*simEnd // the dialler's first
	mute bool       // a black hole: nothing arrives any more, and nobody is told
	lag  func() time.Duration
}

// simEnd is one side of a connection.
type simEnd struct {
	conn   *simConn
	node   *simNode
	m      *Machine // the run of the node that it belongs to
	peer   *simEnd
	info   PathInfo
	out    map[int]*simPipe // by lane
	in     map[int]*simPipe
	added  bool // the machine knows of it
	met    bool // the machine knows the peer
	closed bool
	tap    *tap
}

const controlLane = -1

// simPipe is one direction of one stream: an ordered pipe of bytes.
type simPipe struct {
	from, to *simEnd
	lane     int
	flying   []flying
	size     int           // bytes on their way: the stream's send buffer
	last     time.Duration // when the newest arrives
	stalled  time.Duration // nothing arrives before
	dies     time.Duration // nothing arrives after; 0: never
	planned  bool
	blocked  bool // the sender waits for room
	broken   bool // nothing arrives any more
	read     []byte
	arrival  func() // the method arrive
}

type flying struct {
	at time.Duration
	b  []byte
}

const sendBuffer = 48 << 10

func (w *world) connect(a, b *simNode, link LinkID, nonce uint64) *simConn {
	c := &simConn{w: w, lag: w.lag}
	w.conns = append(w.conns, c)
	for i, n := range []*simNode{a, b} {
		c.ends[i] = &simEnd{conn: c, node: n, m: n.m, out: map[int]*simPipe{}, in: map[int]*simPipe{}, tap: newTap()}
	}
	for i, e := range c.ends {
		e.peer = c.ends[1-i]
		e.info = PathInfo{ID: PathID(w.nextID()), Peer: e.peer.node.id, Pref: uint8(w.rng.IntN(2))}
		if i == 0 {
			e.info.Dialed, e.info.Link, e.info.Nonce = true, link, nonce
		}
		for lane := controlLane; lane < maxSimLanes; lane++ {
			p := &simPipe{from: e, to: e.peer, lane: lane}
			p.arrival = p.arrive
			e.out[lane], e.peer.in[lane] = p, p
		}
		w.after(w.lag(), e.add)
	}
	return c
}

const maxSimLanes = 4

// add hands the connection to its node.
func (e *simEnd) add() {
	if e.closed || e.node.m != e.m {
		e.shut(CodeInternal, "gone")
		return
	}
	e.added = true
	e.conn.w.disturb(0)
	e.node.ends[e.info.ID] = e
	e.conn.w.trace("%s: path %d to %s", e.node, e.info.ID, e.peer.node)
	e.m.AddPath(e.conn.w.now, e.info)
	e.node.pump()
	for lane := controlLane; lane < maxSimLanes; lane++ {
		e.in[lane].schedule()
	}
}

// flushSoon has a writer send what there is, at once or when it gets round to it.
func (p *simPipe) flushSoon() {
	w := p.from.conn.w
	if w.tardy && w.chance(0.1) {
		w.after(w.between(0, 80*time.Millisecond), func() {
			p.flush()
			p.from.node.pump()
		})
		return
	}
	p.flush()
}

// flush sends what the machine has for a stream, as far as its buffer takes it.
func (p *simPipe) flush() {
	e := p.from
	w := e.conn.w
	for !e.closed && e.m == e.node.m {
		if p.size >= sendBuffer {
			p.blocked = true
			return
		}
		b := w.polled[:0]
		if p.lane == controlLane {
			b = e.m.PollControl(w.now, e.info.ID, b)
			if !w.large {
				e.tap.control(e, b)
			}
		} else {
			frames, batch := e.m.PollData(w.now, e.info.ID, uint8(p.lane), b)
			b = frames
			if batch != nil {
				b = append(b, batch.Bytes()...)
				batch.Free()
			}
			if !w.large {
				e.tap.data(e, p.lane, b)
			}
		}
		w.polled = b
		if len(b) == 0 {
			return
		}
		p.send(slices.Clone(b))
	}
}

// send puts bytes on their way, in one piece or in several.
func (p *simPipe) send(b []byte) {
	w := p.from.conn.w
	p.size += len(b)
	for len(b) > 0 {
		n := len(b)
		if !w.large && n > 1 && w.chance(0.2) {
			n = 1 + w.rng.IntN(n-1)
		}
		p.last = max(p.last, w.now+p.from.conn.lag())
		p.flying = append(p.flying, flying{p.last, b[:n]})
		b = b[n:]
	}
	p.schedule()
}

// schedule plans the next arrival.
func (p *simPipe) schedule() {
	if p.planned || len(p.flying) == 0 {
		return
	}
	p.planned = true
	w := p.from.conn.w
	at := max(p.flying[0].at, p.stalled, w.now)
	w.plan.add(at, p.arrival)
}

func (p *simPipe) arrive() {
	p.planned = false
	w := p.from.conn.w
	e := p.to
	if len(p.flying) == 0 || p.broken || e.closed || !e.added || p.from.conn.mute {
		return
	}
	if p.lane != controlLane && !e.greeted() {
		return // a data stream is read once its peer is known
	}
	if w.now < p.stalled {
		p.schedule()
		return
	}
	f := p.flying[0]
	p.flying = p.flying[1:]
	p.size -= len(f.b)
	if p.dies > 0 && f.at > p.dies {
		p.broken = true
		f.b = f.b[:w.rng.IntN(len(f.b))] // the stream ends anywhere, even in the middle of a frame
	}
	if len(p.read) == 0 {
		p.read = f.b[:len(f.b):len(f.b)] // which nobody writes to
	} else {
		p.read = append(p.read, f.b...)
	}
	p.parse()
	if w.large { // a step is all that comes at one time, and not a frame
		e.node.pumpSoon()
	}
	p.schedule()
	if p.blocked {
		p.blocked = false
		p.flush()
		if !p.from.closed {
			p.from.node.pump()
		}
	}
}

// parse takes whole frames off what was read.
func (p *simPipe) parse() {
	e := p.to
	for !e.closed {
		size, n := binary.Uvarint(p.read)
		if n <= 0 || uint64(len(p.read)-n) < size {
			return
		}
		end := n + int(size)
		frame := p.read[n:end:end]
		p.read = p.read[end:]
		e.receive(p.lane, frame[0], frame[1:])
	}
}

func (e *simEnd) greeted() bool {
	if !e.met {
		p := e.m.paths[e.info.ID]
		e.met = p != nil && p.peer != nil
	}
	return e.met
}

// receive hands a frame to the machine.
func (e *simEnd) receive(lane int, kind byte, body []byte) {
	w := e.conn.w
	w.frames++
	w.bytes += 2 + len(body)
	w.kinds[kind]++
	if w.tracef != nil {
		w.trace("%s: path %d from %s lane %d: frame %#x of %d bytes", e.node, e.info.ID, e.peer.node, lane, kind, len(body))
	}
	var err error
	if lane == controlLane {
		knew := e.greeted()
		if !w.large {
			e.tap.heard(e, kind, body)
		}
		err = e.m.HandleControl(w.now, e.info.ID, kind, body)
		if !knew && e.greeted() {
			for lane := range maxSimLanes {
				e.in[lane].schedule()
			}
		}
	} else if kind == frameOpen {
		if got, perr := ParseOpen(kind, body); perr != nil || int(got) != lane {
			w.failf("%s: stream of lane %d opened as %d: %v", e.node, lane, got, perr)
		}
		return
	} else {
		err = e.m.HandleData(w.now, e.info.ID, uint8(lane), kind, body, nil)
	}
	var ce *CloseError
	if errors.As(err, &ce) {
		if ce.Code == CodeViolation {
			w.failf("%s: path %d from %s: frame %#x: %v", e.node, e.info.ID, e.peer.node, kind, err)
		}
		e.shut(ce.Code, ce.Reason)
	} else if err != nil {
		w.failf("%s: not a close error: %v", e.node, err)
	}
	if !w.large || e.closed {
		e.node.pump()
	}
}

// shut closes the connection from this side, and tells this machine and the other.
func (e *simEnd) shut(code Code, reason string) {
	e.lost(code, reason)
	e.hangUp(code, reason)
}

// hangUp ends the connection for the other side: what is under way arrives in part.
func (e *simEnd) hangUp(code Code, reason string) {
	e.closed = true
	w := e.conn.w
	for lane := controlLane; lane < maxSimLanes; lane++ {
		e.out[lane].dies = w.now + w.lag()/2
	}
	if other := e.peer; !e.conn.mute {
		w.after(w.lag(), func() { other.lost(code, reason) })
	}
}

// lost tells the machine that its connection is gone.
func (e *simEnd) lost(code Code, reason string) {
	if e.closed {
		return
	}
	e.closed = true
	w := e.conn.w
	w.disturb(0)
	if e.peer.closed {
		w.conns = slices.DeleteFunc(w.conns, func(c *simConn) bool { return c == e.conn })
	}
	e.node.unlink(e, code)
	if e.added && e.node.m == e.m {
		w.trace("%s: path %d to %s lost: %d %s", e.node, e.info.ID, e.peer.node, code, reason)
		delete(e.node.ends, e.info.ID)
		e.m.PathClosed(w.now, e.info.ID, code, reason)
		e.node.pump()
	}
}

// cut breaks the connection: each stream loses what arrives after a moment of
// its own, and the two sides notice independently.
func (c *simConn) cut() {
	w := c.w
	w.trace("cut %s–%s", c.ends[0].node, c.ends[1].node)
	w.disturb(150 * time.Millisecond)
	for _, e := range c.ends {
		for lane := controlLane; lane < maxSimLanes; lane++ {
			e.out[lane].dies = w.now + w.between(0, 60*time.Millisecond)
		}
		w.after(w.between(0, 150*time.Millisecond), func() { e.lost(CodeTimeout, "cut") })
	}
}

// stall holds back one direction.
func (c *simConn) stall(end int, d time.Duration) {
	w := c.w
	w.trace("stall %s→%s for %v", c.ends[end].node, c.ends[1-end].node, d)
	w.disturb(d)
	for lane := controlLane; lane < maxSimLanes; lane++ {
		c.ends[end].out[lane].stalled = w.now + d
	}
}
