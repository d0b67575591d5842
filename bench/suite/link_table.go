package suite

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/verbose-bus/verbose/bench/stats"
)

// The target: the bus costs no more than so much against the raw transport under it, in the middle of the passes.
const (
	leastGoodput = 0.95
	mostP99      = 1.10
	leastPairs   = 2 // unless one pass is all that was asked for
)

// target is what the bus is judged by in a cell: the ratio that counts, and whether it is met. There is none for baselines and peers, for
// outages, and where fewer than leastPairs passes count on both sides.
func (r *row) target() (ratio stats.Range, met, judged bool) {
	if !r.Contestant.Kind.IsBus() {
		return ratio, false, false
	}
	switch under := r.Ratios[r.Contestant.under().String()]; r.Cell.Pattern {
	case oneWay:
		ratio, judged = under["rate"]
		met = ratio.Median >= leastGoodput
	case openLoop:
		ratio, judged = under["p99"]
		met = ratio.Median <= mostP99
	}
	asked := len(r.Samples) + len(r.Rejected) + len(r.Errors)
	return ratio, met, judged && ratio.Count >= min(leastPairs, asked)
}

// linkColumn is one of a table across a link: a figure in the middle of the passes, or a ratio to what the bus stands on.
type linkColumn struct {
	title string
	of    func(r *row) string
}

func milliseconds(title string, m metric) linkColumn {
	return linkColumn{title, func(r *row) string { return fmt.Sprintf("%.1f", r.median(m)/1e6) }}
}

func ratio(title, metric string) linkColumn {
	return linkColumn{title, func(r *row) string {
		if of, ok := r.Ratios[r.Contestant.under().String()][metric]; ok {
			return fmt.Sprintf("%v of %d", of, of.Count)
		}
		return ""
	}}
}

// linkColumns are those of a pattern.
func linkColumns(pattern string) []linkColumn {
	switch pattern {
	case oneWay:
		return []linkColumn{{"Mbit/s", goodput}, ratio("÷ raw", "rate"), {"target", verdict}}
	case openLoop:
		return []linkColumn{milliseconds("p50 ms", p50), milliseconds("p90", p90), milliseconds("p99", p99), milliseconds("max", most),
			ratio("p99 ÷ raw", "p99"), {"target", verdict}}
	}
	return []linkColumn{milliseconds("recovery ms", recoveryOf), ratio("÷ raw", "recovery"), milliseconds("worst ms", most), ratio("÷ raw", "max")}
}

// goodput is that of payloads.
func goodput(r *row) string {
	mbit := func(rate float64) float64 { return rate * float64(r.Cell.Size) * 8 / 1e6 }
	return fmt.Sprintf("%.2f (%.2f–%.2f)", mbit(r.Rate.Median), mbit(r.Rate.Min), mbit(r.Rate.Max))
}

func verdict(r *row) string {
	switch _, met, judged := r.target(); {
	case !judged:
		return ""
	case met:
		return "met"
	}
	return "MISSED"
}

// printLinkCell writes the table of a cell across a link.
func printLinkCell(out io.Writer, rows []row) error {
	c := rows[0].Cell
	fmt.Fprintf(out, "\n%s\n", c)
	columns := linkColumns(c.Pattern)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "  ")
	for _, column := range columns {
		fmt.Fprint(w, "\t", column.title)
	}
	fmt.Fprintln(w, "\tpasses\tlate p50 p99 max\ttail drops")
	for i := range rows {
		r := &rows[i]
		texts := []string{"  " + r.Name}
		for j, column := range columns {
			switch {
			case len(r.Samples) > 0:
				texts = append(texts, column.of(r))
			case j == 0:
				texts = append(texts, r.without())
			default:
				texts = append(texts, "")
			}
		}
		fmt.Fprintln(w, strings.Join(append(texts, r.emulator()...), "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		r.printArrived(out)
		for _, s := range r.Rejected {
			fmt.Fprintf(out, "  %s, pass %d rejected: %s\n", r.Name, s.Pass, strings.ReplaceAll(s.Link.Rejected, "\n", "; "))
		}
		for _, text := range r.Errors {
			fmt.Fprintf(out, "  %s failed: %s\n", r.Name, text)
		}
	}
	return nil
}

// without says what there is instead of figures.
func (r *row) without() string {
	if len(r.Rejected) > 0 {
		return "rejected"
	}
	return "failed"
}

// emulator is what the emulator says of a row: how many passes count, its lateness, and what found the queue full. Of several
// passes it is the worst, rejected ones included.
func (r *row) emulator() []string {
	all := slices.Concat(r.Samples, r.Rejected)
	var late [3]time.Duration
	var drops uint64
	for _, s := range all {
		late = [3]time.Duration{max(late[0], s.Link.LateP50), max(late[1], s.Link.LateP99), max(late[2], s.Link.LateMax)}
		drops = max(drops, s.Link.TailDrops)
	}
	return []string{
		fmt.Sprintf("%d/%d", len(r.Samples), len(all)+len(r.Errors)),
		fmt.Sprintf("%v %v %v", late[0], late[1], late[2]),
		fmt.Sprint(drops),
	}
}

// printTarget says which cells miss the target, and how many could not be judged.
func (r *report) printTarget(out io.Writer) {
	var missed []string
	all, unjudged := 0, 0
	for _, row := range r.Rows {
		if !row.Contestant.Kind.IsBus() || row.Cell.Pattern == outage {
			continue
		}
		all++
		switch ratio, met, judged := row.target(); {
		case !judged:
			unjudged++
		case !met:
			missed = append(missed, fmt.Sprintf("%v of %s: %s, %s", ratio, row.Contestant.under(), row.Name, row.Cell))
		}
	}
	fmt.Fprintf(out, "\nTarget: goodput of at least %.2f and p99 of at most %.2f of the raw transport's. Of %d, %d miss it and %d can't be judged.\n",
		leastGoodput, mostP99, all, len(missed), unjudged)
	for _, text := range missed {
		fmt.Fprintln(out, " ", text)
	}
}
