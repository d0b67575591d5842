package protocol

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// The way to the only node that listens is one link. But it is behind every other neighbour, too, by a longer
// way: so each of them takes a copy that nobody there wants. A node that does not listen is part of the tree.
func TestOneListenerInAMesh(t *testing.T) {
	for _, n := range []int{10, 20} {
		sent, err := oneListener(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("full mesh of %d, one listens: %.2f transmissions of each batch; 1 would do", n, sent)
		if sent > float64(n-1)*1.02 {
			t.Errorf("%.2f transmissions of each batch, for %d nodes", sent, n)
		}
	}
}

func oneListener(n int) (sent float64, err error) {
	defer caught(&err)
	w := newScale(shape{"mesh", n, func(_ *world, n int) [][2]int { return meshOf(0, n) }}, n)
	for _, x := range w.nodes[:n-1] {
		x.listen()
	}
	w.runFor(time.Second)
	const count = 20
	o, far := w.nodes[0], w.nodes[n-1]
	before := 0
	for i := range 2 * count {
		if i == count {
			before = w.kinds[frameBatch]
		}
		o.emit(0, 100, "a.x")
		w.runFor(10 * scaleLag)
	}
	far.want(o.log(0), fmt.Sprintf("1-%d", 2*count))
	return float64(w.kinds[frameBatch]-before) / count, nil
}

func (n *simNode) listen(patterns ...string) {
	n.patterns = patterns
	n.m.SetPatterns(n.w.now, patterns)
	n.pump()
}

func caught(err *error) {
	if p, failed := recover().(simFailure); failed {
		*err = fmt.Errorf("%s", p.text)
	}
}

// Two listeners with nothing in common, and one emitter for both. What reaches a node that it did not
// ask for is what shares a batch with what it did: none with a lane for each, or where topics come in runs
// as long as batches.
func TestUnwantedBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		lanes int
		run   int // events of one topic in a row
		most  float64
	}{
		{"a lane for each topic", 8, 1, 0.10},
		{"one lane, runs of 64", 1, 64, 0.10},
		{"one lane, alternating", 1, 1, 0.55},
	} {
		share, err := unwanted(c.lanes, c.run)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f %% of the bytes that reach a node are not for it", c.name, 100*share)
		if share > c.most {
			t.Errorf("%s: %.1f %% of the bytes that reach a node are not for it", c.name, 100*share)
		}
	}
}

// unwanted has a node emit two topics, in batches of 64 events, to a star with a listener for each.
func unwanted(lanes, run int) (share float64, err error) {
	defer caught(&err)
	w := newWorld(1)
	w.lanes = min(lanes, maxSimLanes)
	topics := []string{"a.x", "b.x"}
	o := w.addNode(simConfig())
	for _, t := range topics {
		w.link(w.addNode(simConfig(), t), o)
	}
	w.runFor(5 * time.Second)
	var batch [maxSimLanes][]string
	for i := range 64 * 64 {
		which := i / run % len(topics)
		lane := which % w.lanes
		if batch[lane] = append(batch[lane], topics[which]); len(batch[lane]) == 64 {
			o.emit(lane, 100, batch[lane]...)
			batch[lane] = nil
			w.runFor(10 * time.Millisecond)
		}
	}
	w.runFor(5 * time.Second)
	var all, not int
	for i, n := range w.nodes[1:] {
		for id, r := range n.inbox.logs {
			for _, b := range w.book.logs[id].batches {
				if r.got[b.Last()] {
					share := eventsOf(b, func(name string) bool { return name != topics[i] })
					all += int(b.Count)
					not += share
				}
			}
		}
	}
	if all == 0 {
		w.failf("nothing came")
	}
	return float64(not) / float64(all), nil
}

// eventsOf counts the events of a batch whose topic is meant. All are of the same size here.
func eventsOf(b *codec.Batch, meant func(string) bool) (count int) {
	for _, t := range b.Topics {
		if meant(t.Name) {
			count += int(t.Count)
		}
	}
	return count
}

// What a node keeps of each origin that it knows, after one batch of it has come and gone: record,
// log and cursors. It has two peers.
func TestMemoryOfAnOriginLong(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for 10,000 origins")
	}
	none := memoryOf(t, 0)
	for _, n := range []int{1, 100, 1000, 10000} {
		each := float64(memoryOf(t, n)-none) / float64(n)
		t.Logf("%d origins: %.0f bytes for each", n, each)
		if n >= 100 && each > 8<<10 {
			t.Errorf("%d origins: %.0f bytes for each", n, each)
		}
	}
}

// memoryOf is the heap that a machine takes which two peers told of origins behind the first.
func memoryOf(t *testing.T, origins int) uint64 {
	before := heap()
	cfg := simConfig()
	cfg.ID, cfg.Epoch, cfg.MaxOrigins = simID(0), 1, 20000
	h := &hostile{m: New(0, cfg), path: 1, honest: 2, polls: true, eager: true}
	h.m.SetPatterns(0, []string{">"})
	for i, path := range []PathID{h.path, h.honest} {
		h.m.AddPath(0, PathInfo{ID: path, Peer: simID(i + 1)})
		h.hello(path, simID(i+1))
		rec := record{version: recordVersion{simID(i + 1), 1, 1}, patterns: []string{">"}}
		h.mustControl(path, frameRecord, rec.append(nil))
		h.mustControl(path, frameReady, nil)
	}
	for i := range origins {
		h.tellOf(t, i)
		if i%100 == 0 {
			h.drain()
		}
	}
	h.drain()
	h.seen = nil
	size := heap() - before
	var kept int64
	for _, l := range h.m.logList {
		kept += l.events
	}
	if len(h.m.logList) != origins+1 || len(h.m.recordList) != origins+3 || kept > 0 {
		t.Fatalf("%d logs with %d events, and %d records", len(h.m.logList), kept, len(h.m.recordList))
	}
	return size
}

// tellOf has one peer introduce an origin and bring a batch of it, and the other say that it has both.
func (h *hostile) tellOf(t *testing.T, i int) {
	id, alias := codec.LogID{Node: simID(1000 + i), Epoch: 1}, uint64(i)
	rec := record{version: recordVersion{id.Node, 1, 2}, name: fmt.Sprintf("node-%d", i), patterns: []string{"a.>"}, live: 1, begun: 1,
		neighbours: []uuid.UUID{simID(1), simID(1000 + max(0, i-1))}}
	b := sealed(id, 1, 1, 100, "a.x")
	vector := append(appendLog(uvarints(alias<<1|1), id), uvarints(1, 1, 0, 1<<20)...)
	for _, err := range []error{
		h.m.HandleControl(0, h.path, frameRecord, rec.append(nil)),
		h.m.HandleControl(0, h.honest, frameEcho, rec.version.append(nil)),
		h.m.HandleData(0, h.path, 0, frameStart, appendStart(nil, alias, id, 1, 0), nil),
		h.m.HandleData(0, h.path, 0, frameBatch, append(uvarints(alias, 0, 0), b.Bytes()...), nil),
		h.m.HandleControl(0, h.honest, frameVector, vector),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
