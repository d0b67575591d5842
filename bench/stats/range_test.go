package stats

import "testing"

func TestRangeOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Range
	}{
		{nil, Range{}},
		{[]float64{3}, Range{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, Range{1, 3, 5, 3}},
		{[]float64{4, 1, 2, 10}, Range{1, 3, 10, 4}},
	} {
		if got := RangeOf(c.values); got != c.want {
			t.Errorf("of %v: %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRangeOfLeavesItsInput(t *testing.T) {
	values := []float64{3, 1, 2}
	RangeOf(values)
	if values[0] != 3 || values[1] != 1 {
		t.Errorf("the values were sorted in place: %v", values)
	}
}

func TestRatiosArePassByPass(t *testing.T) {
	// The second pass was slow for both: a ratio of medians would say something else.
	got := Ratios(map[int]float64{1: 50, 2: 5, 3: 80, 4: 7}, map[int]float64{1: 100, 2: 20, 3: 100})
	if want := (Range{0.25, 0.5, 0.8, 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
