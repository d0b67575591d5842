package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// wait is the worst latency of a contender's events around an outage by when they were scheduled for, of all passes together.
type wait struct {
	name  string
	slot  time.Duration
	worst map[int]time.Duration // by slot, from the cut on
}

// waitOf reads the timelines of a row. Without any, there is nothing to draw.
func waitOf(r row) (w wait, ok bool, err error) {
	w = wait{name: r.Name, worst: make(map[int]time.Duration)}
	for i, s := range r.Samples {
		t := s.Timeline
		if t == nil {
			continue
		}
		if t.Slot <= 0 || len(t.Count) != len(t.Max) || w.slot > 0 && t.Slot != w.slot {
			return w, false, fmt.Errorf("%s, %s: the timeline of measured pass %d is not like the others", r.Cell, r.Name, i+1)
		}
		w.slot = t.Slot
		first := int(math.Round(t.From.Seconds() / t.Slot.Seconds())) // a process asked for it may be late by a part of a slot
		for j, n := range t.Count {
			if n > 0 {
				w.worst[first+j] = max(w.worst[first+j], t.Max[j])
			}
		}
	}
	return w, len(w.worst) > 0, nil
}

// slots are those in which events were scheduled for, in order.
func (w wait) slots() []int { return slices.Sorted(maps.Keys(w.worst)) }

// parts are the slots between pauses in which events were due, at so many a second, and none arrived: a line across one would say they had.
func (w wait) parts(rate int) (parts [][]int) {
	pause := 1 + int(math.Ceil(2/(float64(rate)*w.slot.Seconds()))) // in slots: of a slow source not all have an event
	for _, slot := range w.slots() {
		if n := len(parts); n > 0 && slot-parts[n-1][len(parts[n-1])-1] <= pause {
			parts[n-1] = append(parts[n-1], slot)
			continue
		}
		parts = append(parts, []int{slot})
	}
	return parts
}

// at is the middle of a slot, in seconds since the cut.
func (w wait) at(slot int) float64 { return (float64(slot) + 0.5) * w.slot.Seconds() }

// most is the worst of all.
func (w wait) most() time.Duration { return slices.Max(slices.Collect(maps.Values(w.worst))) }

// drawOutage has the latencies of all rows that have any through the outage of their cell.
func drawOutage(title string, rows []row) ([]figure, error) {
	var waits []wait
	for _, r := range rows {
		w, ok, err := waitOf(r)
		if err != nil {
			return nil, err
		}
		if ok {
			waits = append(waits, w)
		}
	}
	var figures []figure
	for _, group := range stacks(waits, func(w wait) string { return w.name }) {
		figures = append(figures, through(title, rows[0].Cell, group))
	}
	return figures, nil
}

// through draws worst latencies by the time since the cut, and how long that lasted.
func through(title string, c cell, waits []wait) figure {
	d := new(drawing)
	head := d.headline(title, "worst latency by due time, in seconds from the cut")
	x := scale{from: 0, to: c.Outage.Seconds(), low: plotLeft, high: width - plotRight}
	least, most := math.Inf(1), 1.0
	for _, w := range waits {
		slots := w.slots()
		x.from, x.to = min(x.from, w.at(slots[0])), max(x.to, w.at(slots[len(slots)-1]))
		for _, worst := range w.worst {
			least, most = min(least, float64(max(worst, 1))), max(most, float64(worst))
		}
	}
	y := logarithmic(least, most, head+plotHeight, head)
	d.rect("shade", point{x.at(0), y.high}, x.at(c.Outage.Seconds())-x.at(0), y.low-y.high)
	d.text("quiet middle", point{x.at(c.Outage.Seconds() / 2), y.low - 6}, "cut") // nothing is as quick there
	d.levels(x, y, span)
	for _, v := range x.ticks() {
		d.upright(x.at(v), y, short(v))
	}
	said := make([]string, len(waits))
	for i, w := range waits {
		for _, part := range w.parts(c.Rate) {
			points := make([]point, len(part))
			for j, slot := range part {
				points[j] = point{x.at(w.at(slot)), y.at(float64(w.worst[slot]))}
			}
			if len(points) == 1 {
				d.dot(lineOf(i)+" spread", points[0], 2.5)
				continue
			}
			d.curve(lineOf(i), points)
		}
		d.legend(i, y, w.name)
		said[i] = fmt.Sprintf("%s at most %s", w.name, span(float64(w.most())))
	}
	return figure{
		Title: title + ": latency through the outage", Desc: strings.Join(said, "; ") + ".",
		height: heightOf(y, len(waits)), body: d.body.String(),
	}
}
