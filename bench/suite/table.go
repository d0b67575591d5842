package suite

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/stats"
)

// print writes a table for each cell.
func (r *report) print(out io.Writer) error {
	e := r.Environment
	congestion := e.Congestion
	if r.Settings.Links != nil {
		congestion = "as named"
	}
	fmt.Fprintf(out, "%s %s/%s, %s, %d cores, kernel %s, TCP congestion control %s, QUIC's NewReno; load %s\n", e.Go, e.OS, e.Arch, e.CPU, e.Cores, e.Kernel, congestion, e.Load)
	fmt.Fprintf(out, "%d passes of %s, after %s; ratios are ours to theirs of the same pass, min–median–max\n", r.Settings.Passes, r.Settings.Time, r.Settings.Warmup)
	if r.Interrupted {
		fmt.Fprintln(out, "Interrupted: what follows is what was there.")
	}
	for rows := r.Rows; len(rows) > 0; {
		n := 1
		for n < len(rows) && rows[n].Cell == rows[0].Cell {
			n++
		}
		if err := printCell(out, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	if r.Settings.Links != nil {
		r.printTarget(out)
	}
	return nil
}

func printCell(out io.Writer, rows []row) error {
	c := rows[0].Cell
	if c.Link != (link{}) {
		return printLinkCell(out, rows)
	}
	title := c.String()
	if rate := rows[0].OfferedRate; rate > 0 {
		title += fmt.Sprintf(", %s events/s", short(rate))
	}
	fmt.Fprintf(out, "\n%s\n", title)
	bases := baselinesOf(rows)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if c.ofLatency() {
		fmt.Fprint(w, "  \tp50 µs\tp90\tp99\tp99.9\tmax")
	} else {
		fmt.Fprint(w, "  \tevents/s\tMB/s")
	}
	for _, base := range bases {
		if c.ofLatency() {
			base = "p50 " + base
		}
		fmt.Fprintf(w, "\t÷ %s", base)
	}
	fmt.Fprintln(w, "\tCPU µs/event\tCPU ÷\tallocs/event\tpeak MiB\tB/event\tpackets/event")
	for _, r := range rows {
		if len(r.Samples) > 0 {
			r.print(w, bases)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		r.printArrived(out)
		for _, text := range r.Errors {
			fmt.Fprintf(out, "  %s failed: %s\n", r.Name, text)
		}
	}
	return nil
}

// What arrives of events in the time in which they were sent is less than all for two reasons.
const (
	keptBack = 0.8  // buffers that fill can keep back so much in a second, but no more
	paced    = 0.98 // at a rate there is little to keep back: the rest is lost, or late by more than was measured, and not in the percentiles
)

// printArrived says how much is missing, if that is much.
func (r *row) printArrived(out io.Writer) {
	least := keptBack
	if r.Cell.load() == child.Paced {
		least = paced
	}
	if part := r.arrived(); part < least {
		fmt.Fprintf(out, "  %s: only %.1f %% of what was to be sent arrived in that time\n", r.Name, part*100)
	}
}

// arrived is the part of what was sent one way, or was due at a rate, that arrived in the same time: the middle of the passes.
func (r *row) arrived() float64 {
	switch {
	case len(r.Samples) == 0:
	case r.Cell.load() == child.Paced: // and not of what was sent: who has to wait sends less
		return r.Rate.Median / r.OfferedRate / float64(max(r.Cell.Fan, 1))
	case r.Cell.Pattern == oneWay:
		return r.median(func(s sample) float64 { return s.Rate / s.Offered })
	}
	return 1
}

// baselinesOf are the names of those that rows are compared with: the baselines, and then what only peers are compared with.
func baselinesOf(rows []row) []string {
	var names, ours []string
	for _, base := range rows {
		compared := slices.ContainsFunc(rows, func(r row) bool { return r.Contestant.comparesWith(base.Contestant) })
		switch {
		case base.Contestant.Kind.IsRaw():
			names = append(names, base.Name)
		case compared:
			ours = append(ours, base.Name)
		}
	}
	return append(names, ours...)
}

// print writes the row's line.
func (r *row) print(w io.Writer, bases []string) {
	cells := []string{"  " + r.Name}
	ratio := "rate"
	if r.Cell.ofLatency() {
		ratio = "p50"
		for _, m := range []metric{p50, p90, p99, p999, most} {
			cells = append(cells, fmt.Sprintf("%.1f", r.median(m)/1e3))
		}
	} else {
		cells = append(cells,
			fmt.Sprintf("%s (%s–%s)", short(r.Rate.Median), short(r.Rate.Min), short(r.Rate.Max)),
			fmt.Sprintf("%.0f", r.Rate.Median*float64(r.Cell.Size)/1e6))
	}
	for _, base := range bases {
		text := ""
		if of, ok := r.Ratios[base][ratio]; ok {
			text = of.String()
		}
		cells = append(cells, text)
	}
	cells = append(cells,
		fmt.Sprintf("%.3g", r.median(cpuOf)),
		r.cpuRatios(bases),
		r.sides(func(s side) string { return fmt.Sprintf("%.2f", s.AllocsPerEvent) }),
		r.sides(func(s side) string { return fmt.Sprint(s.PeakRSS >> 20) }),
	)
	if r.Wire != (wire{}) { // not everyone counts
		cells = append(cells, fmt.Sprintf("%.4g", r.Wire.BytesPerEvent), fmt.Sprintf("%.3g", r.Wire.PacketsPerEvent))
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// cpuRatios are the medians of the ratios of CPU per event, in the order of the baselines.
func (r *row) cpuRatios(bases []string) string {
	var texts []string
	for _, base := range bases {
		if ratio, ok := r.Ratios[base]["cpu"]; ok {
			texts = append(texts, fmt.Sprintf("%.2f", ratio.Median))
		}
	}
	return strings.Join(texts, " ")
}

func (r *row) median(m metric) float64 { return stats.RangeOf(r.each(m)).Median }

// sides is a figure of the middle pass for each role, from the source on.
func (r *row) sides(of func(side) string) string {
	byRate := slices.SortedFunc(slices.Values(r.Samples), func(a, b sample) int {
		return int(math.Copysign(1, a.Rate-b.Rate))
	})
	middle := byRate[len(byRate)/2].Sides
	var texts []string
	for _, role := range []child.Role{child.Source, child.Relay, child.Sink, child.Echo} {
		if s, ok := middle[role]; ok {
			texts = append(texts, of(s))
		}
	}
	return strings.Join(texts, " ")
}

// short is a number with three digits and a unit.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}
