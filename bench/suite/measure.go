package suite

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
)

// turn is one measurement: one contestant in one pass of a cell.
type turn struct {
	cell       cell
	contestant contestant
	pass       int // 0 counts packets
	rate       float64
}

const (
	// warmupPerEnd is for the buffers of many ends to fill.
	warmupPerEnd = 5 * time.Millisecond
	// turnTimeout is for what a turn does beside measuring.
	turnTimeout = 5 * time.Minute
)

// measure starts the processes of a turn, lets them run, and reads what they measured.
func (s *session) measure(ctx context.Context, t turn) (sample, error) {
	length := s.options.Time
	if t.pass == 0 {
		length = s.options.countingTime()
	}
	warmup := t.warmup(s.options)
	ctx, cancel := context.WithTimeout(ctx, turnTimeout+warmup+length)
	defer cancel()
	m := &meeting{session: s, turn: t}
	defer m.stop()
	if err := m.connect(ctx); err != nil {
		return sample{}, err
	}
	if err := sleep(ctx, warmup); err != nil {
		return sample{}, err
	}
	before, err := m.ask(child.Begin)
	if err != nil {
		return sample{}, err
	}
	if t.cell.Outage == 0 {
		err = sleep(ctx, length)
	} else {
		err = m.cut(ctx, length)
	}
	if err != nil {
		return sample{}, err
	}
	after, err := m.ask(child.End)
	if err != nil {
		return sample{}, err
	}
	return m.sample(before, after)
}

// warmup is how long a turn runs before it is measured. A source as fast as it goes first fills the buffer of each of its lanes, in memory
// that the system has yet to find.
func (t turn) warmup(o *options) time.Duration {
	warmup := o.Warmup + time.Duration(t.cell.Fan)*warmupPerEnd
	if t.cell.load() == child.Saturate {
		warmup *= time.Duration(max(t.contestant.Lanes, 1))
	}
	return warmup
}

// seed is that of the emulator, the same for all contestants of a pass. Cells that had the same would lose the same packets, and not be as many
// measurements as they look.
func (t turn) seed(base uint64) uint64 {
	hash := fnv.New64a()
	fmt.Fprintln(hash, base, t.cell, t.pass)
	return hash.Sum64()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// meeting is the processes of a turn. Those that listen are started first, and the source is the last to be told to go.
type meeting struct {
	session   *session
	turn      turn
	stretch   *stretch // nil: on loopback
	processes []*process
	outage    outageTimes
}

// connect starts the processes and has them begin.
func (m *meeting) connect(ctx context.Context) (err error) {
	c := m.turn.cell
	if c.Link != (link{}) {
		if m.stretch, err = openStretch(c.Link, m.turn.seed(m.session.options.Links.Seed)); err != nil {
			return err
		}
	}
	var addr string
	switch c.Pattern {
	case fanOut:
		if addr, err = m.add(ctx, child.Source, child.Spec{Listen: true, Dialled: c.Fan}); err == nil {
			_, err = m.add(ctx, child.Sink, child.Spec{Dial: addr, Ends: c.Fan})
		}
	case fanIn:
		if addr, err = m.add(ctx, child.Sink, child.Spec{Listen: true, Dialled: c.Fan}); err == nil {
			_, err = m.add(ctx, child.Source, child.Spec{Dial: addr, Ends: c.Fan})
		}
	default:
		last := child.Sink
		if c.Pattern == pingPong {
			last = child.Echo
		}
		addr, err = m.add(ctx, last, child.Spec{Listen: true, Dialled: 1, Unheard: c.Pattern == unheard, Subscriptions: c.Subscriptions})
		for range c.Relays {
			if err == nil {
				addr, err = m.add(ctx, child.Relay, child.Spec{Dial: addr, Listen: true, Dialled: 1})
			}
		}
		if err == nil {
			_, err = m.add(ctx, child.Source, child.Spec{Dial: addr, Unheard: c.Pattern == unheard})
		}
	}
	for _, order := range []child.Order{child.Go, child.Flow} {
		if err == nil {
			_, err = m.ask(order)
		}
	}
	return err
}

// add starts a process, which has what the turn says beside the spec, and returns its address.
func (m *meeting) add(ctx context.Context, role child.Role, spec child.Spec) (addr string, err error) {
	t, o := m.turn, m.session.options
	spec.Role, spec.Kind, spec.Load = role, t.contestant.Kind, t.cell.load()
	spec.Size, spec.Rate, spec.Compression = int(t.cell.Size), t.rate, t.contestant.Compression
	spec.Borrow = t.contestant.Borrow
	spec.Congestion, spec.CA, spec.Count = cmp.Or(t.contestant.Congestion, o.Congestion), m.session.dir, t.pass == 0
	spec.Lanes, spec.Slot = t.contestant.Lanes, slotOf(t.cell.Outage)
	spec.Counts = role == counting(t.cell)
	spec.Ends, spec.Subscriptions = max(spec.Ends, 1), max(spec.Subscriptions, 1)
	if t.cell.Payload == earthquakes {
		spec.Events = o.Events
	}
	if o.Profile != "" && t.pass > 0 {
		name := fmt.Sprintf("%s %s %d %s%d.prof", t.cell, t.contestant, t.pass, role, len(m.processes))
		spec.Profile = filepath.Join(o.Profile, strings.NewReplacer(" ", "_", "/", "-", "%", "percent").Replace(name))
	}
	start := (*exec.Cmd).Start
	switch {
	case m.stretch != nil:
		at := m.stretch.host(spec)
		start, spec.Address = at.Start, at.Addr().String()
	case t.cell.Pinned:
		start = host.StartPinned
	}
	p, report, err := m.session.start(ctx, spec, start)
	if err != nil {
		return "", err
	}
	m.processes = append(m.processes, p)
	return report.Addrs[0], nil
}

// ask tells every process, sources last. The processes answer for themselves, so that asking takes no part in the
// figures.
func (m *meeting) ask(order child.Order) ([]child.Report, error) {
	reports := make([]child.Report, len(m.processes))
	for _, source := range []bool{false, true} {
		for i, p := range m.processes {
			if (p.role == child.Source) != source {
				continue
			}
			var err error
			if reports[i], err = p.ask(string(order)); err != nil {
				return nil, err
			}
		}
	}
	return reports, nil
}

func (m *meeting) stop() {
	for i := len(m.processes) - 1; i >= 0; i-- {
		m.processes[i].stop()
	}
	if m.stretch != nil {
		m.stretch.network.Close() // what was measured is known by then
	}
}

// sample makes of two reports of each process what happened in between.
func (m *meeting) sample(before, after []child.Report) (sample, error) {
	s := sample{Pass: m.turn.pass, Sides: make(map[child.Role]side), Recovery: m.outage.recovery}
	if m.stretch != nil {
		s.Link = m.stretch.sample()
	}
	for i, p := range m.processes {
		if from, to := before[i], after[i]; p.role == counting(m.turn.cell) {
			s.Events, s.Seconds = delivered(p.role, m.turn.cell, from, to), (to.At - from.At).Seconds()
		}
	}
	var traffic contender.Traffic
	var cpu float64
	for i, p := range m.processes {
		from, to := before[i], after[i]
		if p.role == child.Source {
			s.Offered = (float64(to.Sent) - float64(from.Sent)) / (to.At - from.At).Seconds()
		}
		used := s.Sides[p.role]
		// Relays deliver nothing: they used what they did for the events that were counted.
		used.add(from.Usage, to.Usage, cmp.Or(delivered(p.role, m.turn.cell, from, to), s.Events))
		s.Sides[p.role] = used
		cpu += to.Usage.CPU - from.Usage.CPU
		traffic.Packets += to.Traffic.Packets - from.Traffic.Packets
		traffic.Bytes += to.Traffic.Bytes - from.Traffic.Bytes
		if err := s.addLatency(to); err != nil {
			return s, err
		}
		if p.role == child.Sink && to.Timeline != nil {
			to.Timeline.From = to.Watched.Sub(m.outage.began)
			s.Timeline = to.Timeline
		}
	}
	s.Rate = float64(s.Events) / s.Seconds
	s.CPUPerEvent = cpu / float64(s.Events) * 1e6
	if m.session.options.InProcess {
		s.CPUPerEvent /= float64(len(m.processes)) // each of them reports the one process
	}
	s.PacketsPerEvent = float64(traffic.Packets) / float64(s.Events)
	s.WirePerEvent = float64(traffic.Bytes) / float64(s.Events)
	m.distrust(&s)
	return s, nil
}

// distrust rejects a pass in which more arrived than the link carries: what a loss had held back when measuring began.
func (m *meeting) distrust(s *sample) {
	c := m.turn.cell
	if c.Link == (link{}) || c.Pattern != oneWay || c.Payload != random { // what can be compressed may be more
		return
	}
	if mbit := s.Rate * float64(c.Size) * 8 / 1e6; mbit > float64(c.Link.Bandwidth) {
		text := fmt.Sprintf("%.1f Mbit/s arrived over %d: longer --warmup and --time tell more", mbit, c.Link.Bandwidth)
		s.Link.Rejected = strings.Join(slices.DeleteFunc([]string{s.Link.Rejected, text}, func(s string) bool { return s == "" }), "\n")
	}
}

// counting is the role whose events are those that count.
func counting(c cell) child.Role {
	if c.Pattern == pingPong || c.Pattern == unheard {
		return child.Source
	}
	return child.Sink
}

// delivered is how many events passed a process.
func delivered(role child.Role, c cell, from, to child.Report) uint64 {
	if role == child.Source && c.Pattern != pingPong {
		return to.Sent - from.Sent
	}
	return to.Received - from.Received
}

// addLatency takes over the histograms of a process, if it has any.
func (s *sample) addLatency(r child.Report) error {
	if r.Latency != nil {
		latency, err := stats.LatencyOf(r.Latency)
		if err != nil {
			return err
		}
		s.Latency, s.Histogram = &latency, string(r.Latency)
	}
	if r.Late != nil {
		late, err := stats.LatencyOf(r.Late)
		if err != nil {
			return err
		}
		s.Late = &late
	}
	return nil
}
