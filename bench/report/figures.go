package main

import (
	"cmp"
	"fmt"
	"slices"
)

// draw makes the figures of one cell, without names: rates or latencies, through an outage first, and then the ratios to each baseline.
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
		outages, err := drawOutage(title, rows)
		if err != nil {
			return nil, err
		}
		figures = append(outages, figures...)
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
	switch {
	case c.Outage > 0:
		return "recovery"
	case c.ofLatency():
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
	what := map[string]string{"rate": "events/s", "p50": "median latency", "recovery": "time to recover"}
	return ratios(title, what[metric]+" ÷ "+base, lanes)
}

// drawLatencies has the curves of all rows that have any.
func drawLatencies(title string, rows []row) ([]figure, error) {
	var curves []curve
	for _, r := range rows {
		c, ok, err := curveOf(r)
		if err != nil {
			return nil, err
		}
		if ok {
			curves = append(curves, c)
		}
	}
	var figures []figure
	for _, group := range groups(curves, func(c curve) string { return c.name }) {
		figures = append(figures, percentiles(title, "latency by percentile", group))
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
