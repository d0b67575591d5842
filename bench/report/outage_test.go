package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/stats"
)

// timed is a row of passes with timelines whose slots have 100 ms.
func timed(name string, passes ...*stats.Timeline) row {
	r := row{Cell: cell{Pattern: "outage", Outage: time.Second}, Name: name}
	for _, t := range passes {
		if t != nil {
			t.Slot = 100 * time.Millisecond
			t.Count = make([]uint64, len(t.Max))
			for i := range t.Max {
				t.Count[i] = uint64(min(t.Max[i], 1))
			}
		}
		r.Samples = append(r.Samples, sample{Timeline: t})
	}
	return r
}

// TestWaitIsOfAllPasses, whose slots begin at about the same time. One without an event is no point.
func TestWaitIsOfAllPasses(t *testing.T) {
	w, ok, err := waitOf(timed("bus/tcp",
		&stats.Timeline{From: -101 * time.Millisecond, Max: []time.Duration{1, 9, 0, 3}}, nil,
		&stats.Timeline{From: -60 * time.Millisecond, Max: []time.Duration{2, 7}}))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got, want := w.slots(), []int{-1, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("slots %v, want %v", got, want)
	}
	if w.worst[-1] != 2 || w.worst[0] != 9 || w.worst[2] != 3 || w.most() != 9 || !near(w.at(2), 0.25) {
		t.Errorf("%+v", w)
	}
}

// TestALineEndsWhereEventsWereLost, and goes on where none was due.
func TestALineEndsWhereEventsWereLost(t *testing.T) {
	w := wait{slot: 100 * time.Millisecond, worst: map[int]time.Duration{0: 1, 1: 1, 4: 1, 9: 1, 10: 1}}
	for rate, want := range map[int][][]int{
		200: {{0, 1}, {4}, {9, 10}},
		5:   {{0, 1, 4, 9, 10}},
	} {
		if got := w.parts(rate); !reflect.DeepEqual(got, want) {
			t.Errorf("at %d/s: %v, want %v", rate, got, want)
		}
	}
}

// TestOneSlotIsADot, for a line of one point is none.
func TestOneSlotIsADot(t *testing.T) {
	r := timed("bus/tcp", &stats.Timeline{Max: []time.Duration{1, 1, 0, 0, 0, 0, 1}})
	r.Cell.Rate = 200
	figures, err := drawOutage("outage", []row{r})
	if err != nil || len(figures) != 1 {
		t.Fatal(len(figures), err)
	}
	if lines, dots := strings.Count(figures[0].body, "<polyline"), strings.Count(figures[0].body, "<circle"); lines != 1 || dots != 1 {
		t.Errorf("%d lines and %d dots", lines, dots)
	}
}

func TestWaitNeedsATimeline(t *testing.T) {
	if figures, err := drawOutage("outage", []row{timed("bus/tcp", nil)}); len(figures) > 0 || err != nil {
		t.Errorf("without any: %d figures, %v", len(figures), err)
	}
	for name, spoil := range map[string]func(*stats.Timeline){
		"no length of slots": func(t *stats.Timeline) { t.Slot = 0 },
		"another length":     func(t *stats.Timeline) { t.Slot++ },
		"too few counts":     func(t *stats.Timeline) { t.Count = nil },
	} {
		r := timed("bus/tcp", &stats.Timeline{Max: []time.Duration{1}}, &stats.Timeline{Max: []time.Duration{1}})
		spoil(r.Samples[1].Timeline)
		if _, err := drawOutage("outage", []row{r}); err == nil || !strings.Contains(err.Error(), "pass 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
