package main

import (
	"fmt"
	"math"
	"time"
)

// scale maps values to places: linear, or by their logarithms.
type scale struct {
	from, to  float64 // values; above zero where it is logarithmic
	low, high float64 // places
	log       bool
}

// at is the place of a value, at the nearer end if it is outside.
func (s scale) at(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		from, to, v = math.Log10(from), math.Log10(to), math.Log10(max(v, s.from))
	}
	part := (v - from) / (to - from)
	return s.low + min(max(part, 0), 1)*(s.high-s.low)
}

// linear is a scale from zero to a round number above most.
func linear(most, low, high float64) scale {
	return scale{from: 0, to: roundUp(max(most, 1)), low: low, high: high}
}

// logarithmic is a scale between round numbers around two values above zero.
func logarithmic(least, most, low, high float64) scale {
	s := scale{from: 1 / roundUp(1/least), to: roundUp(most), low: low, high: high, log: true}
	if s.from >= s.to {
		s.to = s.from * 10
	}
	return s
}

// roundUp is the next of 1, 2 and 5 times a power of ten.
func roundUp(v float64) float64 {
	const slack = 1 - 1e-9 // for what is such a number but for rounding
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v*slack <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// mostTicks fit beside each other in a figure.
const mostTicks = 5

// ticks are round values on the scale.
func (s scale) ticks() []float64 {
	var all []float64
	if !s.log {
		const steps = 4
		step := roundUp(s.to / steps)
		for n := 0.0; n*step <= s.to*(1+1e-9); n++ {
			all = append(all, n*step)
		}
		return all
	}
	first, last := math.Floor(math.Log10(s.from)), math.Ceil(math.Log10(s.to))
	for _, steps := range [][]float64{{1, 2, 5}, {1}} {
		all = all[:0]
		for power := first; power <= last; power++ {
			for _, step := range steps {
				if v := step * math.Pow(10, power); v >= s.from*(1-1e-9) && v <= s.to*(1+1e-9) {
					all = append(all, v)
				}
			}
		}
		if len(all) <= mostTicks {
			break
		}
	}
	return all
}

// short is a number with three digits and a unit.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// span is nanoseconds in a unit that leaves few digits.
func span(ns float64) string {
	switch {
	case ns >= float64(time.Second):
		return fmt.Sprintf("%.3g s", ns/1e9)
	case ns >= float64(time.Millisecond):
		return fmt.Sprintf("%.3g ms", ns/1e6)
	case ns >= float64(time.Microsecond):
		return fmt.Sprintf("%.3g µs", ns/1e3)
	}
	return fmt.Sprintf("%.3g ns", ns)
}
