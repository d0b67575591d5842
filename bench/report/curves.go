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

// curveStep is how many nines lie between two points of a curve.
const curveStep = 0.05

// percentiles draws latency by percentile, both by their logarithms: each step to the right has a tenth of the events of the step before.
func percentiles(title, what string, curves []curve) figure {
	d := new(drawing)
	head := d.headline(title, what)
	least, most, nines := math.Inf(1), 0.0, 1.0
	for _, c := range curves {
		least, most, nines = min(least, c.at(0)), max(most, c.most()), max(nines, c.nines())
	}
	x := scale{from: 0, to: math.Ceil(nines), low: plotLeft, high: width - plotRight}
	y := logarithmic(least, most, head+plotHeight, head)
	d.levels(x, y, span)
	step := math.Ceil(x.to / mostTicks)
	for n := 0.0; n <= x.to; n += step {
		d.upright(x.at(n), y, percent(int(n)))
	}
	said := make([]string, len(curves))
	for i, c := range curves {
		var points []point
		for n := 0.0; n < c.nines(); n += curveStep {
			points = append(points, point{x.at(n), y.at(c.at(n))})
		}
		d.curve(lineOf(i), append(points, point{x.at(c.nines()), y.at(c.most())}))
		d.legend(i, y, c.name)
		said[i] = fmt.Sprintf("%s 50 %% within %s, 99 %% within %s", c.name, span(c.at(math.Log10(2))), span(c.at(2)))
	}
	return figure{
		Title: title + ": " + what, Desc: strings.Join(said, "; ") + ".",
		height: heightOf(y, len(curves)), body: d.body.String(),
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
