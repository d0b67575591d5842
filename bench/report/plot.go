package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The measures of a plot: lines between two axes, and what each is below them.
const (
	plotLeft     = 52
	plotRight    = 30
	plotHeight   = 220
	legendTop    = 38 // from the axis on
	legendHeight = 18
	legendSample = 26
	mostLines    = 8 // as many as there are colours
)

// lineOf is the class of line i of a plot.
func lineOf(i int) string { return fmt.Sprintf("curve line%d", i) }

// levels draws the vertical axis.
func (d *drawing) levels(x, y scale, label func(float64) string) {
	for _, v := range y.ticks() {
		d.line("rule", point{x.low, y.at(v)}, point{x.high, y.at(v)})
		d.text("quiet end", point{x.low - 5, y.at(v) + 4}, label(v))
	}
}

// upright draws a place of the horizontal axis.
func (d *drawing) upright(x float64, y scale, label string) {
	d.line("rule", point{x, y.high}, point{x, y.low})
	d.text("quiet middle", point{x, y.low + 17}, label)
}

// legend says whose line i is.
func (d *drawing) legend(i int, y scale, name string) {
	at := point{float64(i%2) * width / 2, y.low + legendTop + float64(i/2)*legendHeight}
	d.line(lineOf(i), point{at.x, at.y - 4}, point{at.x + legendSample, at.y - 4})
	d.text("start", point{at.x + legendSample + 6, at.y}, name)
}

// heightOf is that of a figure with a plot of so many lines.
func heightOf(y scale, lines int) float64 {
	return y.low + legendTop + float64((lines+1)/2)*legendHeight
}

// groups spreads lines over plots: the bus's beside the baselines, and then beside as many peers at a time as there are colours for.
// Where that would leave few, the bus has plots of its own.
func groups[T any](lines []T, name func(T) string) (groups [][]T) {
	byFamily := make(map[string][]T)
	for _, l := range lines {
		byFamily[family(name(l))] = append(byFamily[family(name(l))], l)
	}
	beside := byFamily["bus"]
	if alone := len(byFamily["raw"])+len(byFamily["peer"]) == 0; alone || len(beside) > mostLines/2 {
		groups, beside = slices.Collect(slices.Chunk(beside, mostLines)), nil
	}
	for _, family := range []string{"raw", "peer"} {
		for others := range slices.Chunk(byFamily[family], mostLines-len(beside)) {
			groups = append(groups, slices.Concat(beside, others))
		}
	}
	return groups
}

// stacks spreads lines of contenders across a link over plots, the bus's first: all in one if there are colours for them, or else what
// goes over QUIC and what goes over TCP apart, so that the bus stays beside what it stands on.
func stacks[T any](lines []T, name func(T) string) (stacks [][]T) {
	lines = slices.Clone(lines)
	order := []string{"bus", "raw", "peer"}
	place := func(l T) int { return slices.Index(order, family(name(l))) }
	slices.SortStableFunc(lines, func(a, b T) int { return cmp.Compare(place(a), place(b)) })
	parts := [][]T{lines}
	if len(lines) > mostLines {
		parts = make([][]T, 2)
		for _, l := range lines {
			i := 1
			if _, transport, _ := strings.Cut(name(l), "/"); strings.HasPrefix(transport, "quic") {
				i = 0
			}
			parts[i] = append(parts[i], l)
		}
	}
	for _, part := range parts {
		stacks = slices.AppendSeq(stacks, slices.Chunk(part, mostLines))
	}
	return stacks
}
