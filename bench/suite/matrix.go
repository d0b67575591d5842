package suite

import (
	"slices"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/codec"
)

// plan makes the jobs that options select, and says what it leaves out or adds.
func plan(o *options) (jobs []job, notes []string) {
	if o.Links != nil {
		return o.across(), nil
	}
	for _, pattern := range allPatterns {
		if !has(o.Pattern, pattern) && (pattern != oneWay || !has(o.Pattern, openLoop)) {
			continue
		}
		for _, payload := range o.Payload {
			for _, size := range o.sizes(pattern) {
				for _, pinned := range o.pinned(pattern) {
					jobs = append(jobs, o.jobs(cell{Pattern: pattern, Size: size, Payload: payload, Pinned: pinned})...)
				}
			}
		}
	}
	if !has(o.Pattern, oneWay) && has(o.Pattern, openLoop) {
		notes = append(notes, "one-way is measured too: the rates of the open loop are parts of its")
	}
	if all := len(jobs); !host.CanPin {
		jobs = slices.DeleteFunc(jobs, func(j job) bool { return j.cell.Pinned })
		if len(jobs) < all {
			notes = append(notes, "pinned cells are left out: processes can be pinned to a processor on Linux only")
		}
	}
	return jobs, notes
}

// sizes are those of a pattern. One-way has what an open loop needs.
func (o *options) sizes(pattern string) []size {
	if o.latencySizes != nil && (pattern == pingPong || pattern == openLoop || pattern == oneWay && !has(o.Pattern, oneWay)) {
		return o.latencySizes
	}
	return o.Size
}

// pinned lists whether the processors of a pattern are pinned.
func (o *options) pinned(pattern string) []bool {
	var list []bool
	latency := pattern == pingPong || has(o.Pattern, openLoop) && (pattern == openLoop || pattern == oneWay)
	if has(o.CPU, "pinned") || len(o.CPU) == 0 && latency && !o.InProcess {
		list = append(list, true)
	}
	if has(o.CPU, "free") || len(o.CPU) == 0 {
		list = append(list, false)
	}
	return list
}

// jobs spreads a cell over what its pattern varies.
func (o *options) jobs(c cell) []job {
	others := append(o.peers(c.Pattern), o.baselines()...)
	all := append(o.buses(c), others...)
	var jobs []job
	each := func(values []int, set func(*cell, int)) {
		for _, v := range values {
			varied := c
			set(&varied, v)
			jobs = append(jobs, job{cell: varied, contestants: all})
		}
	}
	switch c.Pattern {
	case openLoop:
		for _, b := range o.buses(c) {
			for _, load := range o.Load {
				varied := c
				varied.Load, varied.LoadOf = load, b.String()
				jobs = append(jobs, job{cell: varied, contestants: append([]contestant{b}, others...), rateOf: &b})
			}
		}
	case fanOut:
		for _, rate := range o.fanRates() {
			each(o.Fan, func(c *cell, n int) { c.Fan, c.Rate = n, rate })
		}
	case fanIn:
		each(o.Fan, func(c *cell, n int) { c.Fan = n })
	case chain:
		each(o.Relays, func(c *cell, n int) { c.Relays = n })
	case subscriptions:
		each(o.Subscriptions, func(c *cell, n int) { c.Subscriptions = n })
	default:
		jobs = append(jobs, job{cell: c, contestants: all})
	}
	return jobs
}

// fanRates are those of fan-outs. 0 is as fast as it goes.
func (o *options) fanRates() []int {
	if len(o.Rate) == 0 {
		return []int{0}
	}
	return o.Rate
}

func (o *options) buses(c cell) []contestant {
	var list []contestant
	for _, transport := range o.Transport {
		for _, mode := range o.modes(c) {
			for _, handler := range o.handlers(c.Pattern) {
				list = append(list, contestant{Kind: contender.Kind("bus/" + transport), Compression: mode, Borrow: handler == borrow})
			}
		}
	}
	return list
}

// modes are how the bus compresses. What is random can't be.
func (o *options) modes(c cell) []codec.Mode {
	if c.Payload == earthquakes {
		return o.Compression
	}
	return []codec.Mode{codec.Off}
}

// handlers are what the bus delivers to: at rates, both kinds make a difference.
func (o *options) handlers(pattern string) []string {
	switch {
	case len(o.Handler) > 0:
		return o.Handler
	case pattern == oneWay && has(o.Pattern, oneWay): // and not for the rates of an open loop alone
		return []string{keep, borrow}
	}
	return []string{keep}
}

// peers are the other systems, where they take part.
func (o *options) peers(pattern string) []contestant {
	var list []contestant
	if pattern == oneWay || pattern == pingPong || pattern == openLoop {
		for _, kind := range o.Peers.Peer {
			list = append(list, contestant{Kind: kind, Compression: codec.Off})
		}
	}
	return list
}

func (o *options) baselines() []contestant {
	var list []contestant
	for _, name := range o.Baseline {
		list = append(list, contestant{Kind: contender.Kind("raw/" + name), Compression: codec.Off})
	}
	return list
}

// firstPass is 0, which counts packets, but for links: their emulator counts.
func (o *options) firstPass() int {
	if o.Links != nil {
		return 1
	}
	return 0
}

// turns is how many measurements jobs take: one to count packets and one a pass, for each contestant.
func turns(o *options, jobs []job) int {
	n := 0
	for _, j := range jobs {
		n += len(j.contestants) * (1 + o.Passes - o.firstPass())
	}
	return n
}

// setup is about what connecting two processes takes.
const setup = 150 * time.Millisecond

// expected is about how long jobs take.
func expected(o *options, jobs []job) time.Duration {
	total := time.Duration(0)
	for _, j := range jobs {
		for _, c := range j.contestants {
			before := setup + turn{cell: j.cell, contestant: c}.warmup(o)
			total += time.Duration(o.Passes) * (before + o.Time + j.cell.Outage)
			if o.firstPass() == 0 {
				total += before + o.countingTime()
			}
		}
	}
	return total
}

// countingTime is how long packets are counted.
func (o *options) countingTime() time.Duration { return min(o.Time, 500*time.Millisecond) }
