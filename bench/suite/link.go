package suite

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/netem"
)

// link is what lies between the two hosts of a cell, the same both ways. The zero value is loopback.
type link struct {
	RTT       time.Duration `json:"rtt_ns"`
	Loss      float64       `json:"loss_percent"` // each way
	Bandwidth int           `json:"mbit_per_s"`   // each way
	Queue     size          `json:"queue"`        // before the bandwidth: what finds it full is dropped
}

// leastQueue is that of a link with next to no delay.
const leastQueue = 64 << 10

// newLink is a link with a queue of that size, or, for 0, of what a round trip carries.
func newLink(rtt time.Duration, loss float64, bandwidth int, queue size) link {
	if queue == 0 {
		queue = max(leastQueue, size(rtt.Seconds()*float64(bandwidth)*1e6/8))
	}
	return link{RTT: rtt, Loss: loss, Bandwidth: bandwidth, Queue: queue}
}

// String is the link in words.
func (l link) String() string {
	return fmt.Sprintf("RTT %v, loss %v %%, %d Mbit/s, drop-tail queue %v", l.RTT, l.Loss, l.Bandwidth, l.Queue)
}

func (l link) profile() netem.Profile {
	return netem.Profile{Delay: l.RTT / 2, Rate: l.Bandwidth * 1e6, Queue: int(l.Queue), Loss: l.Loss / 100}
}

// mostLate is how late the emulator may be with 1 % of the packets.
func (l link) mostLate() time.Duration { return max(time.Millisecond, l.RTT/20) }

// linkSample is what the emulator says of one turn, from its beginning and of both directions.
type linkSample struct {
	Packets   uint64        `json:"packets"`
	Lost      uint64        `json:"lost"`
	Cut       uint64        `json:"cut"`        // in an outage
	TailDrops uint64        `json:"tail_drops"` // that found the queue full
	LateP50   time.Duration `json:"late_p50_ns"`
	LateP99   time.Duration `json:"late_p99_ns"`
	LateMax   time.Duration `json:"late_max_ns"`
	Rejected  string        `json:"rejected,omitempty"` // why the pass counts for nothing
}

// stretch is the emulated network of one turn: two hosts and the link between them.
type stretch struct {
	link      link
	network   *netem.Network
	near, far *netem.Host // of who dials, and of who listens
	between   *netem.Link
}

// leastMemory is what the process of the emulator has before its garbage is collected.
const leastMemory = 1 << 30

// openStretch makes the hosts.
func openStretch(l link, seed uint64) (s *stretch, err error) {
	// The emulator's thread runs before all others. While its stack is scanned it spins, and may so keep whoever scans it
	// from the processor for good. There is little garbage here: the processes measured are others.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(leastMemory)
	s = &stretch{link: l}
	if s.network, err = netem.New(seed); err != nil {
		return nil, err
	}
	if s.near, err = s.network.NewHost("near"); err == nil {
		s.far, err = s.network.NewHost("far")
	}
	if err != nil {
		return nil, errors.Join(err, s.network.Close())
	}
	s.between = s.network.Link(s.near, s.far)
	s.between.Set(l.profile())
	return s, nil
}

// host is where a process goes.
func (s *stretch) host(spec child.Spec) *netem.Host {
	if spec.Listen {
		return s.far
	}
	return s.near
}

// sample is what became of all packets so far.
func (s *stretch) sample() *linkSample {
	stats := s.between.Stats()
	sample := &linkSample{
		Packets: stats.Packets, Lost: stats.Lost, Cut: stats.Cut, TailDrops: stats.Full,
		LateP50: stats.Lateness.P50, LateP99: stats.Lateness.P99, LateMax: stats.Lateness.Max,
	}
	if err := s.network.Verdict(s.link.mostLate()); err != nil {
		sample.Rejected = err.Error()
	}
	return sample
}
