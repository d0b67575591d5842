package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEarthquakes(t *testing.T) {
	lines, err := earthquakes()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1707 {
		t.Errorf("%d lines, want 1707", len(lines))
	}
	seen := make(map[string]bool)
	var last int64
	for i, line := range lines {
		var feature struct{ Properties struct{ Time int64 } }
		if err := json.Unmarshal(line, &feature); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if feature.Properties.Time < last {
			t.Errorf("line %d is earlier than the one before", i+1)
		}
		if last = feature.Properties.Time; seen[string(line)] {
			t.Errorf("line %d is there twice: compare needs different ones", i+1)
		}
		seen[string(line)] = true
	}
}

func TestCompare(t *testing.T) {
	split := func(text string) [][]byte { return bytes.Fields([]byte(text)) }
	for _, test := range []struct {
		name, received string
		want           Counts
	}{
		{"everything", "a b c d", Counts{Sent: 4, Delivered: 4}},
		{"nothing", "", Counts{Sent: 4, Missing: 4}},
		{"one missing", "a b d", Counts{Sent: 4, Delivered: 3, Missing: 1}},
		{"one twice", "a b b c d", Counts{Sent: 4, Delivered: 4, Duplicated: 1}},
		{"one late", "a c b d", Counts{Sent: 4, Delivered: 4, OutOfOrder: 1}},
		{"one damaged", "a x c d", Counts{Sent: 4, Delivered: 3, Missing: 1, Damaged: 1}},
		{"sent again from the start", "a b a b c d", Counts{Sent: 4, Delivered: 4, Duplicated: 2}},
	} {
		got := compare(split("a b c d"), split(test.received))
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
		if got.Intact() != (test.name == "everything") {
			t.Errorf("%s: intact is %v", test.name, got.Intact())
		}
	}
}

func TestPlan(t *testing.T) {
	p := Config{}.pace(1707)
	length := 10 * time.Second
	plan := newPlan(1, p, length)
	if len(plan) < 8 || !slices.Equal(plan, newPlan(1, p, length)) || slices.Equal(plan, newPlan(2, p, length)) {
		t.Fatalf("a plan of %d cuts that does not depend on the seed, and on nothing else", len(plan))
	}
	for _, cut := range plan {
		if cut.at >= length || cut.hop >= hops || cut.closed < p.closedMin || cut.closed >= p.closedMin+p.spent {
			t.Errorf("%+v is out of bounds", cut)
		}
	}
	fast := Config{Fast: true}.pace(1707)
	for seed := range uint64(100) {
		var cuts [hops]int
		for _, cut := range newPlan(seed, fast, 1707*fast.emit) {
			cuts[cut.hop]++
		}
		if slices.Min(cuts[:]) == 0 {
			t.Errorf("seed %d: cuts of each link %v, want some of each", seed, cuts)
		}
	}
}

// The demo itself, as a terminal gets it, and ended early.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	result, err := Run(t.Context(), Config{Fast: true, Seed: 7, Out: &out, Terminal: true, Color: true})
	if err != nil {
		t.Fatal(err)
	}
	if !result.Bus.Intact() {
		t.Errorf("verbose: %+v", result.Bus)
	}
	if result.Bus.Cuts < 3 || result.Bus.Reconnects != result.Bus.Cuts {
		t.Errorf("verbose: %d cuts, %d reconnects", result.Bus.Cuts, result.Bus.Reconnects)
	}
	if plain := result.Plain; plain.Sent != 1707 || plain.Delivered+plain.Missing != plain.Sent || plain.Damaged != 0 {
		t.Errorf("plain: %+v", plain)
	}
	result.Print(&out, true)
	for _, want := range []string{"QUIC, TCP, QUIC", "━━ TCP ━━", "━╳ TCP ╳━", "cut\x1b[0m over TCP ", "\x1b[", "1,707 delivered", "plain connection"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output has no %q", want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(300*time.Millisecond, cancel)
	defer timer.Stop()
	if _, err := Run(ctx, Config{Fast: true, Out: &bytes.Buffer{}}); err == nil {
		t.Error("no error")
	}
}
