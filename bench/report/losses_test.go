package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bench/stats"
)

// lossy is a row of a contender one way across a link.
func lossy(name string, loss float64, mbit int) row {
	return row{
		Cell:    cell{Pattern: "one-way", Size: "1KiB", Link: link{Loss: loss, Bandwidth: mbit}},
		Name:    name,
		Samples: []sample{{Rate: 1000}}, Rate: stats.Range{Min: 1000, Median: 1000, Max: 2000},
	}
}

func TestLosses(t *testing.T) {
	elsewhere := lossy("bus/quic", 1, 20)
	elsewhere.Cell.Pattern = "open-loop"
	here := lossy("bus/quic", 1, 0)
	here.Cell.Link = link{}
	rejected := lossy("bus/quic", 1, 20)
	rejected.Samples = nil
	for name, c := range map[string]struct {
		rows    []row
		figures int
	}{
		"none":                         {nil, 0},
		"a single loss":                {[]row{lossy("bus/quic", 0, 20), lossy("raw/quic", 0, 20)}, 0},
		"two of one link":              {[]row{lossy("bus/quic", 0, 20), lossy("bus/quic", 1, 20)}, 1},
		"one each of two links":        {[]row{lossy("bus/quic", 0, 20), lossy("bus/quic", 1, 100)}, 0},
		"two each of two links":        {[]row{lossy("bus/quic", 0, 20), lossy("bus/quic", 0, 100), lossy("bus/quic", 1, 100), lossy("bus/quic", 1, 20)}, 2},
		"another pattern, and no link": {[]row{lossy("bus/quic", 0, 20), elsewhere, here}, 0},
		"one without a pass":           {[]row{lossy("bus/quic", 0, 20), rejected}, 0},
	} {
		figures, err := drawLosses(c.rows)
		if err != nil || len(figures) != c.figures {
			t.Errorf("%s: %d figures, want %d; %v", name, len(figures), c.figures, err)
		}
	}
}

// TestLossesAreInOrder, whatever that of the rows, and in Mbit/s.
func TestLossesAreInOrder(t *testing.T) {
	figures, err := drawLosses([]row{lossy("bus/quic", 3, 20), lossy("bus/quic", 0.1, 20)})
	if err != nil || len(figures) != 1 {
		t.Fatal(len(figures), err)
	}
	if got, want := figures[0].Desc, "bus/quic 8.19 at 0.1 %, 8.19 at 3 % in Mbit/s."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if at := strings.Index(figures[0].body, "0.1 %"); at < 0 || at > strings.Index(figures[0].body, "3 %") {
		t.Error("the axis goes down")
	}
}

// TestLineIsBroken at a loss without a pass.
func TestLineIsBroken(t *testing.T) {
	rows := []row{lossy("raw/quic", 1, 20)}
	for _, loss := range []float64{0, 0.1, 3, 5} {
		rows = append(rows, lossy("bus/quic", loss, 20))
	}
	figures, err := drawLosses(rows)
	if err != nil || len(figures) != 1 {
		t.Fatal(len(figures), err)
	}
	if lines, dots := strings.Count(figures[0].body, "<polyline"), strings.Count(figures[0].body, "<circle"); lines != 2 || dots != 5 {
		t.Errorf("%d lines and %d dots", lines, dots)
	}
}

// TestStacks: where there are too many for one plot, the bus stays beside what it stands on.
func TestStacks(t *testing.T) {
	names := []string{"raw/quic", "bus/quic", "raw/tls cubic", "bus/tcp cubic"}
	many := slices.Concat(names, []string{"bus/quic 8 lanes", "bus/tcp cubic 8 lanes", "raw/tls bbr", "bus/tcp bbr", "bus/tcp bbr 8 lanes"})
	crowd := []string{"raw/quic", "bus/quic", "raw/tls", "bus/tcp"}
	for i := range 8 {
		crowd = append(crowd, fmt.Sprintf("p%d/tcp", i))
	}
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, "[]"},
		{names, "[[bus/quic bus/tcp cubic raw/quic raw/tls cubic]]"},
		{many, "[[bus/quic bus/quic 8 lanes raw/quic] [bus/tcp cubic bus/tcp cubic 8 lanes bus/tcp bbr bus/tcp bbr 8 lanes raw/tls cubic raw/tls bbr]]"},
		{crowd, "[[bus/quic raw/quic] [bus/tcp raw/tls p0/tcp p1/tcp p2/tcp p3/tcp p4/tcp p5/tcp] [p6/tcp p7/tcp]]"},
	} {
		if got := fmt.Sprint(stacks(c.names, func(name string) string { return name })); got != c.want {
			t.Errorf("%v, want %s", got, c.want)
		}
	}
}

// TestManyLosses: neither contenders nor labels are drawn over each other.
func TestManyLosses(t *testing.T) {
	var rows []row
	for i := range 40 {
		for j := range 9 {
			rows = append(rows, lossy(fmt.Sprintf("bus/tcp %d lanes", j), float64(i)/2, 20))
		}
	}
	figures, err := drawLosses(rows)
	if err != nil || len(figures) != 2 {
		t.Fatal(len(figures), err)
	}
	if n := strings.Count(figures[0].body, " %</text>"); n != 2*mostTicks {
		t.Errorf("%d labels", n)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		size string
		want int
	}{{"64B", 64}, {"16KiB", 16 << 10}, {"1MiB", 1 << 20}} {
		if got, err := (cell{Size: c.size}).bytes(); got != c.want || err != nil {
			t.Errorf("%s: %d, %v", c.size, got, err)
		}
	}
	bad := lossy("bus/quic", 0, 20)
	bad.Cell.Size = "large"
	if _, err := drawLosses([]row{bad}); err == nil || !strings.Contains(err.Error(), "large") {
		t.Errorf("%v", err)
	}
}
