package suite

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/stats"
)

// across is the program across links.
var across = Program{New: contender.New, Root: "../..", Links: true}

func TestQueueHoldsARoundTrip(t *testing.T) {
	for _, c := range []struct {
		l    link
		want size
	}{
		{newLink(40*time.Millisecond, 0, 100, 0), 500_000},
		{newLink(time.Millisecond, 0, 20, 0), leastQueue},
		{newLink(40*time.Millisecond, 0, 100, 1000), 1000},
	} {
		if c.l.Queue != c.want {
			t.Errorf("%v, want a queue of %v", c.l, c.want)
		}
	}
}

func TestMatrixOfLinks(t *testing.T) {
	for _, c := range []struct {
		args        []string
		cells       int
		contestants string
	}{
		{nil, 3, "raw/quic, bus/quic, raw/tls cubic, bus/tcp cubic, raw/tls bbr, bus/tcp bbr"},
		{[]string{"--all"}, 4 * 4 * 2 * (1 + 3 + 2),
			"raw/quic, bus/quic, bus/quic 8 lanes, raw/tls cubic, bus/tcp cubic, bus/tcp cubic 8 lanes, raw/tls bbr, bus/tcp bbr, bus/tcp bbr 8 lanes"},
		{[]string{"--pattern=one-way", "--payload=random,earthquakes", "--transport=quic"}, 2, "raw/quic, bus/quic"},
		{[]string{"--pattern=one-way", "--payload=earthquakes", "--transport=quic", "--lanes=1,8"}, 1,
			"raw/quic, bus/quic, bus/quic 8 lanes, bus/quic adaptive, bus/quic adaptive 8 lanes"},
		{[]string{"--pattern=open-loop", "--rate=100,1000", "--transport=tcp", "--congestion=cubic", "--rtt=1ms,20ms"}, 4, "raw/tls cubic, bus/tcp cubic"},
	} {
		o, err := across.parse(c.args, io.Discard)
		must(t, err)
		jobs, _ := plan(o)
		var names []string
		for _, who := range jobs[0].contestants {
			names = append(names, who.String())
		}
		if len(jobs) != c.cells || strings.Join(names, ", ") != c.contestants {
			t.Errorf("%q: %d cells of %q", c.args, len(jobs), names)
		}
		cells := make(map[cell]bool)
		for _, j := range jobs {
			cells[j.cell] = true
		}
		want := 0
		for _, j := range jobs {
			want += len(j.contestants) * o.Passes
		}
		if len(cells) != len(jobs) || turns(o, jobs) != want {
			t.Errorf("%q: %d turns of %d different cells", c.args, turns(o, jobs), len(cells))
		}
	}
}

// TestWhatIsRejectedIsNoFigure has one pass of two rejected, of one contestant.
func TestWhatIsRejectedIsNoFigure(t *testing.T) {
	l := newLink(time.Millisecond, 0, 20, 0)
	ours := row{Name: "bus/quic", Contestant: contestant{Kind: contender.BusQUIC}, Cell: cell{Pattern: oneWay, Size: 1024, Link: l}}
	base := row{Name: "raw/quic", Contestant: contestant{Kind: contender.RawQUIC}, Cell: ours.Cell}
	for pass, rejected := range []string{"", "late"} {
		ours.take(sample{Pass: pass + 1, Rate: 90, Link: &linkSample{Rejected: rejected, TailDrops: 7}}, nil)
		base.take(sample{Pass: pass + 1, Rate: []float64{100, 1}[pass], Link: new(linkSample)}, nil)
	}
	rows := summarised([]row{ours, base})
	if got := rows[0]; got.Rate.Max != 90 || got.Ratios["raw/quic"]["rate"].Max != 0.9 || len(got.Rejected) != 1 || got.emulator()[0] != "1/2" || got.emulator()[2] != "7" {
		t.Errorf("%+v", got)
	}
	ours.Samples = nil
	rows = summarised([]row{ours, base})
	var out strings.Builder
	must(t, printCell(&out, rows))
	if _, _, judged := rows[0].target(); judged || !strings.Contains(out.String(), "rejected") || strings.Contains(out.String(), "NaN") {
		t.Error(out.String())
	}
}

// TestSeedsDiffer: what is lost in one cell or pass says nothing of another, and all contestants of a pass lose the same.
func TestSeedsDiffer(t *testing.T) {
	o, err := across.parse([]string{"--all", "--rtt=1ms,20ms", "--lanes=1"}, io.Discard)
	must(t, err)
	if len(o.Links.RTT) != 2 || len(o.Links.Lanes) != 1 || len(o.Links.Loss) != 4 {
		t.Errorf("--all is for what is not given: %+v", o.Links)
	}
	if o.Links.Seed == 0 {
		t.Error("results do not have the seed")
	}
	jobs, _ := plan(o)
	seeds := make(map[uint64]bool)
	for _, j := range jobs {
		for pass := 1; pass <= 3; pass++ {
			seed := turn{cell: j.cell, contestant: j.contestants[0], pass: pass}.seed(1)
			seeds[seed] = true
			if other := (turn{cell: j.cell, contestant: j.contestants[1], pass: pass}).seed(1); other != seed {
				t.Errorf("%v: contestants have seeds %d and %d", j.cell, seed, other)
			}
			if other := (turn{cell: j.cell, pass: pass}).seed(2); other == seed {
				t.Errorf("%v: runs have the same seeds", j.cell)
			}
		}
	}
	if len(seeds) != 3*len(jobs) {
		t.Errorf("%d seeds for %d cells of 3 passes", len(seeds), len(jobs))
	}
}

// TestMoreThanALinkCarriesIsNoFigure, unless it was compressed.
func TestMoreThanALinkCarriesIsNoFigure(t *testing.T) {
	for _, c := range []struct {
		pattern, payload string
		rate             float64
		rejected         bool
	}{
		{oneWay, random, 12_000, false}, {oneWay, random, 12_600, true}, {oneWay, earthquakes, 99_999, false}, {openLoop, random, 12_600, false},
	} {
		s := sample{Rate: c.rate, Link: new(linkSample)}
		m := &meeting{turn: turn{cell: cell{Pattern: c.pattern, Payload: c.payload, Size: 1000, Link: newLink(time.Millisecond, 0, 100, 0)}}}
		if m.distrust(&s); (s.Link.Rejected != "") != c.rejected {
			t.Errorf("%+v: %q", c, s.Link.Rejected)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		pattern, metric string
		ratio           float64
		pairs, passes   int
		met, judged     bool
	}{
		{oneWay, "rate", 0.96, 3, 3, true, true},
		{oneWay, "rate", 0.94, 3, 3, false, true},
		{oneWay, "p99", 1, 3, 3, false, false},
		{openLoop, "p99", 1.09, 2, 3, true, true},
		{openLoop, "p99", 1.09, 1, 3, false, false},
		{openLoop, "p99", 1.11, 1, 1, false, true},
		{outage, "p99", 1.11, 3, 3, false, false},
	} {
		r := row{Name: "bus/tcp bbr", Contestant: contestant{Kind: contender.BusTCP, Congestion: "bbr", Lanes: 8}, Cell: cell{Pattern: c.pattern},
			Samples: make([]sample, c.pairs), Rejected: make([]sample, c.passes-c.pairs),
			Ratios: map[string]map[string]stats.Range{
				"raw/tls bbr":   {c.metric: {Median: c.ratio, Count: c.pairs}},
				"raw/tls cubic": {"rate": {Median: 9}, "p99": {Median: 9}}, // is not what it stands on
			}}
		if _, met, judged := r.target(); judged != c.judged || judged && met != c.met {
			t.Errorf("%+v: met %v, judged %v", c, met, judged)
		}
	}
}
