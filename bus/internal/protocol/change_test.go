package protocol

import (
	"fmt"
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
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			node := simID(rapid.IntRange(0, maxBases+2).Draw(t, "node"))
			v := versions[node]
			v.node = node
			if step := rapid.IntRange(0, 9).Draw(t, "step"); step > 1 {
				v.version++
			} else if step == 1 && v.version > 0 {
				v.version-- // it was dropped, and is learned again from who is behind
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
				may := ok && old.version.epoch == v.epoch && old.version.version <= v.version
				if kind == frameChange && !may || kind != frameChange && may && slices.Equal(old.neighbours, rec.neighbours) {
					t.Fatalf("frame %#x for %+v since %+v", kind, v, old)
				}
				got, err := heard.parse(kind, body)
				if err != nil {
					t.Fatal(err)
				}
				heard.note(got)
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
	var many []uuid.UUID
	for i := range maxNeighbours - 3 {
		many = append(many, simID(6+i))
	}
	for _, c := range []struct {
		name string
		body []byte
		list []uuid.UUID // that it makes; none: it does not fit
	}{
		{"one came and one left", body(next, 5, []uint64{0}, ids(9)), ids(3, 4, 5, 9)},
		{"one left and came", body(next, 5, []uint64{0}, ids(2)), ids(2, 3, 4, 5)},
		{"some on all sides", body(next, 5, []uint64{1, 3}, ids(1, 6, 7)), ids(1, 2, 4, 6, 7)},
		{"nothing", body(next, 5, nil, nil), ids(2, 3, 4, 5)},
		{"the same version", body(recordVersion{simID(1), 1, 5}, 5, nil, nil), ids(2, 3, 4, 5)},
		{"as many as there may be", body(next, 5, nil, many[1:]), append(ids(2, 3, 4, 5), many[1:]...)},
		{"one too many", body(next, 5, nil, many), nil},
		{"an older version", body(recordVersion{simID(1), 1, 4}, 5, nil, nil), nil},
		{"another version before", body(next, 4, nil, nil), nil},
		{"another run", body(recordVersion{simID(1), 2, 6}, 5, nil, nil), nil},
		{"a node that did not go before", body(recordVersion{simID(2), 1, 6}, 5, nil, nil), nil},
		{"a place that is not there", body(next, 5, []uint64{4}, nil), nil},
		{"a place that is far off", body(next, 5, []uint64{1 << 63}, nil), nil},
		{"a place twice", body(next, 5, []uint64{1, 1}, nil), nil},
		{"places that descend", body(next, 5, []uint64{2, 1}, nil), nil},
		{"ids that descend", body(next, 5, nil, ids(9, 8)), nil},
		{"an id twice", body(next, 5, nil, ids(9, 9)), nil},
		{"an id that is there", body(next, 5, nil, ids(3)), nil},
		{"more places than bytes", append(append((&record{version: next}).appendHead(nil), uvarints(5, 4)...), 0), nil},
		{"no end", body(next, 5, nil, nil)[:22], nil},
	} {
		h := newHostile()
		h.greet()
		rec := record{version: recordVersion{simID(1), 1, 5}, neighbours: ids(2, 3, 4, 5)}
		h.mustControl(h.path, frameRecord, rec.append(nil))
		err := h.control(frameChange, c.body)
		ce, ok := err.(*CloseError)
		if c.list == nil && (!ok || ce.Code != CodeViolation) || c.list != nil && (err != nil || !slices.Equal(h.m.records[simID(1)].neighbours, c.list)) {
			t.Errorf("%s: %v, %v", c.name, err, h.m.records[simID(1)].neighbours)
		}
	}
	h := newHostile()
	h.greet()
	rec := record{version: recordVersion{simID(1), 1, 5}, neighbours: ids(3, 2)}
	if h.control(frameRecord, rec.append(nil)) == nil {
		t.Error("a record whose neighbours descend was taken")
	}
}

// Whatever a member makes of its record, who passes it on sends no frame that is too long.
func TestChangesStayFrames(t *testing.T) {
	list := func(from int) (list []uuid.UUID) {
		for i := range maxNeighbours {
			list = append(list, simID(from+2*i))
		}
		return list
	}
	patterns := func(count int) (list []string) {
		for i := range count {
			list = append(list, fmt.Sprintf("%0255d", i))
		}
		return list
	}
	v := recordVersion{simID(1), 1, 1}
	fits := (maxControl - 16*maxNeighbours - 100) / 257
	t.Run("other neighbours", func(t *testing.T) {
		var told bases
		for i := range 3 {
			v.version++
			rec := &record{version: v, neighbours: list(10 + i), patterns: patterns(fits)}
			eachFrame(told.appendRecord(nil, rec), func(kind byte, body []byte) {
				if len(body) > maxControl {
					t.Errorf("frame %#x of %d bytes", kind, len(body))
				}
			})
		}
	})
	t.Run("more patterns", func(t *testing.T) {
		h := newHostile()
		h.greet()
		rec := &record{version: v, neighbours: list(10)}
		h.mustControl(h.path, frameRecord, rec.append(nil))
		for _, count := range []int{fits, fits + 2} {
			old := base{rec.version, rec.neighbours}
			v.version++
			rec = &record{version: v, neighbours: rec.neighbours, patterns: patterns(count)}
			if err := h.control(frameChange, rec.appendChange(nil, old, nil, nil)); (err == nil) != (len(rec.append(nil)) <= maxControl) {
				t.Errorf("a change to %d bytes: %v", len(rec.append(nil)), err)
			}
		}
	})
}

// A node that tells two lists under one version must not have others take this one for the liar.
func TestChangeIsOfWhatWasTold(t *testing.T) {
	ids := func(from int) (list []uuid.UUID) {
		for i := range longRecord {
			list = append(list, simID(from+i))
		}
		return list
	}
	var told, heard [2]bases
	tell := func(to int, rec *record) *record {
		var got *record
		eachFrame(told[to].appendRecord(nil, rec), func(kind byte, body []byte) {
			var err error
			if got, err = heard[to].parse(kind, body); err != nil {
				t.Fatal(err)
			}
			heard[to].note(got)
		})
		return got
	}
	v := recordVersion{simID(1), 1, 5}
	tell(0, &record{version: v, neighbours: ids(10)})
	tell(1, &record{version: v, neighbours: ids(20)})
	v.version++
	rec := &record{version: v, neighbours: ids(11)}
	for to := range told {
		if got := tell(to, rec); !slices.Equal(got.neighbours, rec.neighbours) {
			t.Errorf("peer %d takes %v for %v", to, got.neighbours, rec.neighbours)
		}
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
