package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

func (c *topologyCommand) print(s *streams, t bus.Topology) (err error) {
	switch c.Format {
	case "json":
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err = encoder.Encode(graphOf(t)); err == nil {
			_, err = s.out.Write(appendEscaped(nil, text.Bytes()))
		}
	case "dot":
		_, err = io.WriteString(s.out, t.DOT())
	default:
		err = printTable(s.out, t)
	}
	return err
}

// printTable has a row for each node. Of long lists it has the beginning; --format json has all.
func printTable(out io.Writer, t bus.Topology) error {
	names := labelsOf(t)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tID\tDISTANCE\tVIA\tLINKS\tLISTENS TO")
	for _, m := range t.Members {
		via := some(m.NextHops, names.of)
		if m.Distance == 1 {
			via = connection(m.Paths)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n",
			names.of(m.ID), m.ID, m.Distance, via, some(m.Neighbours, names.of), some(m.Patterns, printable))
	}
	return table.Flush()
}

// some is the beginning of a list, and how much more there is.
func some[T any](list []T, text func(T) string) string {
	const most = 8
	var texts []string
	for _, x := range list[:min(len(list), most)] {
		texts = append(texts, text(x))
	}
	switch {
	case len(list) == 0:
		return "-"
	case len(list) > most:
		texts = append(texts, fmt.Sprintf("and %d more", len(list)-most))
	}
	return strings.Join(texts, ", ")
}

// connection is the path to a peer that carries the data.
func connection(paths []bus.Path) string {
	for _, p := range paths {
		if !p.Active {
			continue
		}
		text := p.Scheme + "://" + p.Remote.String()
		if p.RTT > 0 {
			text += " " + p.RTT.Round(10*time.Microsecond).String()
		}
		return text
	}
	return "-" // it has just been lost
}

// printable makes a text that others chose fit for a terminal.
func printable(text string) string { return refusal.Reason(text) }

// labels are what people call the nodes.
type labels map[uuid.UUID]string

// labelsOf takes names where there are any, with the beginning of the id where several nodes have the same.
func labelsOf(t bus.Topology) labels {
	count := make(map[string]int)
	for _, m := range t.Members {
		count[printable(m.Name)]++
	}
	l := make(labels)
	for _, m := range t.Members {
		switch name := printable(m.Name); {
		case name == "" && m.ID == t.Self:
			l[m.ID] = "(this node)"
		case name == "":
		case count[name] > 1:
			l[m.ID] = name + "/" + brief(m.ID)
		default:
			l[m.ID] = name
		}
	}
	return l
}

func (l labels) of(id uuid.UUID) string {
	if label := l[id]; label != "" {
		return label
	}
	return brief(id)
}

func brief(id uuid.UUID) string { return id.String()[:8] }

// graph is a topology as a line of JSON.
type graph struct {
	Self    uuid.UUID   `json:"self"`
	Members []graphNode `json:"members"`
}

type graphNode struct {
	ID         uuid.UUID   `json:"id"`
	Name       string      `json:"name,omitempty"`
	Epoch      uint64      `json:"epoch"`
	Distance   int         `json:"distance"`
	NextHops   []uuid.UUID `json:"next_hops"`
	Neighbours []uuid.UUID `json:"neighbours"`
	Endpoints  []string    `json:"endpoints,omitempty"`
	Patterns   []string    `json:"patterns"`
	Paths      []graphPath `json:"paths,omitempty"`
}

type graphPath struct {
	Scheme string  `json:"scheme"`
	Local  string  `json:"local"`
	Remote string  `json:"remote"`
	RTT    float64 `json:"rtt_ms,omitempty"`
	Active bool    `json:"active"`
}

func graphOf(t bus.Topology) graph {
	g := graph{Self: t.Self}
	for _, m := range t.Members {
		n := graphNode{ID: m.ID, Name: m.Name, Epoch: m.Epoch, Distance: m.Distance, Endpoints: m.Endpoints,
			// Never null: an empty list is one.
			NextHops: append([]uuid.UUID{}, m.NextHops...), Neighbours: append([]uuid.UUID{}, m.Neighbours...), Patterns: append([]string{}, m.Patterns...)}
		for _, p := range m.Paths {
			n.Paths = append(n.Paths, graphPath{p.Scheme, p.Local.String(), p.Remote.String(), float64(p.RTT.Microseconds()) / 1000, p.Active})
		}
		g.Members = append(g.Members, n)
	}
	return g
}
