package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// curve is the latency of a contender, all passes together.
type curve struct {
	name      string
	histogram *hdrhistogram.Histogram
}

// curveOf reads the histograms of a row. Without any, there is no curve.
func curveOf(r row) (c curve, ok bool, err error) {
	c.name = r.Name
	for i, s := range r.Samples {
		if s.Histogram == "" {
			continue
		}
		h, err := hdrhistogram.Decode([]byte(s.Histogram))
		if err != nil {
			return c, false, fmt.Errorf("%s, %s, the histogram of measured pass %d: %w", r.Cell, r.Name, i+1, err)
		}
		if c.histogram == nil {
			c.histogram = h
		} else if dropped := c.histogram.Merge(h); dropped > 0 {
			return c, false, fmt.Errorf("%s, %s: the passes' histograms have different bounds", r.Cell, r.Name)
		}
	}
	return c, c.histogram != nil && c.histogram.TotalCount() > 0, nil
}

// at is the latency that all but one in 10^nines stay within.
func (c curve) at(nines float64) float64 {
	ns := c.histogram.ValueAtQuantile(100 * (1 - math.Pow(10, -nines)))
	return float64(max(ns, 1))
}

// most is the latency that everything stays within.
func (c curve) most() float64 { return float64(max(c.histogram.Max(), 1)) }

// nines is how far there is an event for each point of the curve.
func (c curve) nines() float64 { return math.Log10(float64(c.histogram.TotalCount())) }

// The measures of curves.
const (
	curveLeft    = 52
	curveRight   = 30
	curveHeight  = 220
	curveStep    = 0.05 // of nines
	legendTop    = 38   // below the curves, from the axis on
	legendHeight = 18
	legendSample = 26
	mostCurves   = 8 // as many as there are colours
)

// percentiles draws latency by percentile, both by their logarithms: each step to the right has a tenth of the events of the step before.
func percentiles(title, what string, curves []curve) figure {
	d := new(drawing)
	head := d.headline(title, what)
	least, most, nines := math.Inf(1), 0.0, 1.0
	for _, c := range curves {
		least, most, nines = min(least, c.at(0)), max(most, c.most()), max(nines, c.nines())
	}
	x := scale{from: 0, to: math.Ceil(nines), low: curveLeft, high: width - curveRight}
	y := logarithmic(least, most, head+curveHeight, head)
	for _, v := range y.ticks() {
		d.line("rule", point{x.low, y.at(v)}, point{x.high, y.at(v)})
		d.text("quiet end", point{x.low - 5, y.at(v) + 4}, span(v))
	}
	step := math.Ceil(x.to / mostTicks)
	for n := 0.0; n <= x.to; n += step {
		d.line("rule", point{x.at(n), y.high}, point{x.at(n), y.low})
		d.text("quiet middle", point{x.at(n), y.low + 17}, percent(int(n)))
	}
	said := make([]string, len(curves))
	for i, c := range curves {
		class := fmt.Sprintf("curve line%d", i)
		var points []point
		for n := 0.0; n < c.nines(); n += curveStep {
			points = append(points, point{x.at(n), y.at(c.at(n))})
		}
		d.curve(class, append(points, point{x.at(c.nines()), y.at(c.most())}))
		at := point{float64(i%2) * width / 2, y.low + legendTop + float64(i/2)*legendHeight}
		d.line(class, point{at.x, at.y - 4}, point{at.x + legendSample, at.y - 4})
		d.text("start", point{at.x + legendSample + 6, at.y}, c.name)
		said[i] = fmt.Sprintf("%s 50 %% within %s, 99 %% within %s", c.name, span(c.at(math.Log10(2))), span(c.at(2)))
	}
	return figure{
		Title: title + ": " + what, Desc: strings.Join(said, "; ") + ".",
		height: y.low + legendTop + float64((len(curves)+1)/2)*legendHeight, body: d.body.String(),
	}
}

// percent is the percentile of so many nines: 0, 90, 99, 99.9.
func percent(nines int) string {
	switch nines {
	case 0:
		return "0 %"
	case 1:
		return "90"
	case 2:
		return "99"
	}
	return "99." + strings.Repeat("9", nines-2)
}
