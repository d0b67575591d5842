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
// it is reached whoever lists it.
func (c *chart) draw(rec *record, peer bool) {
	v := c.vertex(rec.version.node)
	fresh := v.rec == nil
	v.rec = rec
	if v == c.self || !fresh && slices.EqualFunc(v.links, rec.neighbours, func(x *vertex, id uuid.UUID) bool { return x.id == id }) {
		return
	}
	c.drawn++
	old := v.links
	v.links = make([]*vertex, len(rec.neighbours))
	for i, id := range rec.neighbours {
		v.links[i] = c.vertex(id)
		v.links[i].listed++
	}
	if v.reached != c.tour && peer {
		v.reached = c.tour
	}
	if v.reached == c.tour {
		c.explored = c.explored && !c.lost(old, v.links)
		c.spread(v)
	}
	c.release(old)
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

// lost says whether links that there were are gone.
func (c *chart) lost(old, links []*vertex) bool {
	c.walks++
	for _, v := range links {
		v.seen = c.walks
	}
	return slices.ContainsFunc(old, func(v *vertex) bool { return v.seen != c.walks })
}

// explore finds out who can be reached over peers.
func (c *chart) explore(peers []*peer) {
	if c.explored {
		return
	}
	c.explored = true
	c.tour++
	c.self.reached = c.tour
	for _, q := range peers {
		if v := c.vertices[q.id]; v != nil && q.active != nil && v.reached != c.tour {
			v.reached = c.tour
			c.spread(v)
		}
	}
}

// spread follows the links of a node that is reached.
func (c *chart) spread(v *vertex) {
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
