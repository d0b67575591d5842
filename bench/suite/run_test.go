package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/host"
)

// runSmall measures with real processes, in times that say nothing about speed, and returns the tables and the results.
func runSmall(t *testing.T, args ...string) (string, *report) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	args = append(args, "--passes=1", "--time=30ms", "--warmup=10ms", "--out="+dir, "--events=../../codec/testdata/earthquakes.ndjson")
	if err := alone.Run(t.Context(), args, &out, os.Stderr); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String(), readReport(t, dir)
}

func readReport(t *testing.T, dir string) *report {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("results: %v", files)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	r := new(report)
	must(t, json.Unmarshal(text, r))
	return r
}

func TestOneWayBesideEveryBaseline(t *testing.T) {
	table, r := runSmall(t, "--pattern=one-way", "--size=1KiB", "--cpu=free")
	if len(r.Rows) != 7 {
		t.Fatalf("%d rows\n%s", len(r.Rows), table)
	}
	for _, row := range r.Rows {
		s := row.Samples[0]
		// The source of so short a pass may have waited all along.
		if s.Events == 0 || s.Rate <= 0 || s.CPUPerEvent <= 0 || s.Sides[child.Sink].CPU <= 0 {
			t.Errorf("%s: %+v", row.Name, s)
		}
		if host.CanPin && (row.Wire.PacketsPerEvent <= 0 || s.Sides[child.Sink].PeakRSS == 0) {
			t.Errorf("%s: %+v, %+v", row.Name, row.Wire, s.Sides)
		}
		for _, base := range []string{"raw/quic", "raw/tls", "raw/tcp"} {
			if ours := row.Contestant.Kind.IsBus(); ours != (row.Ratios[base]["rate"].Median > 0 && row.Ratios[base]["cpu"].Median > 0) {
				t.Errorf("%s: ratios %v", row.Name, row.Ratios)
			}
		}
		if !strings.Contains(table, row.Name) {
			t.Errorf("the table has no %s:\n%s", row.Name, table)
		}
	}
}

func TestLatencyOfOneAndOfMany(t *testing.T) {
	cpu := "--cpu=free"
	if host.CanPin {
		cpu = "--cpu=pinned"
	}
	table, r := runSmall(t, "--pattern=ping-pong,open-loop", "--transport=tcp", "--baseline=tls", "--load=10", cpu, "--payload=earthquakes", "--compression=adaptive")
	patterns := make(map[string]int)
	for _, row := range r.Rows {
		patterns[row.Cell.Pattern]++
		s := row.Samples[0]
		if row.Cell.Pattern == oneWay {
			continue // whose rate the open loop needs
		}
		if s.Latency == nil || s.Latency.Count == 0 || s.Latency.P50 <= 0 || s.Latency.Max < s.Latency.P999 || s.Histogram == "" {
			t.Errorf("%s %s: %+v", row.Cell, row.Name, s.Latency)
		}
		if open := row.Cell.Pattern == openLoop; open != (s.Late != nil && row.OfferedRate > 0) {
			t.Errorf("%s %s: late %v, at %v/s", row.Cell, row.Name, s.Late, row.OfferedRate)
		}
	}
	if patterns[oneWay] != 2 || patterns[pingPong] != 2 || patterns[openLoop] != 2 {
		t.Errorf("rows: %v\n%s", patterns, table)
	}
}

func TestTopologies(t *testing.T) {
	table, r := runSmall(t, "--pattern=fan-out,fan-in,chain,unheard,subscriptions", "--size=64B", "--transport=tcp", "--baseline=tcp",
		"--fan=3", "--relays=2", "--subscriptions=20", "--in-process")
	for _, row := range r.Rows {
		if s := row.Samples[0]; s.Events == 0 || row.Cell.Pattern == chain && (s.Sides[child.Relay].CPU <= 0 || s.Sides[child.Relay].AllocsPerEvent <= 0) {
			t.Errorf("%s %s: %+v", row.Cell, row.Name, s)
		}
	}
	if len(r.Rows) != 10 {
		t.Errorf("%d rows\n%s", len(r.Rows), table)
	}
}

func TestFanOutAtARate(t *testing.T) {
	table, r := runSmall(t, "--pattern=fan-out", "--size=64B", "--transport=tcp", "--baseline=tcp", "--fan=3", "--rate=1000")
	if len(r.Rows) != 2 || !strings.Contains(table, "fan-out 3 at 1000/s 64B random free") || !strings.Contains(table, "p99") {
		t.Fatalf("%d rows\n%s", len(r.Rows), table)
	}
	for _, row := range r.Rows {
		if s := row.Samples[0]; row.OfferedRate != 1000 || s.Events == 0 || s.Latency == nil {
			t.Errorf("%s: %+v\n%s", row.Name, s, table)
		}
	}
}

func TestInterruptedPrintsWhatIsThere(t *testing.T) {
	o, err := alone.parse([]string{"--quick", "--pattern=one-way", "--transport=tcp", "--baseline=tcp", "--handler=keep", "--time=10ms", "--warmup=1ms", "--passes=1000"}, os.Stderr)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := alone.newSession(o, newProgress(os.Stderr, false, 0))
	must(t, err)
	defer s.close()
	jobs, _ := plan(o)
	turns := 0
	s.measured = func() {
		if turns++; turns == 6 {
			cancel()
		}
	}
	r := s.measureAll(ctx, jobs)
	if !r.Interrupted || len(r.Rows) != 2 || len(r.Rows[0].Samples) != 2 || len(r.Rows[1].Samples) != 2 || r.failures() > 0 {
		t.Fatalf("%+v", r)
	}
	var out bytes.Buffer
	must(t, r.print(&out))
	if !strings.Contains(out.String(), "Interrupted") || !strings.Contains(out.String(), "bus/tcp") {
		t.Error(out.String())
	}
}

func TestFailureIsARowOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	err := alone.Run(t.Context(), []string{"--quick", "--pattern=one-way", "--transport=tcp", "--baseline=tcp", "--passes=1", "--payload=earthquakes",
		"--compression=off", "--handler=keep", "--events=missing", "--out=" + dir}, &out, os.Stderr)
	if err == nil || !strings.Contains(out.String(), "failed: ") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if r := readReport(t, dir); len(r.Rows) != 2 || len(r.Rows[0].Errors) == 0 || len(r.Rows[0].Samples) != 0 {
		t.Errorf("%+v", r.Rows)
	}
}
