package netem

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stats counts what became of the packets of one direction of a link, or, added up, of several. Every packet is in one
// place: Packets + Duplicated = Delivered + Lost + Cut + Full + Astray + Unplanned + Flying.
type Stats struct {
	Packets    uint64 // that entered
	Bytes      uint64 // of those
	Duplicated uint64 // copies made of them
	Delivered  uint64 // handed to the receiving host, copies included
	Lost       uint64 // by Profile.Loss and Profile.Burst
	Cut        uint64 // lost in a cut
	Full       uint64 // that found the queue full
	Astray     uint64 // that arrived where their address is not any more
	Unplanned  uint64 // that the emulator failed to carry
	Flying     uint64 // on their way, queues included
	Reordered  uint64 // held back, so that later ones overtake; counted above as well
	Lateness   Lateness
}

// Lateness is how much later than due packets were delivered: the emulator's own error. It is good to 1 µs or 2 %.
type Lateness struct{ P50, P99, Max time.Duration }

// String is a line for a log.
func (s Stats) String() string {
	return fmt.Sprintf("%d packets, %d lost, %d cut, %d full, %d reordered, %d duplicated, %d astray, %d unplanned; late p50 %v, p99 %v, max %v",
		s.Packets, s.Lost, s.Cut, s.Full, s.Reordered, s.Duplicated, s.Astray, s.Unplanned, s.Lateness.P50, s.Lateness.P99, s.Lateness.Max)
}

// maxLateness is the most that lateness is told apart to.
const maxLateness = time.Minute

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxLateness.Microseconds(), 2)
}

// direction is one direction of a link: its model, and what happened to packets behind it. The network's lock guards it.
type direction struct {
	model                        *model
	delivered, astray, unplanned uint64
	lateness                     *hdrhistogram.Histogram // in µs
}

func newDirection(seed, number uint64) *direction {
	return &direction{model: newModel(seed, number), lateness: newHistogram()}
}

// deliver counts a packet that was handed over.
func (d *direction) deliver(late time.Duration) {
	d.delivered++
	d.lateness.RecordValue(min(max(late, 0), maxLateness).Microseconds())
}

// sum adds directions up.
func sum(directions []*direction) (s Stats) {
	lateness := newHistogram()
	for _, d := range directions {
		c := &d.model.counts
		s.Packets += c.packets
		s.Bytes += c.bytes
		s.Duplicated += c.duplicate
		s.Delivered += d.delivered
		s.Lost += c.lost
		s.Cut += c.cut
		s.Full += c.full
		s.Astray += d.astray
		s.Unplanned += d.unplanned + c.overrun
		s.Flying += uint64(c.flying)
		s.Reordered += c.reordered
		lateness.Merge(d.lateness)
	}
	quantile := func(q float64) time.Duration { return time.Duration(lateness.ValueAtQuantile(q)) * time.Microsecond }
	s.Lateness = Lateness{quantile(50), quantile(99), time.Duration(lateness.Max()) * time.Microsecond}
	return s
}
