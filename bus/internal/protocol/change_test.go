package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// Whatever becomes of records, the other end of a stream reads what was written, and remembers the same.
func TestChangesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var told, heard bases
		versions := map[uuid.UUID]recordVersion{}
		changes := 0
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			node := simID(rapid.IntRange(0, maxBases+2).Draw(t, "node"))
			v := versions[node]
			v.node = node
			if rapid.IntRange(0, 9).Draw(t, "again") > 0 {
				v.version++
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				v.epoch++
			}
			versions[node] = v
			rec := &record{version: v, name: "x", endpoints: []string{"quic://a:1"}, patterns: []string{"a.>", "b"}, live: 1, begun: 3}
			for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, 11), rapid.ID[int]).Draw(t, "neighbours") {
				rec.neighbours = append(rec.neighbours, simID(i))
			}
			slices.SortFunc(rec.neighbours, compareIDs)
			old, ok := told.of(node)
			if old.version == v {
				rec.neighbours = old.neighbours // a version does not change
			}
			eachFrame(told.appendRecord(nil, rec), func(kind byte, body []byte) {
				if want := ok && old.version.epoch == v.epoch; (kind == frameChange) != want {
					t.Fatalf("frame %#x for %+v since %+v", kind, v, old)
				}
				if kind == frameChange {
					changes++
				}
				got, err := heard.parse(kind, body)
				if err != nil {
					t.Fatal(err)
				}
				if string(got.append(nil)) != string(rec.append(nil)) {
					t.Fatalf("got %+v, not %+v", got, rec)
				}
			})
			if len(told) > maxBases || !slices.EqualFunc(told, heard, func(a, b base) bool { return a.version == b.version && slices.Equal(a.neighbours, b.neighbours) }) {
				t.Fatalf("%+v was told, %+v was heard", told, heard)
			}
		}
	})
}

// A change that does not fit what went before is a violation.
func TestChangesThatDoNotFit(t *testing.T) {
	ids := func(n ...int) (list []uuid.UUID) {
		for _, i := range n {
			list = append(list, simID(i))
		}
		return list
	}
	body := func(v recordVersion, since uint64, left []uint64, came []uuid.UUID) []byte {
		rec := &record{version: v}
		b := append(rec.appendHead(nil), uvarints(since, uint64(len(left)))...)
		return rec.appendTail(appendIDs(append(b, uvarints(left...)...), came))
	}
	next := recordVersion{simID(1), 1, 6}
	for _, c := range []struct {
		name string
		body []byte
		fits bool
	}{
		{"one came and one left", body(next, 5, []uint64{0}, ids(9)), true},
		{"one left and came", body(next, 5, []uint64{0}, ids(2)), true},
		{"nothing", body(next, 5, nil, nil), true},
		{"the same version", body(recordVersion{simID(1), 1, 5}, 5, nil, nil), true},
		{"an older version", body(recordVersion{simID(1), 1, 4}, 5, nil, nil), false},
		{"another version before", body(next, 4, nil, nil), false},
		{"another run", body(recordVersion{simID(1), 2, 6}, 5, nil, nil), false},
		{"a node that did not go before", body(recordVersion{simID(2), 1, 6}, 5, nil, nil), false},
		{"a place that is not there", body(next, 5, []uint64{4}, nil), false},
		{"a place that is far off", body(next, 5, []uint64{1 << 63}, nil), false},
		{"a place twice", body(next, 5, []uint64{1, 1}, nil), false},
		{"places that descend", body(next, 5, []uint64{2, 1}, nil), false},
		{"ids that descend", body(next, 5, nil, ids(9, 8)), false},
		{"an id twice", body(next, 5, nil, ids(9, 9)), false},
		{"an id that is there", body(next, 5, nil, ids(3)), false},
		{"more places than bytes", append(append((&record{version: next}).appendHead(nil), uvarints(5, 4)...), 0), false},
		{"no end", body(next, 5, nil, nil)[:22], false},
	} {
		h := newHostile()
		h.greet()
		rec := record{version: recordVersion{simID(1), 1, 5}, neighbours: ids(2, 3, 4, 5)}
		h.mustControl(h.path, frameRecord, rec.append(nil))
		err := h.control(frameChange, c.body)
		if ce, ok := err.(*CloseError); c.fits != (err == nil) || !c.fits && (!ok || ce.Code != CodeViolation) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	h := newHostile()
	h.greet()
	rec := record{version: recordVersion{simID(1), 1, 5}, neighbours: ids(3, 2)}
	if h.control(frameRecord, rec.append(nil)) == nil {
		t.Error("a record whose neighbours descend was taken")
	}
}

// One more peer of a hub costs each of the others its record and a few bytes of the hub's, not the hub's list: what all of them take
// grows with the square of their number, and would with the cube.
func TestHubGrowsByChanges(t *testing.T) {
	grow := func(n int) int {
		w := newWorld(1)
		w.large = true
		w.lag = every(time.Millisecond)
		for range n {
			cfg := simConfig()
			cfg.MaxPeers, cfg.MaxOrigins = n+1, 2*n
			w.addNode(cfg, "a.>")
		}
		for _, x := range w.nodes[1:] {
			w.link(x, w.nodes[0])
			w.runFor(2 * selfPace)
		}
		w.await(time.Minute, "everyone to know of everyone", func(x *simNode) bool {
			return len(x.m.records) == n && x.m.Confirmed() == x.m.patternsVersion
		})
		return w.bytes
	}
	few, many := grow(50), grow(200)
	t.Logf("%d bytes for 50 nodes, %d for 200", few, many)
	if many > 20*few {
		t.Errorf("%d bytes for 50 nodes, %d for 200", few, many)
	}
}

// In a mesh there are more long records than a stream's ends remember.
func TestMeshTellsOfChanges(t *testing.T) {
	scene(t, func(w *world) {
		const n = maxBases + 3
		var nodes []*simNode
		for range n {
			nodes = append(nodes, w.addNode(simConfig(), "a.>"))
		}
		for _, l := range meshOf(0, n) {
			w.link(nodes[l[0]], nodes[l[1]])
		}
		w.rest(10 * time.Second)
		before := w.kinds[frameChange]
		for _, x := range nodes {
			x.setExtra("b.x")
			w.rest(10 * time.Second)
		}
		w.expect(before > 0 && w.kinds[frameChange] > before, "%d and %d changes", before, w.kinds[frameChange])
	})
}
