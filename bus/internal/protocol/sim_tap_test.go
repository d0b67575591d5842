package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// tap reads along on one side of a connection, and holds what goes by to the rules of
// credit. It shares no code with the machine but the reading of fields.
type tap struct {
	said   []codec.LogID // names in the vectors this side sends
	theirs []codec.LogID
	names  map[int]map[uint64]codec.LogID // of the data streams of this side
	runs   map[codec.LogID][]flight       // what this side sent in its current runs
	long   []told                         // the long records that this side sent, the last at the end
}

// told is a version of a long record, and whom it lists.
type told struct {
	node           uuid.UUID
	epoch, version uint64
	lists          []uuid.UUID
}

// teller is a run of a peer, and a log that it speaks of.
type teller struct {
	m   *Machine
	log codec.LogID
}

func newTap() *tap {
	return &tap{names: map[int]map[uint64]codec.LogID{}, runs: map[codec.LogID][]flight{}}
}

// eachFrame takes frames off bytes that hold whole ones.
func eachFrame(b []byte, do func(kind byte, body []byte)) {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		do(b[n], b[n+1:n+int(size)])
		b = b[n+int(size):]
	}
}

// eachVector reads the entries of a vector frame.
func eachVector(names *[]codec.LogID, body []byte, do func(id codec.LogID, said remote)) {
	r := reader{b: body}
	for len(r.b) > 0 {
		a := r.uvarint()
		if a&1 == 1 {
			id := r.log()
			if a>>1 == uint64(len(*names)) {
				*names = append(*names, id)
			} else {
				(*names)[a>>1] = id
			}
		}
		have, base, done, window := r.seq(), r.seq(), r.seq(), r.seq()
		do((*names)[a>>1], remote{have - base, have, have - done, int64(window)})
	}
}

// control sees what this side sends: the right edge of the credit it gives never
// goes back, and what it has and is done with never does. A report does not follow a vector that may be of what it
// reports, but in a greeting.
func (t *tap) control(e *simEnd, b []byte) {
	vector := false
	eachFrame(b, func(kind byte, body []byte) {
		switch {
		case kind == frameVector:
			vector = true
		case kind == frameReady:
			vector = false
		case kind == frameReport && vector:
			e.conn.w.failf("%s: a report after a vector", e.node)
		}
		if len(body) >= maxControl {
			e.conn.w.failf("%s: a control frame of %d bytes", e.node, len(body))
		}
		if kind == frameRecord || kind == frameChange {
			t.record(e, kind, body)
		}
		if kind != frameVector {
			return
		}
		eachVector(&t.said, body, func(id codec.LogID, said remote) {
			r := e.node.inbox.log(id)
			edge := r.bytes + said.window
			switch {
			case id.Node == e.node.id:
			case edge < r.edge:
				e.conn.w.failf("%s: the right edge of %v went back from %d to %d", e.node, id, r.edge, edge)
			case said.window > reserveWindow+maxWindow:
				e.conn.w.failf("%s: a window of %d bytes", e.node, said.window)
			case said.have < r.have || said.done < r.done || said.base > said.have || said.done > said.have:
				e.conn.w.failf("%s: says %+v of %v, said have %d and done %d before", e.node, said, id, r.have, r.done)
			}
			r.edge, r.have, r.done = max(r.edge, edge), said.have, said.done
			r.checkDone(e.node, id, said.done)
		})
	})
}

// record sees the neighbours of a record that this side sends: what a reader of PROTOCOL.md makes of it is the
// record that the node has.
func (t *tap) record(e *simEnd, kind byte, body []byte) {
	r := reader{b: body}
	now := told{node: r.id(), epoch: r.uvarint(), version: r.uvarint()}
	r.uvarint()
	r.text(maxName)
	at := slices.IndexFunc(t.long, func(x told) bool { return x.node == now.node })
	if kind == frameChange {
		if since := r.uvarint(); at < 0 || t.long[at].version != since || t.long[at].epoch != now.epoch {
			e.conn.w.failf("%s: changes %s since version %d, and sent %+v", e.node, now.node, since, t.long)
		}
		left := map[uint64]bool{}
		for range r.uvarint() {
			left[r.uvarint()] = true
		}
		for i, id := range t.long[at].lists {
			if !left[uint64(i)] {
				now.lists = append(now.lists, id)
			}
		}
	}
	for range r.uvarint() {
		now.lists = append(now.lists, r.id())
	}
	slices.SortFunc(now.lists, compareIDs)
	if rec := e.m.records[now.node]; rec == nil || rec.version != (recordVersion{now.node, now.epoch, now.version}) || !slices.Equal(rec.neighbours, now.lists) {
		e.conn.w.failf("%s: sends %+v for %+v", e.node, now, rec)
	}
	if at >= 0 {
		t.long = slices.Delete(t.long, at, at+1)
	}
	if len(now.lists) >= 4 {
		t.long = append(t.long, now)
		t.long = t.long[max(0, len(t.long)-8):]
	}
}

// checkDone holds done to what consumers released.
func (r *received) checkDone(n *simNode, id codec.LogID, done uint64) {
	for _, t := range n.todo {
		if t.log == id && t.last <= done {
			n.w.failf("%s: says that it is done with %v up to %d, and holds %d", n, id, done, t.last)
		}
	}
	for last, held := range r.held {
		if held > 0 && last <= done {
			n.w.failf("%s: says that it is done with %v up to %d, and works on %d", n, id, done, last)
		}
	}
}

// heard sees what arrives at this side.
func (t *tap) heard(e *simEnd, kind byte, body []byte) {
	if kind != frameVector {
		return
	}
	eachVector(&t.theirs, body, func(id codec.LogID, said remote) {
		k := teller{e.peer.m, id}
		old := e.node.told[k]
		if said.have == old.have { // one of them came over a slower path
			said.window = max(said.window, old.window)
		}
		if said.have >= old.have {
			e.node.told[k] = said
		}
	})
}

// data sees the batches that this side sends: each starts within the window, beyond
// what the peer said it has.
func (t *tap) data(e *simEnd, lane int, b []byte) {
	names := t.names[lane]
	if names == nil {
		names = map[uint64]codec.LogID{}
		t.names[lane] = names
	}
	eachFrame(b, func(kind byte, body []byte) {
		r := reader{b: body}
		switch kind {
		case frameStart:
			name, id := r.uvarint(), r.log()
			names[name] = id
			t.runs[id] = nil
		case frameBatch:
			id := names[r.uvarint()]
			r.seq() // prev
			r.seq() // age
			batch, err := codec.ParseBatch(r.b, 1<<20)
			if err != nil {
				e.conn.w.failf("%s: sends what cannot be parsed: %v", e.node, err)
			}
			told, ok := e.node.told[teller{e.peer.m, id}]
			if !ok {
				told.window = reserveWindow
			}
			var beyond int64
			keep := t.runs[id][:0]
			for _, f := range t.runs[id] {
				if f.last > told.have {
					beyond += f.size
					keep = append(keep, f)
				}
			}
			if beyond >= told.window {
				e.conn.w.failf("%s: sends %d–%d of %v to %s with %d bytes beyond %d, %d allowed",
					e.node, batch.First, batch.Last(), id, e.peer.node, beyond, told.have, told.window)
			}
			t.runs[id] = append(keep, flight{batch.First, batch.Last(), int64(len(r.b))})
		}
	})
}
