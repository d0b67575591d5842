package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// hostile is a peer that says what it likes to a machine, which also has an honest peer
// that does not read, and local consumers that are never done.
type hostile struct {
	m      *Machine
	now    time.Duration
	path   PathID
	seen   []Event
	polls  bool // reads what the machine says
	eager  bool // the local consumers are done at once
	honest PathID
}

func newHostile() *hostile {
	cfg := simConfig()
	cfg.ID, cfg.Epoch, cfg.MaxOrigins, cfg.MaxPeers = simID(0), 1, 8, 4
	cfg.BufferMax, cfg.ReceiveBytes, cfg.MaxBatch = 100, 64<<10, reserveWindow
	h := &hostile{m: New(0, cfg), honest: 1, path: 2}
	h.m.SetPatterns(0, []string{">"})
	h.m.AddPath(0, PathInfo{ID: h.honest, Peer: simID(2)})
	h.hello(h.honest, simID(2))
	rec := record{version: recordVersion{simID(2), 1, 1}, patterns: []string{">"}}
	h.mustControl(h.honest, frameRecord, rec.append(nil))
	h.mustControl(h.honest, frameReady, nil)
	h.drain()
	h.m.AddPath(0, PathInfo{ID: h.path, Peer: simID(1)})
	return h
}

func (h *hostile) hello(path PathID, id uuid.UUID) { h.helloOf(path, id, 1) }

func (h *hostile) helloOf(path PathID, id uuid.UUID, epoch uint64) {
	hi := hello{min: Version, max: Version, node: id, epoch: epoch, maxBatch: 1 << 20, timeout: time.Minute, channel: "sim"}
	h.mustControl(path, frameHello, hi.append(nil))
}

func (h *hostile) greet() {
	h.hello(h.path, simID(1))
	h.mustControl(h.path, frameReady, nil)
}

func (h *hostile) mustControl(path PathID, kind byte, body []byte) {
	if err := h.m.HandleControl(h.now, path, kind, body); err != nil {
		panic(err)
	}
	h.drain()
}

func (h *hostile) mustData(kind byte, body []byte) {
	if err := h.data(kind, body); err != nil {
		panic(err)
	}
}

func (h *hostile) control(kind byte, body []byte) error {
	defer h.drain()
	return h.m.HandleControl(h.now, h.path, kind, body)
}

func (h *hostile) data(kind byte, body []byte) error {
	defer h.drain()
	return h.m.HandleData(h.now, h.path, 0, kind, body, nil)
}

// drain does what the machine's events ask for.
func (h *hostile) drain() {
	for e, ok := h.m.PollEvent(); ok; e, ok = h.m.PollEvent() {
		switch e.Kind {
		case EventDeliver, EventGap:
			h.m.Dispatched(h.now, e.Log, e.Last, 1)
			if h.eager {
				h.m.Release(h.now, e.Log, e.Last)
			}
		case EventControl:
			for h.polls && len(h.m.PollControl(h.now, e.Path, nil)) > 0 {
			}
		case EventData:
			for h.polls {
				if b, batch := h.m.PollData(h.now, e.Path, e.Lane, nil); len(b) == 0 && batch == nil {
					break
				}
			}
		}
		if len(h.seen) < 1000 {
			h.seen = append(h.seen, e)
		}
	}
	h.m.Check()
}

func (h *hostile) event(k Kind) (last Event) {
	for _, e := range h.seen {
		if e.Kind == k {
			last = e
		}
	}
	return last
}

func (h *hostile) log(epoch uint64) codec.LogID { return codec.LogID{Node: simID(1), Epoch: epoch} }

// own is the machine's own log.
func (h *hostile) own() codec.LogID { return h.m.own[0].id }

// append adds a batch of one event to that.
func (h *hostile) append() {
	h.m.Append(h.now, h.seal(h.own(), h.m.own[0].have+1, 1))
	h.drain()
}

// listen has the peer want everything.
func (h *hostile) listen() {
	rec := record{version: recordVersion{simID(1), 1, 1}, patterns: []string{">"}}
	h.mustControl(h.path, frameRecord, rec.append(nil))
}

// read takes what there is on the peer's data stream.
func (h *hostile) read() {
	for {
		b, batch := h.m.PollData(h.now, h.path, 0, nil)
		if batch != nil {
			batch.Free()
		} else if len(b) == 0 {
			return
		}
	}
}

// wait lets time pass, in which both peers say that they are there.
func (h *hostile) wait(d time.Duration) {
	h.now += d
	h.mustControl(h.path, frameVector, nil)
	h.mustControl(h.honest, frameVector, nil)
	h.m.Tick(h.now)
	h.drain()
}

// vector is one of a single log, which has alias 0.
func vector(log codec.LogID, have, done, window uint64) []byte {
	return append(appendLog(uvarints(1), log), uvarints(have, have, have-done, window)...)
}

func appendGraft(log codec.LogID, from uint64) []byte {
	return append(appendLog(nil, log), uvarints(from)...)
}

func (h *hostile) seal(log codec.LogID, first uint64, count int) *codec.Batch {
	return sealed(log, first, count, 8, "a.x")
}

func sealed(log codec.LogID, first uint64, count, payload int, topic string) *codec.Batch {
	b := codec.NewBuilder(log, first)
	for range count {
		b.Append(topic, codec.EncodingRaw, 0, nil, make([]byte, payload))
	}
	return b.Seal(nil)
}

func appendStart(b []byte, alias uint64, log codec.LogID, run, prev uint64) []byte {
	b = appendLog(binary.AppendUvarint(b, alias), log)
	return binary.AppendUvarint(binary.AppendUvarint(b, run), prev)
}

func uvarints(v ...uint64) (b []byte) {
	for _, x := range v {
		b = binary.AppendUvarint(b, x)
	}
	return b
}

func floodID(i int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)+1000)
	return id
}

// size is what a machine holds, in things that a peer can make it hold.
func (m *Machine) size() (n int) {
	n = len(m.questions) + len(m.logList) + len(m.peerList) + len(m.recordList) + m.events.len() + len(m.timers.heap) + len(m.heard)
	for _, l := range m.logList {
		n += l.entries.len() + len(l.cursors)
		for _, c := range l.cursors {
			n += c.flight.len() + len(c.lost) + len(c.skips)
		}
	}
	for _, q := range m.peerList {
		n += len(q.remote) + len(q.wanted) + len(q.patterns)
	}
	for _, p := range m.paths {
		n += len(p.records) + len(p.told) + len(p.heard) + len(p.echoes) + len(p.grafts) + len(p.prunes) + len(p.wants) + len(p.nones) + len(p.reports) + len(p.pings) + len(p.pongs) + len(p.vectors) + len(p.dirty) + len(p.aliases)
		for _, s := range p.in {
			if s != nil {
				n += len(s.runs)
			}
		}
		for _, s := range p.out {
			if s != nil {
				n += s.queue.len() + s.gives.len()
			}
		}
	}
	return n
}

// Two senders that each keep to their credit may bring more than it together, for one has skipped what the other brings. Neither is
// to blame, and what is beyond is not kept: the second is asked to go on from what there is.
func TestTwoSendersBringMoreThanTheCredit(t *testing.T) {
	const size = 8 << 10
	h := newHostile()
	h.greet()
	id := h.log(1)
	send := func(path PathID, kind byte, body []byte) {
		t.Helper()
		if err := h.m.HandleData(h.now, path, 0, kind, body, nil); err != nil {
			t.Fatal(err)
		}
		h.drain()
	}
	next := uint64(1)
	for _, path := range []PathID{h.path, h.honest} {
		send(path, frameStart, appendStart(nil, 0, id, 1, next-1))
		for sent := 0; sent < reserveWindow+h.m.cfg.MaxBatch; sent += size {
			b := sealed(id, next, 1, size, "a.x")
			send(path, frameBatch, append(uvarints(0, next-1, 0), b.Bytes()...))
			next++
		}
	}
	l := h.m.logs[id]
	if most := l.edge + int64(h.m.cfg.MaxBatch) + 2*size; l.received > most || l.have >= next-1 {
		t.Errorf("%d bytes are kept, up to %d, at most %d may be", l.received, l.have, most)
	}
	if g := h.said(h.honest, frameGraft); len(g) != 1 || !bytes.Equal(g[0], appendGraft(id, l.have+1)) {
		t.Errorf("the second is asked %v, for what follows %d", g, l.have)
	}
}

// Who was asked for what is missing is asked again, too, when it brought more than the credit.
func TestWhoWasAskedAndBringsTooMuchIsAskedAgain(t *testing.T) {
	h := newHostile()
	h.greet()
	h.mustControl(h.path, frameVector, vector(h.log(1), 100, 100, 0))
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	l := h.m.logs[h.log(1)]
	h.m.graftAny(l)
	h.said(h.path, frameGraft)
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 2, 0))
	for next := uint64(1); l.have+1 == next; next++ {
		b := sealed(h.log(1), next, 1, 8<<10, "a.x")
		h.mustData(frameBatch, append(uvarints(0, next-1, 0), b.Bytes()...))
	}
	if g := h.said(h.path, frameGraft); len(g) != 1 {
		t.Errorf("%d grafts after it went past %d", len(g), l.have)
	}
}

// A peer fills a log with entries behind an event that a handler holds. Another that goes on with the log is not to blame: what it sends
// is passed over, without asking for it again and again, and asked for once there is room.
func TestFullOfEntriesIsNobodysFault(t *testing.T) {
	h := newHostile()
	h.greet()
	id := h.log(1)
	h.mustData(frameStart, appendStart(nil, 0, id, 1, 0))
	h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(id, 1, 1).Bytes()...))
	l := h.m.logs[id]
	for !h.m.crowded(l) {
		h.mustData(frameJudged, uvarints(0, l.have%2))
		h.mustData(frameSkip, uvarints(0, l.have, l.have+1))
	}
	full := l.have
	h.path, h.honest = h.honest, h.path
	h.mustControl(h.path, frameVector, vector(id, full+3, full+3, 0))
	for run, frame := range []struct {
		kind byte
		body []byte
	}{
		{frameBatch, append(uvarints(0, full, 0), h.seal(id, full+1, 1).Bytes()...)},
		{frameSkip, uvarints(0, full, full+1)},
		{frameAbsent, append(uvarints(0, full, full+1, full+1), byte(ReasonExpired))},
	} {
		h.mustData(frameStart, appendStart(nil, 0, id, uint64(run), full))
		h.mustData(frame.kind, frame.body)
		h.mustData(frameBatch, append(uvarints(0, full+1, 0), h.seal(id, full+2, 1).Bytes()...))
		h.mustData(frameFin, uvarints(0, full+2))
	}
	if n := len(h.said(h.path, frameGraft)); l.have != full || n != 0 {
		t.Errorf("it is at %d after %d, and asks %d times", l.have, full, n)
	}
	h.m.Release(h.now, id, 1)
	h.drain()
	h.tick(time.Second)
	g := h.said(h.path, frameGraft)
	if len(g) == 0 || !bytes.Equal(g[0], appendGraft(id, full+1)) {
		t.Fatalf("it asks %v once there is room", g)
	}
	h.mustData(frameStart, appendStart(nil, 0, id, 9, full))
	h.mustData(frameBatch, append(uvarints(0, full, 0), h.seal(id, full+1, 1).Bytes()...))
	if l.have != full+1 {
		t.Errorf("it is at %d after %d", l.have, full)
	}
}

// A graft that waits to be sent asks for what follows the vector that goes before it, and not for what has come meanwhile; and for nothing of a
// log that is over.
func TestGraftAsksForWhatFollowsItsVector(t *testing.T) {
	h := newHostile()
	h.m.cfg.BufferTimeout, h.eager = 4*time.Second, true
	h.greet()
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 2, 5)) // ahead
	l := h.m.logs[h.log(1)]
	h.path, h.honest = h.honest, h.path
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(h.log(1), 1, 3).Bytes()...))
	if g := h.said(h.honest, frameGraft); l.have != 3 || len(g) != 1 || !bytes.Equal(g[0], appendGraft(h.log(1), 4)) {
		t.Errorf("it is at %d, and asks %v", l.have, g)
	}
	h.m.askFor(h.m.paths[h.honest], l)
	h.mustData(frameFin, uvarints(0, 3))
	for h.m.logs[h.log(1)] != nil {
		h.wait(time.Second)
	}
	if g := h.said(h.honest, frameGraft); len(g) != 0 {
		t.Errorf("it asks for what follows in a log that it has forgotten")
	}
}

// The START of an earlier run that comes late, on a path that is slower, does not take the place of the run that its peer is in.
func TestLateStartOnASlowerPathIsOfAnEarlierRun(t *testing.T) {
	h := newHostile()
	h.greet()
	const other = 3
	h.m.AddPath(h.now, PathInfo{ID: other, Peer: simID(1)})
	h.hello(other, simID(1))
	h.mustControl(other, frameReady, nil)
	slower := h.path
	h.path = other
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 5, 0))
	h.path = slower
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 4, 0))
	h.path = other
	h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(h.log(1), 1, 1).Bytes()...))
	l := h.m.logs[h.log(1)]
	if l.parent != h.m.peers[simID(1)] {
		t.Error("who brings what is fresh is not the parent")
	}
	h.m.PathClosed(h.now, other, CodeNormal, "")
	h.path = slower
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 1)) // its cursor began anew
	h.mustData(frameBatch, append(uvarints(0, 1, 0), h.seal(h.log(1), 2, 1).Bytes()...))
	if c := h.m.peers[simID(1)].cursors[l]; c.theirs.run != 1 {
		t.Errorf("its run is %d", c.theirs.run)
	}
}

// A gap may end inside a batch, where a member has said that others go on there. Who holds the batch, and who lacks its end, go on after
// it all the same.
func TestGapThatEndsInsideABatch(t *testing.T) {
	t.Run("sender", func(t *testing.T) {
		h := newHostile()
		h.greet()
		h.listen()
		h.m.Append(h.now, h.seal(h.own(), 1, 10))
		h.m.Append(h.now, h.seal(h.own(), 11, 5))
		h.mustControl(h.path, frameGraft, appendGraft(h.own(), 6))
		var kinds []byte
		var absent []byte
		for {
			b, batch := h.m.PollData(h.now, h.path, 0, nil)
			if len(b) == 0 {
				break
			}
			if batch != nil {
				if batch.First != 11 {
					t.Errorf("the peer is at 5, and is sent %d to %d", batch.First, batch.Last())
				}
				kinds = append(kinds, frameBatch)
				continue
			}
			eachFrame(b, func(kind byte, body []byte) {
				if kind == frameAbsent {
					kinds, absent = append(kinds, kind), body
				}
			})
		}
		if want := append(uvarints(0, 5, 6, 10), byte(ReasonGone)); !bytes.Equal(kinds, []byte{frameAbsent, frameBatch}) || !bytes.Equal(absent, want) {
			t.Errorf("it sends %#x, with %v as absent", kinds, absent)
		}
	})
	t.Run("receiver", func(t *testing.T) {
		h := newHostile()
		h.greet()
		h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
		h.mustData(frameAbsent, append(uvarints(0, 0, 1, 5), byte(ReasonExpired))) // nobody is asked for that
		h.mustData(frameStart, appendStart(nil, 0, h.log(1), 2, 0))
		h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(h.log(1), 1, 10).Bytes()...))
		g := h.said(h.path, frameGraft)
		if have := h.m.logs[h.log(1)].have; have != 5 || len(g) != 1 || !bytes.Equal(g[0], appendGraft(h.log(1), 6)) {
			t.Errorf("it is at %d, and asks %v", have, g)
		}
	})
}

// Whatever a peer floods us with, while neither it nor another peer reads and nobody
// here takes anything, what we hold stays within bounds, or the peer is cut off.
func TestFloodsAreBounded(t *testing.T) {
	const many = 30_000
	open := func(h *hostile) { h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0)) }
	for _, c := range []struct {
		name  string
		begin func(h *hostile)
		flood func(h *hostile, i int) error
	}{
		{"skips", open, func(h *hostile, i int) error { return h.data(frameSkip, uvarints(0, uint64(i), uint64(i)+1)) }},
		{"skips behind a batch", func(h *hostile) {
			open(h)
			h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(h.log(1), 1, 1).Bytes()...))
		}, func(h *hostile, i int) error { return h.data(frameSkip, uvarints(0, uint64(i)+1, uint64(i)+2)) }},
		{"absences", open, func(h *hostile, i int) error {
			return h.data(frameAbsent, append(uvarints(0, uint64(i), uint64(i)+1, uint64(i)+1), byte(1+i%2)))
		}},
		{"batches", open, func(h *hostile, i int) error {
			return h.data(frameBatch, append(uvarints(0, uint64(i), 0), h.seal(h.log(1), uint64(i)+1, 1).Bytes()...))
		}},
		{"starts", nil, func(h *hostile, i int) error {
			return h.data(frameStart, appendStart(nil, uint64(i%16), codec.LogID{Node: floodID(i), Epoch: 1}, 1, 0))
		}},
		{"starts ahead", open, func(h *hostile, i int) error {
			return h.data(frameStart, appendStart(nil, 0, h.log(1), uint64(i), uint64(i)))
		}},
		{"records", nil, func(h *hostile, i int) error {
			rec := record{version: recordVersion{floodID(i), 1, 1}}
			return h.control(frameRecord, rec.append(nil))
		}},
		{"versions", nil, func(h *hostile, i int) error {
			rec := record{version: recordVersion{simID(1), 1, uint64(i) + 2}, patterns: []string{"x"}}
			return h.control(frameRecord, rec.append(nil))
		}},
		{"long records", nil, func(h *hostile, i int) error {
			rec := record{version: recordVersion{floodID(i), 1, 1}, neighbours: []uuid.UUID{simID(0), simID(1), simID(2), simID(3)}}
			return h.control(frameRecord, rec.append(nil))
		}},
		{"old versions", func(h *hostile) {
			rec := record{version: recordVersion{simID(1), 1, many}}
			h.mustControl(h.path, frameRecord, rec.append(nil))
		}, func(h *hostile, i int) error {
			rec := record{version: recordVersion{simID(1), 1, uint64(i % 1000)}}
			return h.control(frameRecord, rec.append(nil))
		}},
		{"vectors", nil, func(h *hostile, i int) error {
			b := appendLog(uvarints(uint64(i%64)<<1|1), codec.LogID{Node: floodID(i), Epoch: 1})
			return h.control(frameVector, append(b, uvarints(5, 1, 1, 1)...))
		}},
		{"grafts", func(h *hostile) { h.m.Append(0, h.seal(codec.LogID{Node: simID(0), Epoch: 1}, 1, 3)) }, func(h *hostile, i int) error {
			return h.control(frameGraft, append(appendLog(nil, codec.LogID{Node: simID(0), Epoch: 1}), 1))
		}},
		{"prunes", open, func(h *hostile, i int) error {
			return h.control(framePrune, append(appendLog(nil, h.log(1)), uvarints(uint64(i))...))
		}},
		{"wants", nil, func(h *hostile, i int) error {
			w := want{id: wantID{floodID(i), uint64(i)}, log: h.log(uint64(i)), from: 1}
			return h.control(frameWant, w.append(nil))
		}},
		{"wants of what is there", func(h *hostile) {
			for i := range uint64(50) {
				h.m.Append(0, h.seal(codec.LogID{Node: simID(0), Epoch: 1}, i+1, 1))
			}
		}, func(h *hostile, i int) error {
			w := want{id: wantID{floodID(i), uint64(i)}, log: codec.LogID{Node: simID(0), Epoch: 1}, from: 1}
			return h.control(frameWant, w.append(nil))
		}},
		{"gives", func(h *hostile) {
			w := want{id: wantID{simID(2), 1}, log: h.log(1), from: 1}
			h.mustControl(h.honest, frameWant, w.append(nil))
		}, func(h *hostile, i int) error {
			return h.data(frameGive, append(wantID{simID(2), 1}.append(nil), uvarints(1, uint64(i)+1, 0)...))
		}},
		{"nones", nil, func(h *hostile, i int) error {
			return h.control(frameNone, none{wantID{floodID(i), 1}, 1}.append(nil))
		}},
		{"wants that another peer does not read", nil, func(h *hostile, i int) error {
			h.wait(h.m.cfg.GapWait / (maxWants / 16)) // half as many are open as may be
			w := want{id: wantID{floodID(i), 1}, log: h.log(1), from: 1}
			return h.control(frameWant, w.append(nil))
		}},
		{"vectors of what is had and never done", func(h *hostile) {
			h.m.cfg.BlockTimeout = time.Second
			h.listen()
			for range h.m.cfg.BufferMax {
				h.append()
			}
			h.m.Wait(h.now, 0)
			h.wait(h.m.cfg.BlockTimeout)
		}, func(h *hostile, _ int) error {
			h.append()
			h.read()
			return h.control(frameVector, vector(h.own(), h.m.own[0].have, 0, epochSlack-1))
		}},
		{"grafts of what is gone", func(h *hostile) {
			h.m.cfg.BufferTimeout = time.Second
			for _, q := range h.m.peerList {
				q.overflow = DropOldest
			}
			h.listen()
			for range 20 {
				h.append()
			}
			h.wait(h.m.cfg.BufferTimeout)
			h.read()
			h.mustControl(h.path, frameVector, vector(h.own(), 20, 0, reserveWindow))
		}, func(h *hostile, _ int) error {
			err := h.control(frameGraft, appendGraft(h.own(), 1))
			h.read()
			return err
		}},
		{"pings", nil, func(h *hostile, i int) error { return h.control(framePing, uvarints(uint64(i))) }},
		{"strangers", func(h *hostile) { h.m.PathClosed(0, h.path, CodeNormal, "") }, func(h *hostile, i int) error {
			if i > 3000 {
				return nil
			}
			id := PathID(1000 + i)
			h.m.AddPath(h.now, PathInfo{ID: id, Peer: floodID(i)})
			h.hello(id, floodID(i))
			h.mustControl(id, frameReady, nil)
			h.m.PathClosed(h.now, id, CodeNormal, "")
			h.drain()
			return nil
		}},
		{"reports", open, func(h *hostile, i int) error {
			h.m.logs[h.log(1)].parent = h.m.peers[simID(2)]
			b := append(appendLog(nil, h.log(1)), uvarints(uint64(2*i)+1, uint64(2*i)+1)...)
			id := floodID(i)
			return h.control(frameReport, append(append(b, 1), id[:]...))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile()
			h.greet()
			if c.begin != nil {
				c.begin(h)
			}
			for i := range many {
				if err := c.flood(h, i); err != nil {
					var ce *CloseError
					if !errors.As(err, &ce) {
						t.Fatalf("not a close error: %v", err)
					}
					break
				}
			}
			if n := h.m.size(); n > 8000 {
				t.Errorf("holds %d things", n)
			}
		})
	}
}

// A question waits for nobody who does not read what they are asked.
func TestQuestionDoesNotWaitForWhoIsNotAsked(t *testing.T) {
	h := newHostile()
	h.greet()
	h.m.paths[h.honest].wants = slices.Repeat([]*want{{parent: h.m.peers[simID(1)]}}, maxWants)
	w := want{id: wantID{floodID(0), 1}, log: h.log(1), from: 1}
	h.mustControl(h.path, frameWant, w.append(nil))
	if n := len(h.m.paths[h.path].nones); n != 1 {
		t.Errorf("%d answers", n)
	}
}

// A peer that lists any number of logs we never had is heard of one that we have.
func TestLogsThatAreNotHeldMakeRoom(t *testing.T) {
	h := newHostile()
	h.greet()
	h.listen()
	for i := range 500 {
		h.mustControl(h.path, frameVector, vector(codec.LogID{Node: floodID(i), Epoch: 1}, 5, 5, reserveWindow))
	}
	log := codec.LogID{Node: simID(2), Epoch: 1}
	h.path, h.honest = h.honest, h.path // who brings it
	h.mustData(frameStart, appendStart(nil, 0, log, 1, 0))
	h.mustData(frameBatch, append(uvarints(0, 0, 0), h.seal(log, 1, 1).Bytes()...))
	h.path, h.honest = h.honest, h.path
	h.read()
	c := h.m.peers[simID(1)].cursors[h.m.logs[log]]
	if c.unacked == 0 {
		t.Fatal("nothing was sent")
	}
	h.mustControl(h.path, frameVector, vector(log, 1, 1, reserveWindow))
	if c.unacked > 0 {
		t.Errorf("%d bytes that are acknowledged are not", c.unacked)
	}
}

// laggard has a peer that was sent 150 events and is done with none, of which a bound has forced out 50.
func laggard() *hostile {
	h := newHostile()
	h.m.cfg.BlockTimeout = time.Second
	h.greet()
	h.m.PathClosed(h.now, h.honest, CodeNormal, "")
	h.listen()
	for range h.m.cfg.BufferMax {
		h.append()
	}
	h.read()
	h.says(100, 0)
	h.m.Wait(h.now, 0)
	h.now += h.m.cfg.BlockTimeout
	h.m.Tick(h.now)
	for range 50 {
		h.append()
	}
	h.read()
	h.says(150, 0)
	return h
}

// says has the peer tell how far it is in the machine's own log.
func (h *hostile) says(have, done uint64) {
	h.mustControl(h.path, frameVector, vector(h.own(), have, done, 1<<20))
}

// What was forced out is done once the peer says so, and no sooner.
func TestReceiptOfWhatWasForcedOut(t *testing.T) {
	h := laggard()
	for _, done := range []uint64{0, 20, 50, 70, 149} {
		h.says(150, done)
		_, reached := h.m.DoneAt(0, done)
		_, beyond := h.m.DoneAt(0, done+1)
		if !reached || beyond {
			t.Errorf("done with %d: %v, and the next: %v", done, reached, beyond)
		}
		if left := h.m.Pending(h.now, 0); left[0].Events != 150-done {
			t.Errorf("done with %d of 150, %d are left", done, left[0].Events)
		}
	}
}

// Nor is it once the peer has restarted, and has not said how far it is.
func TestReceiptOfWhatWasForcedOutWaitsForARestartedPeer(t *testing.T) {
	h := laggard()
	h.says(150, 20)
	h.m.PathClosed(h.now, h.path, CodeInternal, "")
	h.m.peers[simID(1)].link = 1
	h.m.AddPath(h.now, PathInfo{ID: h.path, Peer: simID(1)})
	h.helloOf(h.path, simID(1), 2)
	_, first := h.m.DoneAt(0, 20)
	_, rest := h.m.DoneAt(0, 21)
	if !first || rest {
		t.Errorf("done with what it was done with: %v, with more: %v", first, rest)
	}
}

// A laggard is not waited for again before it is done with everything.
func TestLaggardThatIsNeverDoneIsNotWaitedFor(t *testing.T) {
	h := laggard()
	h.m.cfg.BufferTimeout = time.Second
	h.now += time.Second
	h.m.expire(h.now, h.m.own[0])
	h.says(150, 0)
	h.append()
	if held, _ := h.m.Held(0); held != 0 {
		t.Errorf("%d events are held for it", held)
	}
	h.read()
	h.says(151, 151)
	h.append()
	if held, _ := h.m.Held(0); held != 1 {
		t.Errorf("%d events are held for it once it has caught up", held)
	}
}
