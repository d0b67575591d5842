package protocol

import (
	"slices"

	"github.com/google/uuid"
)

// chart is the graph that records draw. A link leads from a node to each neighbour that the node's own
// record lists. So the nearer end of a link is believed: it owes the further one what comes from here, and
// says in the same version of its record that a link is gone and what it keeps for who was there. The chart is
// kept up as records come, for walks to look nothing up, and to be rare.
type chart struct {
	self     *vertex // never passed through
	vertices map[uuid.UUID]*vertex
	drawn    uint64 // grows with every change
	explored bool   // reached says who can be reached
	tour     uint64 // of the exploration that found that out
	found    uint64 // grows when a node comes into reach
	walks    uint64
	queue    []*vertex
}

// vertex is a node that has a record or is listed in one.
type vertex struct {
	id      uuid.UUID
	rec     *record   // nil: it is only listed
	links   []*vertex // to the neighbours in its record
	listed  int       // how many links lead here
	reached uint64    // the last tour that came by
	seen    uint64    // the last walk that did
	region  *region   // the last that it was found to be in
}

// region is the nodes that can be reached through a peer without coming back to us. Peers that can
// reach each other share one.
type region struct {
	from   *vertex
	drawn  uint64 // the state of the chart that it is of
	nodes  []*vertex
	wanted map[string]bool // whether anyone in it wants a topic
	known  uint64          // the moment of ours that wanted is of
}

func newChart(self *record) chart {
	c := chart{vertices: make(map[uuid.UUID]*vertex)}
	c.self = c.vertex(self.version.node)
	c.self.rec = self
	return c
}

func (c *chart) vertex(id uuid.UUID) *vertex {
	v := c.vertices[id]
	if v == nil {
		v = &vertex{id: id}
		c.vertices[id] = v
	}
	return v
}

// draw puts a new version of a record in the place of the one before. Where its node is a peer,
// it is reached whoever lists it. What the versions have in common, most of a hub's list, is not looked up again.
func (c *chart) draw(rec *record, peer bool) {
	v := c.vertex(rec.version.node)
	old := v.rec
	v.rec = rec
	if v == c.self {
		return
	}
	var before []uuid.UUID
	if old != nil {
		before = old.neighbours
	}
	left, came := differ(before, rec.neighbours)
	if old != nil && len(left)+len(came) == 0 {
		return
	}
	c.drawn++
	gone, fresh := c.relink(v, before, left, came)
	switch {
	case v.reached == c.tour:
		c.explored = c.explored && len(gone) == 0
		for _, x := range fresh {
			c.find(x)
		}
	case peer:
		c.find(v)
	}
	c.release(gone)
}

// relink gives a node other links than those to the nodes before: without those at the places that left, and with those that
// came.
func (c *chart) relink(v *vertex, before []uuid.UUID, left []int, came []uuid.UUID) (gone, fresh []*vertex) {
	links := make([]*vertex, 0, len(before)-len(left)+len(came))
	for i, id := range before {
		for len(came) > 0 && compareIDs(came[0], id) < 0 {
			links, fresh, came = append(links, c.vertex(came[0])), append(fresh, c.vertex(came[0])), came[1:]
		}
		if len(left) > 0 && left[0] == i {
			gone, left = append(gone, v.links[i]), left[1:]
			continue
		}
		links = append(links, v.links[i])
	}
	for _, id := range came {
		links, fresh = append(links, c.vertex(id)), append(fresh, c.vertex(id))
	}
	for _, x := range fresh {
		x.listed++
	}
	v.links = links
	return gone, fresh
}

// erase takes a record off the chart.
func (c *chart) erase(rec *record) {
	v := c.vertices[rec.version.node]
	old := v.links
	v.rec, v.links, v.listed = nil, nil, v.listed+1
	c.drawn++
	c.release(append(old, v))
}

// release lets go of links, and of nodes that are known by nothing else.
func (c *chart) release(links []*vertex) {
	for _, v := range links {
		if v.listed--; v.listed == 0 && v.rec == nil {
			delete(c.vertices, v.id)
		}
	}
}

// explore finds out who can be reached over peers.
func (c *chart) explore(peers []*peer) {
	if c.explored {
		return
	}
	c.explored = true
	c.tour++
	c.found++
	c.self.reached = c.tour
	for _, q := range peers {
		if v := c.vertices[q.id]; v != nil && q.active != nil {
			c.find(v)
		}
	}
}

// find follows the links of a node that is reached, if it was not yet.
func (c *chart) find(v *vertex) {
	if v.reached == c.tour {
		return
	}
	v.reached = c.tour
	c.found++
	next := append(c.queue[:0], v)
	for i := 0; i < len(next); i++ {
		for _, x := range next[i].links {
			if x.reached != c.tour {
				x.reached = c.tour
				next = append(next, x)
			}
		}
	}
	c.queue = next
}

// behind is the region that a node is in.
func (c *chart) behind(id uuid.UUID) *region {
	from := c.vertices[id]
	if from == nil {
		return &region{drawn: c.drawn}
	}
	near := from.region
	if near != nil && near.drawn != c.drawn {
		near = nil
	}
	c.walks++
	c.self.seen, from.seen = c.walks, c.walks
	next := append(c.queue[:0], from)
	for i := 0; i < len(next); i++ {
		for _, x := range next[i].links {
			if near != nil && x == near.from {
				return near // which leads here, too
			}
			if x.seen != c.walks {
				x.seen = c.walks
				next = append(next, x)
			}
		}
	}
	c.queue = next
	r := &region{from: from, drawn: c.drawn, nodes: make([]*vertex, 0, len(next))}
	for _, x := range next {
		if x.rec != nil {
			x.region = r
			r.nodes = append(r.nodes, x)
		}
	}
	return r
}

// wants says whether anyone in the region wants a topic, for all that was known at a moment of ours.
func (r *region) wants(known uint64, name string) bool {
	if r.known != known || len(r.wanted) >= maxCached {
		r.known = known
		clear(r.wanted)
	}
	wanted, ok := r.wanted[name]
	if !ok {
		wanted = slices.ContainsFunc(r.nodes, func(v *vertex) bool { return v.rec.wants(name) })
		if r.wanted == nil {
			r.wanted = make(map[string]bool)
		}
		r.wanted[cloneString(name)] = wanted // the name belongs to its batch
	}
	return wanted
}
