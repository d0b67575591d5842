package stats

import (
	"fmt"
	"slices"
)

// Range is the lowest, the middle and the highest of several measurements.
type Range struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	Count  int     `json:"count"` // of measurements
}

// RangeOf returns the range of values, which it does not change. Of an even number, the median is the mean of the
// two in the middle; of none, the range is zero.
func RangeOf(values []float64) Range {
	if len(values) == 0 {
		return Range{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Range{Min: sorted[0], Median: median, Max: sorted[len(sorted)-1], Count: len(sorted)}
}

// String is the range as min–median–max, with two decimals.
func (r Range) String() string { return fmt.Sprintf("%.2f–%.2f–%.2f", r.Min, r.Median, r.Max) }

// Ratios divides what was measured by a baseline, pass by pass: only what ran side by side is compared, so that a
// machine that is slow for a while is slow for both. Passes without a baseline count for nothing.
func Ratios(values, baseline map[int]float64) Range {
	var ratios []float64
	for pass, value := range values {
		if base := baseline[pass]; base > 0 {
			ratios = append(ratios, value/base)
		}
	}
	return RangeOf(ratios)
}
