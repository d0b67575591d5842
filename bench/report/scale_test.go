package main

import (
	"math"
	"slices"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1) }

func TestScaleTicks(t *testing.T) {
	for _, c := range []struct {
		name  string
		scale scale
		want  []float64
	}{
		{"linear", linear(3_840_000, 0, 100), []float64{0, 2e6, 4e6}},
		{"linear, a round number", linear(2000, 0, 100), []float64{0, 500, 1000, 1500, 2000}},
		{"around one", logarithmic(0.57, 1.7, 0, 100), []float64{0.5, 1, 2}},
		{"decades", logarithmic(0.0031, 4.2, 0, 100), []float64{0.01, 0.1, 1}},
		{"a single value", logarithmic(1, 1, 0, 100), []float64{1, 2, 5, 10}},
	} {
		if got := c.scale.ticks(); !slices.EqualFunc(got, c.want, near) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestScaleAt(t *testing.T) {
	log := scale{from: 0.01, to: 100, low: 10, high: 50, log: true}
	for _, c := range []struct{ v, want float64 }{{0.01, 10}, {1, 30}, {10, 40}, {100, 50}, {0, 10}, {-1, 10}, {1e9, 50}} {
		if got := log.at(c.v); !near(got, c.want) {
			t.Errorf("%v is at %v, want %v", c.v, got, c.want)
		}
	}
	down := linear(10, 100, 0) // a vertical axis: up is less
	if got := down.at(5); !near(got, 50) {
		t.Errorf("the middle is at %v", got)
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{short(2_396_686), "2.4M"}, {short(51_432), "51.4k"}, {short(9_876), "9876"}, {short(0.00312), "0.00312"},
		{span(950), "950 ns"}, {span(12_345), "12.3 µs"}, {span(10e6), "10 ms"}, {span(2.5e9), "2.5 s"},
		{percent(0), "0 %"}, {percent(2), "99"}, {percent(4), "99.99"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"one-way 64B random free", []string{"one-way 64B random free"}},
		{"open-loop at 50 % of bus/quic adaptive 64B earthquakes pinned", []string{"open-loop at 50 % of bus/quic adaptive 64B", "earthquakes pinned"}},
		{"outage of 1s at 200/s 1KiB: RTT 20ms, loss 0 %, 20 Mbit/s", []string{"outage of 1s at 200/s 1KiB: RTT 20ms, loss 0 %,", "20 Mbit/s"}},
		{"", nil},
	} {
		if got := wrap(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
