package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/stats"
)

// TestFigures holds one of each kind against its file, and all of them to be XML by themselves.
func TestFigures(t *testing.T) {
	_, figures, err := render([]document{documentOf(t, "speed.json"), documentOf(t, "links.json")})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, f := range figures {
		if ids[f.ID] {
			t.Errorf("%s: not the only one", f.ID)
		}
		ids[f.ID] = true
		for _, tag := range []string{"svg", "title", "desc", "style", "text"} {
			if !elements(t, f.file())[tag] {
				t.Errorf("%s has no %s", f.ID, tag)
			}
		}
	}
	for name, is := range map[string]string{
		"bars.svg": "run1-1-1", "ratios.svg": "run1-1-2", "curves.svg": "run1-2-1", "losses.svg": "run2-loss-1", "outage.svg": "run2-4-1",
	} {
		i := slices.IndexFunc(figures, func(f figure) bool { return strings.HasPrefix(f.ID, is+"-") })
		equalsGolden(t, name, []byte(figures[i].Inline()))
	}
}

// elements are the names in a well-formed XML text.
func elements(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for decoder := xml.NewDecoder(strings.NewReader(string(text))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if start, ok := token.(xml.StartElement); ok {
			names[start.Name.Local] = true
		}
	}
}

// recorded is a row whose passes had these latencies.
func recorded(t *testing.T, name string, passes ...[]time.Duration) row {
	t.Helper()
	r := row{Cell: cell{Pattern: "ping-pong"}, Name: name}
	for _, latencies := range passes {
		recorder := stats.NewRecorder()
		for _, d := range latencies {
			recorder.Record(d)
		}
		encoded, err := recorder.Encode()
		if err != nil {
			t.Fatal(err)
		}
		r.Samples = append(r.Samples, sample{Histogram: string(encoded)})
	}
	return r
}

func TestCurveIsOfAllPasses(t *testing.T) {
	slow := make([]time.Duration, 10)
	quick := make([]time.Duration, 990)
	for i := range slow {
		slow[i] = time.Second
	}
	for i := range quick {
		quick[i] = time.Millisecond
	}
	c, ok, err := curveOf(recorded(t, "bus/tcp", quick, nil, slow))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, point := range []struct {
		nines float64
		want  time.Duration
	}{{0, time.Millisecond}, {1, time.Millisecond}, {2.5, time.Second}, {c.nines(), time.Second}} {
		if got := c.at(point.nines); got < float64(point.want)*0.99 || got > float64(point.want)*1.01 {
			t.Errorf("at %v nines: %s, want %s", point.nines, span(got), point.want)
		}
	}
	if !near(c.nines(), 3) {
		t.Errorf("1,000 events have %v nines", c.nines())
	}
}

func TestCurveNeedsHistograms(t *testing.T) {
	if _, ok, err := curveOf(recorded(t, "bus/tcp", nil)); ok || err != nil {
		t.Errorf("without any: %t, %v", ok, err)
	}
	if _, _, err := curveOf(row{Name: "bus/tcp", Samples: []sample{{Histogram: "nonsense"}}}); err == nil || !strings.Contains(err.Error(), "bus/tcp") {
		t.Errorf("nonsense: %v", err)
	}
}

// TestNoCurveIsLeftOut, however many there are, and no figure has more than there are colours for.
func TestNoCurveIsLeftOut(t *testing.T) {
	for _, c := range []struct{ bus, raw, peers, figures int }{
		{2, 0, 0, 1}, {2, 3, 0, 1}, {2, 3, 14, 4}, {2, 7, 0, 2}, {8, 3, 0, 2}, {9, 0, 0, 2}, {0, 3, 0, 1}, {0, 0, 0, 0},
	} {
		var rows []row
		for _, family := range []struct {
			prefix string
			n      int
		}{{"bus/", c.bus}, {"peer/", c.peers}, {"raw/", c.raw}} {
			for i := range family.n {
				rows = append(rows, recorded(t, fmt.Sprintf("%s%d", family.prefix, i), []time.Duration{time.Millisecond}))
			}
		}
		figures, err := drawLatencies("ping-pong", rows)
		if err != nil || len(figures) != c.figures {
			t.Errorf("%+v: %d figures, %v", c, len(figures), err)
		}
		all := ""
		for _, f := range figures {
			all += f.body
			if strings.Contains(f.body, fmt.Sprintf("line%d", mostLines)) {
				t.Errorf("%+v: a curve without a colour", c)
			}
		}
		for _, r := range rows {
			if !strings.Contains(all, ">"+r.Name+"<") {
				t.Errorf("%+v: %s is left out", c, r.Name)
			}
		}
	}
}

func TestFewArrivedIsSaid(t *testing.T) {
	r := row{Cell: cell{Pattern: "one-way"}, Name: "nats/tcp", Rate: stats.Range{Min: 1, Median: 1, Max: 1}, Samples: []sample{{Rate: 1, Offered: 2}}}
	if f := drawRates("one-way", []row{r}); !strings.Contains(f.body, "50 % of what was sent") {
		t.Error("nothing says that half of it never arrived")
	}
	r.Samples[0].Offered = 1.1
	if f := drawRates("one-way", []row{r}); strings.Contains(f.body, "of what was sent") {
		t.Error("what is still on its way counts as missing")
	}
}
