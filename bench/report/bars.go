package main

import (
	"fmt"
	"strings"

	"github.com/verbose-bus/verbose/bench/stats"
)

// lane is a contender's part of a figure: its name and what it reached over a bar or a dot with its whisker.
type lane struct {
	name  string
	value string
	of    stats.Range
}

// The measures of lanes, from the top of one.
const (
	laneHeight = 33
	laneText   = 11
	laneMark   = 20 // the middle of what is drawn
	barHeight  = 10
	tip        = 4 // half of a whisker's end
	axisHeight = 18
	edge       = 20 // kept free at the sides for the numbers of the axis
)

// bars has a bar from zero to each median.
func bars(title, what string, lanes []lane) figure {
	x := linear(most(lanes), 0, width-edge)
	return inLanes(title, what, lanes, x, func(d *drawing, l lane, y float64) {
		d.rect(family(l.name), point{x.low, y - barHeight/2}, x.at(l.of.Median)-x.low, barHeight)
	})
}

// ratios has a dot at each median, and a line at one.
func ratios(title, what string, lanes []lane) figure {
	least := 1.0
	for _, l := range lanes {
		if l.of.Min > 0 {
			least = min(least, l.of.Min)
		}
	}
	x := logarithmic(least, max(most(lanes), 1), edge, width-edge)
	return inLanes(title, what, lanes, x, func(d *drawing, l lane, y float64) {
		d.line("one", point{x.at(1), y - tip*2}, point{x.at(1), y + tip*2})
		d.dot(family(l.name), point{x.at(l.of.Median), y}, 4.5)
	})
}

func most(lanes []lane) float64 {
	most := 0.0
	for _, l := range lanes {
		most = max(most, l.of.Max)
	}
	return most
}

// inLanes draws lanes below each other on one axis, each with a whisker over what mark draws around a height.
func inLanes(title, what string, lanes []lane, x scale, mark func(d *drawing, l lane, y float64)) figure {
	d := new(drawing)
	head := d.headline(title, what)
	bottom := head + float64(len(lanes)*laneHeight)
	for _, v := range x.ticks() {
		place := "quiet middle"
		if x.at(v) < edge {
			place = "quiet start"
		}
		d.line("rule", point{x.at(v), head}, point{x.at(v), bottom})
		d.text(place, point{x.at(v), bottom + axisHeight - 4}, short(v))
	}
	said := make([]string, len(lanes))
	for i, l := range lanes {
		top := head + float64(i*laneHeight)
		d.text("start", point{0, top + laneText}, l.name)
		d.text("quiet end", point{width, top + laneText}, l.value)
		mark(d, l, top+laneMark)
		d.whisker(x.at(l.of.Min), x.at(l.of.Max), top+laneMark)
		said[i] = l.name + " " + l.value
	}
	return figure{
		Title: title + ": " + what, Desc: strings.Join(said, "; ") + ".",
		height: bottom + axisHeight, body: d.body.String(),
	}
}

func (d *drawing) whisker(from, to, y float64) {
	d.line("whisker", point{from, y}, point{to, y})
	for _, end := range []float64{from, to} {
		d.line("whisker", point{end, y - tip}, point{end, y + tip})
	}
}

// family is the class of a contender: what is compared, what it is compared with first, or another system.
func family(name string) string {
	switch {
	case strings.HasPrefix(name, "bus/"):
		return "bus"
	case strings.HasPrefix(name, "raw/"):
		return "raw"
	}
	return "peer"
}

// inFull is a rate with its range.
func inFull(r stats.Range) string {
	return fmt.Sprintf("%s (%s–%s)", short(r.Median), short(r.Min), short(r.Max))
}

// fraction is a ratio with its range.
func fraction(r stats.Range) string {
	return fmt.Sprintf("%s–%s–%s", short(r.Min), short(r.Median), short(r.Max))
}
