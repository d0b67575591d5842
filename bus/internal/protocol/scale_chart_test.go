package protocol

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// What a chart keeps up as records come and go is what walks over the records find.
func TestChartAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 7
		node := rapid.IntRange(0, most-1)
		c := newChart(&record{version: recordVersion{simID(0), 1, 1}})
		var peers []*peer
		for _, i := range slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.IntRange(1, most-1), 1, 4, rapid.ID[int]).Draw(t, "peers"))) {
			peers = append(peers, &peer{id: simID(i), active: &path{}})
		}
		model := map[uuid.UUID][]uuid.UUID{}
		from := func(ids ...uuid.UUID) map[uuid.UUID]bool {
			seen := map[uuid.UUID]bool{simID(0): true}
			for ; len(ids) > 0; ids = ids[1:] {
				if !seen[ids[0]] {
					seen[ids[0]] = true
					ids = append(ids, model[ids[0]]...)
				}
			}
			return seen
		}
		inReach, found := map[uuid.UUID]bool{}, uint64(0)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			id := simID(rapid.IntRange(1, most-1).Draw(t, "node"))
			if _, known := model[id]; known && rapid.IntRange(0, 4).Draw(t, "erase") == 0 {
				c.erase(c.vertices[id].rec)
				delete(model, id)
				c.explored = false // it may have been in reach here, unlike those that are dropped
			} else {
				rec := &record{version: recordVersion{id, 1, 1}}
				for _, j := range slices.Sorted(slices.Values(rapid.SliceOfNDistinct(node, 0, 4, rapid.ID[int]).Draw(t, "links"))) {
					rec.neighbours = append(rec.neighbours, simID(j))
				}
				c.draw(rec, slices.ContainsFunc(peers, func(q *peer) bool { return q.id == id }))
				model[id] = rec.neighbours
			}
			if rapid.Bool().Draw(t, "look") {
				continue
			}
			c.explore(peers)
			var roots []uuid.UUID
			for _, q := range peers {
				roots = append(roots, q.id)
				behind := map[uuid.UUID]bool{}
				for _, v := range c.behind(q.id).nodes {
					behind[v.id] = true
				}
				want := from(q.id)
				for id := range want {
					if _, known := model[id]; !known {
						delete(want, id)
					}
				}
				if !maps.Equal(behind, want) {
					t.Fatalf("behind %v are %v, not %v", q.id, behind, want)
				}
			}
			reach := from(roots...)
			for id := range model {
				if got := c.vertices[id].reached == c.tour; got != reach[id] {
					t.Fatalf("%v is reached: %t", id, got)
				}
				if reach[id] && !inReach[id] && c.found == found {
					t.Fatalf("%v came into reach, and nothing says so", id)
				}
			}
			inReach, found = reach, c.found
			for id, v := range c.vertices {
				if v.rec == nil && v.listed == 0 && id != simID(0) {
					t.Fatalf("%v is kept for nothing", id)
				}
			}
		}
	})
}
