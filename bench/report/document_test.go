package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bench/stats"
)

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "EOF"},
		{`{"schema": 2, "settings": {}}`, "schema 2"},
		{`{"schema": 1}`, "neither"},
		{`{"schema": 1, "rows": 3}`, "rows"},
	} {
		if _, err := parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestFacts(t *testing.T) {
	got := facts(map[string]any{
		"time_ns": json.Number("300000000"), "passes": json.Number("5"), "size": []any{"64B", "1KiB"},
		"peers": map[string]any{"peer": []any{"nats/tls"}}, "quick": true, "fan": nil, "events": "", "rtt_ns": []any{json.Number("1000000"), json.Number("20000000")},
	})
	want := []fact{{"passes", "5"}, {"peer", "nats/tls"}, {"quick", "true"}, {"rtt", "1ms, 20ms"}, {"size", "64B, 1KiB"}, {"time", "300ms"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCells(t *testing.T) {
	cells := documentOf(t, "speed.json").cells()
	var got []string
	for _, rows := range cells {
		got = append(got, rows[0].Cell.String())
		if len(rows) != 3 {
			t.Errorf("%s: %d rows, want 3", rows[0].Cell, len(rows))
		}
	}
	if want := []string{"one-way 64B random free", "ping-pong 64B random free"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCellInWords(t *testing.T) {
	for _, c := range []struct {
		cell cell
		want string
	}{
		{cell{Pattern: "open-loop", Size: "64B", Payload: "random", Pinned: true, Load: 50, LoadOf: "bus/quic"}, "open-loop at 50 % of bus/quic 64B random pinned"},
		{cell{Pattern: "fan-out", Size: "1KiB", Payload: "earthquakes", Fan: 10}, "fan-out 10 1KiB earthquakes free"},
		{cell{Pattern: "chain", Size: "64B", Payload: "random", Relays: 2}, "chain of 2 relays 64B random free"},
		{cell{Pattern: "subscriptions", Size: "64B", Payload: "random", Subscriptions: 10_000}, "subscriptions 10000 64B random free"},
	} {
		if got := c.cell.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestArrived(t *testing.T) {
	r := row{Cell: cell{Pattern: "one-way"}, Samples: []sample{{Rate: 1, Offered: 2}, {Rate: 3, Offered: 3}, {Rate: 1, Offered: 4}}}
	if got := r.arrived(); got != 0.5 {
		t.Errorf("%v, want the median of the passes", got)
	}
	r.Cell.Pattern, r.Cell.Fan = "fan-out", 2
	if got := r.arrived(); got != 0 {
		t.Errorf("fan-out as fast as it goes: %v, want 0", got)
	}
	r.Cell.Rate, r.OfferedRate, r.Rate.Median = 10, 10, 5
	if r.arrived() != 0.25 {
		t.Errorf("fan-out at a rate: %v, want half of each copy", r.arrived())
	}
}

func TestUntold(t *testing.T) {
	for _, c := range []struct{ lost, sender, receiver, want uint64 }{
		{0, 0, 0, 0}, {10, 0, 0, 10}, {10, 4, 7, 3}, {10, 10, 0, 0}, {10, 0, 12, 0},
	} {
		r := result{Lost: c.lost, Sender: told{Lost: c.sender}, Receiver: told{Lost: c.receiver}}
		if got := r.untold(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
		if alarm := r.lines()[0].Entries[2].Alarm; alarm != (c.want > 0) {
			t.Errorf("%+v: alarm %t", c, alarm)
		}
	}
}

// TestBaselines: raw ones are first, whatever the order of the map.
func TestBaselines(t *testing.T) {
	of := map[string]stats.Range{"rate": {Min: 1, Median: 1, Max: 1}}
	rows := []row{{Ratios: map[string]map[string]stats.Range{"bus/tcp": of, "raw/tls": of, "bus/quic": of, "raw/quic": of, "no/rate": {}}}}
	if got, want := baselines(rows), []string{"raw/quic", "raw/tls", "bus/quic", "bus/tcp"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A fan-out at a rate is about times, and cells of two rates have two names.
func TestFanOutAtARate(t *testing.T) {
	c := cell{Pattern: "fan-out", Size: "64B", Payload: "random", Fan: 3, Rate: 200}
	if got := c.String(); got != "fan-out 3 at 200/s 64B random free" || !c.ofLatency() {
		t.Errorf("%q, of latency: %t", got, c.ofLatency())
	}
	if c.Rate = 0; c.ofLatency() {
		t.Error("one to saturation is about rates")
	}
}
