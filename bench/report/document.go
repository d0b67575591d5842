package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
)

// schema is the version of both formats that is understood.
const schema = 1

// document is one file of results: of speed, with rows, or of behaviour, with a plan. README.md of bench and of bench/peers have
// the formats; what is not drawn is not read.
type document struct {
	Schema      int              `json:"schema"`
	Began       time.Time        `json:"began"`
	Interrupted bool             `json:"interrupted"`
	Environment host.Environment `json:"environment"`

	Settings map[string]any `json:"settings"`
	Rows     []row          `json:"rows"`

	Plan    map[string]any `json:"plan"`
	Results []result       `json:"results"`
}

// row is one contestant in one cell.
type row struct {
	Cell        cell       `json:"cell"`
	Name        string     `json:"name"`
	OfferedRate float64    `json:"offered_rate"`
	Samples     []sample   `json:"passes"`
	Rejected    []struct{} `json:"rejected"` // how many
	Errors      []string   `json:"errors"`

	Rate   stats.Range                       `json:"rate"`
	Wire   wire                              `json:"wire"`
	Ratios map[string]map[string]stats.Range `json:"ratios"` // by baseline and metric
}

type wire struct {
	PacketsPerEvent float64 `json:"packets_per_event"`
	BytesPerEvent   float64 `json:"bytes_per_event"`
}

// cell is one place of the matrix.
type cell struct {
	Pattern       string `json:"pattern"`
	Size          string `json:"size"`
	Payload       string `json:"payload"`
	Pinned        bool   `json:"pinned"`
	Load          int    `json:"load_percent"`
	LoadOf        string `json:"load_of"`
	Fan           int    `json:"fan"`
	Relays        int    `json:"relays"`
	Subscriptions int    `json:"subscriptions"`

	Link   link          `json:"link"` // none: one machine, without an emulated link
	Rate   int           `json:"rate"`
	Outage time.Duration `json:"outage_ns"`
}

// link is what the emulator made of a link, each way.
type link struct {
	RTT       time.Duration `json:"rtt_ns"`
	Loss      float64       `json:"loss_percent"`
	Bandwidth int           `json:"mbit_per_s"`
	Queue     string        `json:"queue"`
}

// String is the cell in words.
func (c cell) String() string {
	words := []string{c.Pattern}
	if c.LoadOf != "" {
		words = append(words, fmt.Sprintf("at %d %% of %s", c.Load, c.LoadOf))
	}
	if c.Relays > 0 {
		words = append(words, fmt.Sprintf("of %d relays", c.Relays))
	}
	if n := c.Fan + c.Subscriptions; n > 0 { // no pattern has both
		words = append(words, fmt.Sprint(n))
	}
	if c.Outage > 0 {
		words = append(words, "of "+c.Outage.String())
	}
	if c.Rate > 0 {
		words = append(words, fmt.Sprintf("at %d/s", c.Rate))
	}
	if c.Link != (link{}) {
		if c.Payload != "random" {
			words = append(words, c.Payload)
		}
		return fmt.Sprintf("%s %s: RTT %v, loss %v %%, %d Mbit/s, queue %s",
			strings.Join(words, " "), c.Size, c.Link.RTT, c.Link.Loss, c.Link.Bandwidth, c.Link.Queue)
	}
	cpu := "free"
	if c.Pinned {
		cpu = "pinned"
	}
	return strings.Join(append(words, c.Size, c.Payload, cpu), " ")
}

// bytes is the size of an event.
func (c cell) bytes() (int, error) {
	for _, unit := range []struct {
		name  string
		bytes int
	}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} { // the longest first: each ends with the next
		if digits, ok := strings.CutSuffix(c.Size, unit.name); ok {
			n, err := strconv.Atoi(digits)
			return n * unit.bytes, err
		}
	}
	return 0, fmt.Errorf("%q is not a size", c.Size)
}

// ofLatency reports whether it is times that the cell is about, and not rates.
func (c cell) ofLatency() bool {
	return c.Pattern == "ping-pong" || c.paced()
}

// paced reports whether events are sent at a rate.
func (c cell) paced() bool {
	return c.Pattern == "open-loop" || c.Pattern == "outage" || c.Pattern == "fan-out" && c.Rate > 0
}

// sample is one pass.
type sample struct {
	Rate        float64         `json:"rate"`
	Offered     float64         `json:"offered"`
	CPUPerEvent float64         `json:"cpu_us_per_event"`
	Latency     *stats.Latency  `json:"latency_ns"`
	Histogram   string          `json:"histogram"`
	Recovery    time.Duration   `json:"recovery_ns"`
	Timeline    *stats.Timeline `json:"timeline"`
}

// median is the middle of a metric of all passes.
func (r row) median(of func(sample) float64) float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = of(s)
	}
	return stats.RangeOf(values).Median
}

// arrived is the part of what was sent one way, or was due at a rate, that arrived in the same time; of other patterns, zero.
func (r row) arrived() float64 {
	switch {
	case r.Cell.paced() && r.OfferedRate > 0:
		return r.Rate.Median / r.OfferedRate / float64(max(r.Cell.Fan, 1))
	case r.Cell.Pattern != "one-way":
		return 0
	}
	return r.median(func(s sample) float64 {
		if s.Offered == 0 {
			return 0
		}
		return s.Rate / s.Offered
	})
}

// result is what became of the events of one system in one situation.
type result struct {
	Situation string  `json:"situation"`
	System    string  `json:"system"`
	Omitted   string  `json:"omitted"`
	Sent      uint64  `json:"sent"`
	Lost      uint64  `json:"lost"`
	Repeated  uint64  `json:"repeated"`
	Reordered uint64  `json:"reordered"`
	Failed    int     `json:"failed"`
	Opened    int     `json:"opened"`
	Waited    float64 `json:"waited_s"`
	Sender    told    `json:"sender"`
	Receiver  told    `json:"receiver"`
	Error     string  `json:"error"`
}

type told struct {
	Notices int    `json:"notices"`
	Lost    uint64 `json:"lost"`
}

// untold is how many events are lost of which neither side was told the number.
func (r result) untold() uint64 {
	told := max(r.Sender.Lost, r.Receiver.Lost)
	return r.Lost - min(told, r.Lost)
}

func parse(text []byte) (document, error) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // settings are shown as they are
	if err := decoder.Decode(&d); err != nil {
		return d, err
	}
	switch {
	case d.Schema != schema:
		return d, fmt.Errorf("schema %d: only %d is understood", d.Schema, schema)
	case d.Settings == nil && d.Plan == nil:
		return d, errors.New("neither settings nor a plan: these are not results of a benchmark")
	}
	return d, nil
}

// cells are the rows by their cells, which are together already.
func (d document) cells() [][]row {
	var cells [][]row
	for i, r := range d.Rows {
		if i == 0 || r.Cell != d.Rows[i-1].Cell {
			cells = append(cells, nil)
		}
		cells[len(cells)-1] = append(cells[len(cells)-1], r)
	}
	return cells
}

// fact is a line about where figures come from.
type fact struct{ Name, Value string }

// facts are settings by name, those within others too, but for those without a value. Durations are made readable.
func facts(settings map[string]any) []fact {
	var all []fact
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		switch value := settings[name].(type) {
		case nil:
		case string:
			if value != "" {
				all = append(all, fact{name, value})
			}
		case map[string]any:
			all = append(all, facts(value)...)
		case []any:
			texts := make([]string, len(value))
			for i, v := range value {
				texts[i] = setting(name, v)
			}
			all = append(all, fact{strings.TrimSuffix(name, inNanoseconds), strings.Join(texts, ", ")})
		default:
			all = append(all, fact{strings.TrimSuffix(name, inNanoseconds), setting(name, value)})
		}
	}
	return all
}

// inNanoseconds ends the names of durations.
const inNanoseconds = "_ns"

// setting is one value of a setting.
func setting(name string, value any) string {
	if number, ok := value.(json.Number); ok && strings.HasSuffix(name, inNanoseconds) {
		ns, _ := number.Int64()
		return time.Duration(ns).String()
	}
	return fmt.Sprint(value)
}

// machine are the lines of an environment but for its modules. What is not known is left out.
func machine(e host.Environment) []fact {
	all := []fact{
		{"machine", fmt.Sprintf("%s, %d cores, %s/%s", e.CPU, e.Cores, e.OS, e.Arch)},
		{"host", e.Host}, {"kernel", e.Kernel}, {"Go", e.Go}, {"revision", e.Revision},
		{"TCP congestion control", e.Congestion}, {"load average at the start", e.Load},
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

// modules are the versions of an environment, by path.
func modules(e host.Environment) []fact {
	var all []fact
	for _, path := range slices.Sorted(maps.Keys(e.Modules)) {
		all = append(all, fact{path, e.Modules[path]})
	}
	return all
}
