package main

import (
	"cmp"
	"fmt"
	"slices"
)

// draw makes the figures of one cell, without names: rates or latencies, and then the ratios to each baseline.
func draw(rows []row) ([]figure, error) {
	title := rows[0].Cell.String()
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return len(r.Samples) == 0 })
	if len(rows) == 0 {
		return nil, nil
	}
	var figures []figure
	if rows[0].Cell.ofLatency() {
		var err error
		if figures, err = drawLatencies(title, rows); err != nil {
			return nil, err
		}
	} else {
		figures = append(figures, drawRates(title, rows))
	}
	for _, base := range baselines(rows) {
		figures = append(figures, drawRatios(title, base, rows))
	}
	return figures, nil
}

// fewArrived is less than buffers that fill can keep back: whoever is below it dropped events, or sends more than the other side takes.
const fewArrived = 0.8

func drawRates(title string, rows []row) figure {
	lanes := make([]lane, len(rows))
	for i, r := range rows {
		lanes[i] = lane{name: r.Name, value: inFull(r.Rate), of: r.Rate}
		if part := r.arrived(); part > 0 && part < fewArrived {
			lanes[i].value += fmt.Sprintf(", %.0f %% of what was sent", part*100)
		}
	}
	return bars(title, "events/s", lanes)
}

// metric is the name of the ratios that a cell is about.
func (c cell) metric() string {
	if c.ofLatency() {
		return "p50"
	}
	return "rate"
}

func drawRatios(title, base string, rows []row) figure {
	metric := rows[0].Cell.metric()
	var lanes []lane
	for _, r := range rows {
		if ratio, ok := r.Ratios[base][metric]; ok {
			lanes = append(lanes, lane{name: r.Name, value: fraction(ratio), of: ratio})
		}
	}
	what := "events/s"
	if metric == "p50" {
		what = "median latency"
	}
	return ratios(title, what+" ÷ "+base, lanes)
}

// drawLatencies spreads the curves over figures: the bus's beside the baselines, and then beside as many peers at a time as there
// are colours for. Where that would leave few, the bus has figures of its own.
func drawLatencies(title string, rows []row) ([]figure, error) {
	byFamily := make(map[string][]curve)
	for _, r := range rows {
		c, ok, err := curveOf(r)
		if err != nil {
			return nil, err
		}
		if ok {
			byFamily[family(r.Name)] = append(byFamily[family(r.Name)], c)
		}
	}
	beside := byFamily["bus"]
	var groups [][]curve
	if alone := len(byFamily["raw"])+len(byFamily["peer"]) == 0; alone || len(beside) > mostCurves/2 {
		groups, beside = slices.Collect(slices.Chunk(beside, mostCurves)), nil
	}
	groups = slices.AppendSeq(groups, slices.Chunk(byFamily["raw"], mostCurves-len(beside)))
	groups = slices.AppendSeq(groups, slices.Chunk(byFamily["peer"], mostCurves-len(beside)))
	var figures []figure
	for _, group := range groups {
		figures = append(figures, percentiles(title, "latency by percentile", slices.Concat(beside, group)))
	}
	return figures, nil
}

// baselines are the names of those that rows have ratios to, raw ones first.
func baselines(rows []row) []string {
	var names []string
	for _, r := range rows {
		for name, of := range r.Ratios {
			if _, ok := of[r.Cell.metric()]; ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(family(b), family(a)), cmp.Compare(a, b)) // by chance, raw is after bus
	})
	return names
}
