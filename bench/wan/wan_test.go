package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/netem"
)

// results are what the tests read of the format in bench/README.md.
type results struct {
	Schema int `json:"schema"`
	Rows   []struct {
		Cell struct {
			Pattern string `json:"pattern"`
			Link    struct {
				RTT   time.Duration `json:"rtt_ns"`
				Queue string        `json:"queue"`
			} `json:"link"`
		} `json:"cell"`
		Name     string                                `json:"name"`
		Passes   []pass                                `json:"passes"`
		Rejected []pass                                `json:"rejected"`
		Errors   []string                              `json:"errors"`
		Ratios   map[string]map[string]json.RawMessage `json:"ratios"`
	} `json:"rows"`
}

type pass struct {
	Events   uint64        `json:"events"`
	Recovery time.Duration `json:"recovery_ns"`
	Timeline struct {
		From  time.Duration   `json:"from_ns"`
		Slot  time.Duration   `json:"slot_ns"`
		Count []uint64        `json:"count"`
		Max   []time.Duration `json:"max_ns"`
	} `json:"timeline"`
	Latency struct {
		P50, Max time.Duration
	} `json:"latency_ns"`
	Link struct {
		Packets  uint64 `json:"packets"`
		Lost     uint64 `json:"lost"`
		Cut      uint64 `json:"cut"`
		Rejected string `json:"rejected"`
	} `json:"link"`
}

const (
	rtt    = 20 * time.Millisecond
	outage = 100 * time.Millisecond
)

// TestSmoke has every contender cross a link, in times that say nothing about speed. What a busy machine has the emulator reject is
// looked at all the same, for what it shows is there in any case.
func TestSmoke(t *testing.T) {
	netem.Test(t, 0)
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{"--passes=1", "--time=60ms", "--warmup=10ms", "--rtt=" + rtt.String(), "--loss=3", "--bandwidth=20", "--lanes=8",
		"--outage=" + outage.String(), "--congestion=cubic", "--out=" + dir}
	must(t, program("../..").Run(t.Context(), args, &out, os.Stderr))
	rows := 0
	for _, row := range read(t, dir).Rows {
		rows++
		passes := append(row.Passes, row.Rejected...)
		if len(passes) != 1 || len(row.Errors) > 0 {
			t.Fatalf("%+v", row)
		}
		p, c := passes[0], row.Cell
		if p.Events == 0 || p.Link.Packets == 0 || (len(row.Rejected) > 0) != (p.Link.Rejected != "") || c.Link.RTT != rtt || c.Link.Queue != "64KiB" {
			t.Errorf("%+v", row)
		}
		if (c.Pattern != "one-way") != (p.Latency.P50 >= rtt/2) {
			t.Errorf("%s of %s: p50 %v across a link of %v", c.Pattern, row.Name, p.Latency.P50, rtt)
		}
		// An event waits for as long as the link was cut, and for its way.
		if cut := c.Pattern == "outage"; cut != (p.Link.Cut > 0) || cut != (p.Recovery >= rtt/2) || cut && p.Latency.Max < outage {
			t.Errorf("%s of %s: %+v", c.Pattern, row.Name, p)
		}
		// What was scheduled for before the cut has a slot too, and what was scheduled for just after it waited until the end. On a machine
		// too busy to send on time, there may be no such event.
		if line := p.Timeline; c.Pattern != "outage" {
			if line.Slot != 0 {
				t.Errorf("%s of %s has a timeline", c.Pattern, row.Name)
			}
		} else if len(row.Rejected) == 0 && (line.Slot != outage/50 || line.From >= 0 || len(line.Count) != len(line.Max) || len(line.Max) == 0 || slices.Max(line.Max) < outage*9/10) {
			t.Errorf("%s: %+v", row.Name, line)
		}
		if !strings.Contains(out.String(), row.Name) {
			t.Errorf("the table has no %s", row.Name)
		}
	}
	if rows != 3*4 || !strings.Contains(out.String(), "Target: ") {
		t.Errorf("%d rows\n%s", rows, out.String())
	}
}

func read(t *testing.T, dir string) (r results) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("results: %v", files)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	must(t, json.Unmarshal(text, &r))
	return r
}

func TestCongestionThatTheSystemLacks(t *testing.T) {
	netem.Test(t, 0)
	err := program("../..").Run(t.Context(), []string{"--congestion=none", "--out=" + t.TempDir()}, new(bytes.Buffer), os.Stderr)
	if err == nil || !strings.HasPrefix(err.Error(), "--congestion") {
		t.Error(err)
	}
}

func TestFlagsThatMakeNoLink(t *testing.T) {
	for _, arg := range []string{"--rtt=-1s", "--loss=30", "--bandwidth=1000", "--lanes=65", "--outage=1m", "--pattern=ping-pong", "--passes=0"} {
		if err := program("../..").Run(t.Context(), []string{arg, "--out=" + t.TempDir()}, new(bytes.Buffer), os.Stderr); err == nil ||
			!strings.HasPrefix(err.Error(), arg[:strings.Index(arg, "=")]) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	err := program("../..").Run(t.Context(), []string{"--rtt=500ms", "--outage=100ms", "--out=" + t.TempDir()}, new(bytes.Buffer), os.Stderr)
	if err == nil || !strings.Contains(err.Error(), "shorter than --rtt") {
		t.Errorf("an outage that is over before what was on its way has arrived: %v", err)
	}
}
