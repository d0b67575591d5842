package bus

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// DOT draws the topology in the language of Graphviz: a box for each node with its name and the beginning of its id, with
// a double border for the node itself; a line for each link, dashed while only one of its ends names it. The
// node's own links have the scheme and round-trip time of the path that carries the data. Names are shown without
// control characters. Equal topologies give equal texts.
func (t Topology) DOT() string {
	var b strings.Builder
	b.WriteString("graph {\n\tnode [shape=box]\n")
	for _, m := range t.Members {
		border := 1
		if m.ID == t.Self {
			border = 2
		}
		fmt.Fprintf(&b, "\t\"%s\" [label=\"%s\", peripheries=%d]\n", m.ID, m.dotLabel(), border)
	}
	for _, l := range t.dotLinks() {
		style := "dashed"
		if l.mutual {
			style = "solid"
		}
		fmt.Fprintf(&b, "\t\"%s\" -- \"%s\" [label=\"%s\", style=%s]\n", l.from, l.to, l.label, style)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotLabel is the name over the beginning of the id, as the inside of a quoted string.
func (m Member) dotLabel() string {
	id := m.ID.String()[:8]
	if m.Name == "" {
		return id
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, strings.ToValidUTF8(m.Name, "."))
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `\n` + id
}

// dotLink joins two nodes. From is the nearer one of them, or the one with the smaller id.
type dotLink struct {
	from, to uuid.UUID
	label    string
	mutual   bool // each names the other
}

func (t Topology) dotLinks() (list []dotLink) {
	labels := make(map[uuid.UUID]string) // of our links, by peer
	for _, m := range t.Members {
		for _, p := range m.Paths {
			if p.Active {
				labels[m.ID] = p.dotLabel()
			}
		}
	}
	places := make(map[[2]uuid.UUID]int)
	for _, m := range t.Members {
		for _, id := range m.Neighbours {
			ends := [2]uuid.UUID{m.ID, id}
			if bytes.Compare(id[:], m.ID[:]) < 0 {
				ends = [2]uuid.UUID{id, m.ID}
			}
			i, drawn := places[ends]
			switch {
			case id == m.ID:
			case drawn:
				list[i].mutual = list[i].mutual || list[i].to == m.ID
			default:
				places[ends] = len(list)
				l := dotLink{from: m.ID, to: id}
				if m.ID == t.Self {
					l.label = labels[id]
				}
				list = append(list, l)
			}
		}
	}
	return list
}

func (p Path) dotLabel() string {
	if p.RTT == 0 {
		return p.Scheme
	}
	return p.Scheme + " " + p.RTT.Round(10*time.Microsecond).String()
}
