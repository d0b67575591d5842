package suite

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
	"github.com/verbose-bus/verbose/codec"
)

func TestReportRoundTrip(t *testing.T) {
	o, err := alone.parse([]string{"--all", "--size=16KiB", "--time=1s"}, os.Stderr)
	must(t, err)
	want := &report{
		Schema: schema, Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 1.5, Interrupted: true,
		Environment: host.Describe(""), Settings: o,
		Rows: []row{{
			Cell:       cell{Pattern: openLoop, Size: 16 << 10, Payload: random, Pinned: true, Load: 50, LoadOf: "bus/tcp"},
			Contestant: contestant{Kind: contender.BusTCP, Compression: codec.Zstd}, Name: "bus/tcp zstd", OfferedRate: 100, Errors: []string{"one"},
			Samples: []sample{{
				Pass: 2, Seconds: 1, Events: 3, Rate: 4, Offered: 5, CPUPerEvent: 6,
				Sides:   map[child.Role]side{child.Sink: {CPU: 1, AllocsPerEvent: 2, BytesPerEvent: 3, PeakRSS: 4}},
				Latency: &stats.Latency{Count: 1, P50: 2, P90: 3, P99: 4, P999: 5, Max: 6}, Late: &stats.Latency{Count: 1}, Histogram: "x",
			}},
			Rate: stats.Range{Min: 1, Median: 2, Max: 3}, Wire: wire{1, 2},
			Ratios: map[string]map[string]stats.Range{"raw/tcp": {"p50": {Min: 1, Median: 2, Max: 3}}},
		}},
	}
	text, err := json.Marshal(want)
	must(t, err)
	got := new(report)
	must(t, json.Unmarshal(text, got))
	// The paths of one machine are no results.
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(), cmpopts.IgnoreUnexported(options{}), cmpopts.IgnoreFields(options{}, "Out", "Profile")); diff != "" {
		t.Error(diff)
	}
}

func TestSummaryComparesWithinAPass(t *testing.T) {
	samples := func(rates ...float64) []sample {
		var list []sample
		for i, rate := range rates {
			list = append(list, sample{Pass: i + 1, Rate: rate, CPUPerEvent: 1 / rate})
		}
		return list
	}
	ours := row{Name: "bus/tcp", Contestant: contestant{Kind: contender.BusTCP}, Samples: samples(10, 40, 50)}
	base := row{Name: "raw/tcp", Contestant: contestant{Kind: contender.RawTCP}, Samples: samples(100, 100, 1000)}
	silent := row{Name: "raw/tls", Contestant: contestant{Kind: contender.RawTLS}}
	rows := summarised([]row{ours, base, silent})
	if len(rows) != 2 || rows[0].Rate != (stats.Range{Min: 10, Median: 40, Max: 50, Count: 3}) {
		t.Fatalf("%+v", rows)
	}
	if got, want := rows[0].Ratios["raw/tcp"]["rate"], (stats.Range{Min: 0.05, Median: 0.1, Max: 0.4, Count: 3}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	peer := row{Name: "other/tcp", Contestant: contestant{Kind: "other/tcp"}, Samples: samples(5, 10, 20)}
	rows = summarised([]row{ours, peer, base})
	if got, want := rows[1].Ratios["bus/tcp"]["rate"], (stats.Range{Min: 0.25, Median: 0.4, Max: 0.5, Count: 3}); got != want {
		t.Errorf("a peer to the bus: ratio %v, want %v", got, want)
	}
	if _, ok := rows[0].Ratios["other/tcp"]; ok || rows[1].Ratios["raw/tcp"] == nil || rows[2].Ratios != nil {
		t.Errorf("ratios %v, %v, %v", rows[0].Ratios, rows[1].Ratios, rows[2].Ratios)
	}
	if got := baselinesOf(rows); !slices.Equal(got, []string{"raw/tcp", "bus/tcp"}) {
		t.Errorf("columns %v", got)
	}
	rows = summarised([]row{ours, base, silent})
	if _, ok := rows[0].Ratios["raw/tcp"]["p50"]; ok || rows[1].Ratios != nil {
		t.Errorf("there are ratios of nothing: %v, %v", rows[0].Ratios, rows[1].Ratios)
	}
}

// TestWhatDidNotArriveIsSaid: the percentiles are of what did.
func TestWhatDidNotArriveIsSaid(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"a buffer that fills", row{Cell: cell{Pattern: oneWay}, Samples: []sample{{Rate: 85, Offered: 100}}}, ""},
		{"what is dropped", row{Cell: cell{Pattern: oneWay}, Samples: []sample{{Rate: 75, Offered: 100}}}, "75.0 %"},
		{"all that was due", row{Cell: cell{Pattern: openLoop}, OfferedRate: 100, Samples: []sample{{Rate: 99, Offered: 100}}}, ""},
		{"who is late", row{Cell: cell{Pattern: openLoop}, OfferedRate: 100, Samples: []sample{{Rate: 97, Offered: 100}}}, "97.0 %"},
		{"who can't send what is due", row{Cell: cell{Pattern: outage, Rate: 100}, OfferedRate: 100, Samples: []sample{{Rate: 50, Offered: 50}}}, "50.0 %"},
		{"copies", row{Cell: cell{Pattern: fanOut, Fan: 3, Rate: 10}, OfferedRate: 10, Samples: []sample{{Rate: 30, Offered: 10}}}, ""},
		{"round trips", row{Cell: cell{Pattern: pingPong}, Samples: []sample{{Rate: 1, Offered: 100}}}, ""},
	} {
		rows := summarised([]row{c.row})
		var out strings.Builder
		rows[0].printArrived(&out)
		if c.want == "" && out.Len() > 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %q", c.name, out.String())
		}
	}
}
