package main

import (
	"fmt"
	"slices"

	"github.com/verbose-bus/verbose/bench/stats"
)

// table is one on the page. Its first column has names.
type table struct {
	Caption string
	Head    []string
	Lines   []line
}

// line is a row of a table. With a note, which takes the width of the table, it has no entries.
type line struct {
	Name    string
	Entries []entry
	Note    string
}

// entry is a figure as it is shown.
type entry struct {
	Text  string
	Alarm bool
}

func plain(texts ...string) []entry {
	entries := make([]entry, len(texts))
	for i, text := range texts {
		entries[i].Text = text
	}
	return entries
}

// figuresOf is the table of a cell.
func figuresOf(rows []row) table {
	c := rows[0].Cell
	bases := baselines(rows)
	t := table{Caption: c.String(), Head: []string{"contender", "events/s", "arrived"}}
	if c.ofLatency() {
		t.Head = []string{"contender", "p50", "p90", "p99", "p99.9", "max"}
	}
	if c.paced() {
		t.Head = append(t.Head, "arrived")
	}
	if c.Outage > 0 {
		t.Head = slices.Insert(t.Head, 1, "recovery")
	}
	for _, base := range bases {
		t.Head = append(t.Head, c.metric()+" ÷ "+base)
	}
	t.Head = append(t.Head, "CPU µs/event", "bytes/event", "packets/event")
	for _, r := range rows {
		if len(r.Samples) > 0 {
			t.Lines = append(t.Lines, line{Name: r.Name, Entries: plain(r.entries(bases)...)})
		}
		if n := len(r.Rejected); n > 0 {
			t.Lines = append(t.Lines, line{Name: r.Name, Note: fmt.Sprintf("%d of %d passes rejected: they count for nothing above", n, n+len(r.Samples)+len(r.Errors))})
		}
		for _, text := range r.Errors {
			t.Lines = append(t.Lines, line{Name: r.Name, Note: "failed: " + text})
		}
	}
	return t
}

// entries are the figures of a row, "–" where there is none.
func (r row) entries(bases []string) []string {
	var texts []string
	if r.Cell.Outage > 0 {
		texts = append(texts, span(r.median(func(s sample) float64 { return float64(s.Recovery) })))
	}
	if r.Cell.ofLatency() {
		for _, of := range []func(stats.Latency) int64{
			func(l stats.Latency) int64 { return l.P50 }, func(l stats.Latency) int64 { return l.P90 },
			func(l stats.Latency) int64 { return l.P99 }, func(l stats.Latency) int64 { return l.P999 },
			func(l stats.Latency) int64 { return l.Max },
		} {
			texts = append(texts, span(r.median(func(s sample) float64 {
				if s.Latency == nil {
					return 0
				}
				return float64(of(*s.Latency))
			})))
		}
	} else {
		texts = append(texts, inFull(r.Rate), known(r.arrived()*100, "%.0f %%"))
	}
	if r.Cell.paced() {
		texts = append(texts, known(r.arrived()*100, "%.1f %%"))
	}
	for _, base := range bases {
		text := "–"
		if ratio, ok := r.Ratios[base][r.Cell.metric()]; ok {
			text = fraction(ratio)
			if ratio.Count > 0 && ratio.Count < len(r.Samples) { // older results don't say
				text += fmt.Sprintf(" of %d", ratio.Count)
			}
		}
		texts = append(texts, text)
	}
	cpu := "–"
	if v := r.median(func(s sample) float64 { return s.CPUPerEvent }); v > 0 {
		cpu = short(v) // across links, it may be thousands
	}
	return append(texts, cpu,
		known(r.Wire.BytesPerEvent, "%.4g"), known(r.Wire.PacketsPerEvent, "%.3g"))
}

// known is a figure, or "–" if it is zero.
func known(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// situation is what went wrong, and what became of events.
type situation struct {
	Name  string
	Table table
}

// situations are the results by what went wrong, in their order.
func situations(results []result) []situation {
	var all []situation
	for _, r := range results {
		i := slices.IndexFunc(all, func(s situation) bool { return s.Name == r.Situation })
		if i < 0 {
			i = len(all)
			all = append(all, situation{Name: r.Situation, Table: table{Caption: "what became of events: " + r.Situation, Head: []string{"system", "sent", "lost", "of that untold", "repeated", "reordered",
				"failed sends", "opened", "longest wait", "notices to the sender", "to the receiver"}}})
		}
		all[i].Table.Lines = append(all[i].Table.Lines, r.lines()...)
	}
	return all
}

func (r result) lines() []line {
	if r.Omitted != "" {
		return []line{{Name: r.System, Note: "not tried: " + r.Omitted}}
	}
	entries := plain(fmt.Sprint(r.Sent), fmt.Sprint(r.Lost), fmt.Sprint(r.untold()), fmt.Sprint(r.Repeated), fmt.Sprint(r.Reordered),
		fmt.Sprint(r.Failed), fmt.Sprint(r.Opened), fmt.Sprintf("%.1f s", r.Waited), fmt.Sprint(r.Sender.Notices), fmt.Sprint(r.Receiver.Notices))
	entries[2].Alarm = r.untold() > 0
	lines := []line{{Name: r.System, Entries: entries}}
	if r.Error != "" {
		lines = append(lines, line{Name: r.System, Note: "ended early: " + r.Error})
	}
	return lines
}
