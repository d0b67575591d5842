package suite

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
)

// schema is the version of the results' format, see README.md.
const schema = 1

// report is what a run writes.
type report struct {
	Schema      int              `json:"schema"`
	Began       time.Time        `json:"began"`
	Took        float64          `json:"took_s"`
	Interrupted bool             `json:"interrupted,omitempty"`
	Environment host.Environment `json:"environment"`
	Settings    *options         `json:"settings"`
	Rows        []row            `json:"rows"`
}

// row is one contestant in one cell.
type row struct {
	Cell        cell       `json:"cell"`
	Contestant  contestant `json:"contestant"`
	Name        string     `json:"name"`
	OfferedRate float64    `json:"offered_rate,omitempty"` // of an open loop or a fan-out at a rate, events a second
	Samples     []sample   `json:"passes"`
	Rejected    []sample   `json:"rejected,omitempty"` // passes in which the emulator did not keep up: their figures say nothing
	Errors      []string   `json:"errors,omitempty"`   // of passes that failed

	Rate   stats.Range                       `json:"rate"`             // events a second
	Wire   wire                              `json:"wire"`             // of a pass of its own
	Ratios map[string]map[string]stats.Range `json:"ratios,omitempty"` // by baseline and metric
}

// wire is what both sides sent for an event, without the headers of UDP, TCP and IP.
type wire struct {
	PacketsPerEvent float64 `json:"packets_per_event"`
	BytesPerEvent   float64 `json:"bytes_per_event"`
}

// sample is one pass.
type sample struct {
	Pass        int                 `json:"pass"`
	Seconds     float64             `json:"seconds"`
	Events      uint64              `json:"events"`
	Rate        float64             `json:"rate"`    // events a second, at all receivers together
	Offered     float64             `json:"offered"` // events a second that a source sent
	CPUPerEvent float64             `json:"cpu_us_per_event"`
	Sides       map[child.Role]side `json:"sides"`
	Latency     *stats.Latency      `json:"latency_ns,omitempty"`
	Late        *stats.Latency      `json:"late_ns,omitempty"`   // how far behind its schedule the source sent
	Histogram   string              `json:"histogram,omitempty"` // of Latency, HDR V2, compressed, base64
	Link        *linkSample         `json:"link,omitempty"`
	Recovery    time.Duration       `json:"recovery_ns,omitempty"` // from the end of the outage to the first event
	Timeline    *stats.Timeline     `json:"timeline,omitempty"`    // around the outage, from when it began

	PacketsPerEvent float64 `json:"-"` // complete in the counting pass only, which makes them row.Wire
	WirePerEvent    float64 `json:"-"`
}

// side is what the processes of one role used in one pass.
type side struct {
	CPU            float64 `json:"cpu_s"`
	AllocsPerEvent float64 `json:"allocs_per_event"`
	BytesPerEvent  float64 `json:"alloc_bytes_per_event"`
	PeakRSS        uint64  `json:"peak_rss"` // of the largest, since it began
}

// add adds a process that passed on so many events.
func (s *side) add(from, to host.Usage, events uint64) {
	s.CPU += to.CPU - from.CPU
	s.PeakRSS = max(s.PeakRSS, to.PeakRSS)
	if events > 0 {
		s.AllocsPerEvent += float64(to.Allocs-from.Allocs) / float64(events)
		s.BytesPerEvent += float64(to.Bytes-from.Bytes) / float64(events)
	}
}

// metric reads one figure of a pass.
type metric func(sample) float64

func rateOf(s sample) float64 { return s.Rate }
func cpuOf(s sample) float64  { return s.CPUPerEvent }

// recoveryOf is zero where there was no outage.
func recoveryOf(s sample) float64 { return float64(s.Recovery) }

// percentile is zero where nothing was recorded.
func percentile(of func(stats.Latency) int64) metric {
	return func(s sample) float64 {
		if s.Latency == nil {
			return 0
		}
		return float64(of(*s.Latency))
	}
}

var (
	p50  = percentile(func(l stats.Latency) int64 { return l.P50 })
	p90  = percentile(func(l stats.Latency) int64 { return l.P90 })
	p99  = percentile(func(l stats.Latency) int64 { return l.P99 })
	p999 = percentile(func(l stats.Latency) int64 { return l.P999 })
	most = percentile(func(l stats.Latency) int64 { return l.Max })
)

// compared are the metrics that have ratios.
var compared = map[string]metric{"rate": rateOf, "cpu": cpuOf, "p50": p50, "p99": p99, "max": most, "recovery": recoveryOf}

// each is a metric of every pass.
func (r *row) each(m metric) []float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = m(s)
	}
	return values
}

// byPass is a metric by the number of the pass.
func (r *row) byPass(m metric) map[int]float64 {
	values := make(map[int]float64, len(r.Samples))
	for _, s := range r.Samples {
		values[s.Pass] = m(s)
	}
	return values
}

// compare adds the ratios of the row to a baseline.
func (r *row) compare(base row) {
	ratios := make(map[string]stats.Range)
	for name, m := range compared {
		if ratio := stats.Ratios(r.byPass(m), base.byPass(m)); ratio != (stats.Range{}) {
			ratios[name] = ratio
		}
	}
	if len(ratios) == 0 {
		return
	}
	if r.Ratios == nil {
		r.Ratios = make(map[string]map[string]stats.Range)
	}
	r.Ratios[base.Name] = ratios
}

// saturation is the median rate of a contestant one way, in a cell like c; 0 if it was not measured.
func (r *report) saturation(c cell, who contestant) float64 {
	want := cell{Pattern: oneWay, Size: c.Size, Payload: c.Payload, Pinned: c.Pinned}
	for _, row := range r.Rows {
		if row.Cell == want && row.Contestant == who {
			return row.Rate.Median
		}
	}
	return 0
}

// failures is the number of rows with a pass that failed.
func (r *report) failures() int {
	n := 0
	for _, row := range r.Rows {
		if len(row.Errors) > 0 {
			n++
		}
	}
	return n
}

// save writes the report into a directory and returns the file.
func (r *report) save(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, r.Began.Format("2006-01-02T150405Z")+".json")
	return file, os.WriteFile(file, append(text, '\n'), 0o644)
}
