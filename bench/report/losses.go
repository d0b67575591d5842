package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/verbose-bus/verbose/bench/stats"
)

// goodput is what a contender brought across a link one way, in Mbit/s of payloads.
type goodput struct {
	name   string
	byLoss map[float64]stats.Range // by what the link lost, in percent
}

// drawLosses has goodput against loss for every link that was measured with several losses.
func drawLosses(rows []row) ([]figure, error) {
	var cells []cell // but for the loss
	byCell := make(map[cell][]goodput)
	for _, r := range rows {
		c := r.Cell
		if c.Pattern != "one-way" || c.Link == (link{}) {
			continue
		}
		size, err := c.bytes()
		if err != nil {
			return nil, err
		}
		c.Link.Loss = 0
		if byCell[c] == nil {
			cells = append(cells, c)
		}
		i := slices.IndexFunc(byCell[c], func(g goodput) bool { return g.name == r.Name })
		if i < 0 {
			i = len(byCell[c])
			byCell[c] = append(byCell[c], goodput{r.Name, make(map[float64]stats.Range)})
		}
		if len(r.Samples) == 0 {
			continue // it has its colour all the same: that of its other links
		}
		mbit := float64(size) * 8 / 1e6
		byCell[c][i].byLoss[r.Cell.Link.Loss] = stats.Range{Min: r.Rate.Min * mbit, Median: r.Rate.Median * mbit, Max: r.Rate.Max * mbit}
	}
	var figures []figure
	for _, c := range cells {
		what := c.Size
		if c.Payload != "random" {
			what += " " + c.Payload
		}
		title := fmt.Sprintf("%s %s: RTT %v, %d Mbit/s, queue %s", c.Pattern, what, c.Link.RTT, c.Link.Bandwidth, c.Link.Queue)
		figures = append(figures, against(title, byCell[c])...)
	}
	return figures, nil
}

// against draws goodput by loss. All plots have the same axes; there is none of a single loss.
func against(title string, all []goodput) (figures []figure) {
	var losses []float64
	most := 0.0
	for _, g := range all {
		losses = slices.AppendSeq(losses, maps.Keys(g.byLoss))
		for _, r := range g.byLoss {
			most = max(most, r.Max)
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(g goodput) bool { return len(g.byLoss) == 0 })
	slices.Sort(losses)
	if losses = slices.Compact(losses); len(losses) < 2 {
		return nil
	}
	for _, group := range stacks(all, func(g goodput) string { return g.name }) {
		figures = append(figures, goodputs(title, losses, most, group))
	}
	return figures
}

// apart is how far the whiskers of two contenders at one loss are from each other, where there is room.
const apart = 4.0

// goodputs draws one plot. Losses are evenly spaced: zero has no logarithm.
func goodputs(title string, losses []float64, most float64, all []goodput) figure {
	d := new(drawing)
	head := d.headline(title, "goodput in Mbit/s, by packets lost each way")
	x := scale{from: -0.5, to: float64(len(losses)) - 0.5, low: plotLeft, high: width - plotRight}
	y := linear(most, head+plotHeight, head)
	d.levels(x, y, short)
	step := int(math.Ceil(float64(len(losses)) / (2 * mostTicks))) // labels are short
	for i := 0; i < len(losses); i += step {
		d.upright(x.at(float64(i)), y, fmt.Sprintf("%v %%", losses[i]))
	}
	gap := min(apart, (x.at(1)-x.at(0))/float64(len(all)+1))
	said := make([]string, len(all))
	for i, g := range all {
		aside := (float64(i) - float64(len(all)-1)/2) * gap
		var points []point
		var texts []string
		for j, loss := range losses {
			r, ok := g.byLoss[loss]
			if !ok { // nothing is known of what is between its neighbours
				d.course(i, points)
				points = nil
				continue
			}
			at := x.at(float64(j)) + aside
			d.line(lineOf(i)+" spread", point{at, y.at(r.Min)}, point{at, y.at(r.Max)})
			points = append(points, point{at, y.at(r.Median)})
			texts = append(texts, fmt.Sprintf("%s at %v %%", short(r.Median), loss))
		}
		d.course(i, points)
		d.legend(i, y, g.name)
		said[i] = g.name + " " + strings.Join(texts, ", ")
	}
	return figure{
		Title: title + ": goodput by loss", Desc: strings.Join(said, "; ") + " in Mbit/s.",
		height: heightOf(y, len(all)), body: d.body.String(),
	}
}

// course draws an unbroken part of line i, with a dot for each of its points.
func (d *drawing) course(i int, points []point) {
	if len(points) > 1 {
		d.curve(lineOf(i), points)
	}
	for _, p := range points {
		d.dot(lineOf(i)+" spread", p, 2.5)
	}
}
