package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
	"github.com/verbose-bus/verbose/certs"
)

const (
	// setupTimeout is long because a thousand nodes tell each other of a thousand subscriptions.
	setupTimeout = 3 * time.Minute
	// flowTimeout is for the first event to arrive.
	flowTimeout = 30 * time.Second
	// dialsAtOnce is below what listeners keep waiting.
	dialsAtOnce = 8
)

// process is a child at work.
type process struct {
	spec     Spec
	began    time.Time
	ends     []contender.End
	payloads [][]byte // of a source

	counters  []counter // one for each end
	measuring atomic.Bool
	latency   *stats.Recorder
	late      *stats.Recorder
	watch     stats.Watch  // of events around an outage
	watched   time.Time    // when that began
	counted   uint64       // events before what awaitEvent waits for
	pinging   sync.Mutex   // the second ping may be due before the first has returned from sending
	pinged    atomic.Int64 // when the event on its way was sent, in ns since began
	profile   profile

	cancel  context.CancelFunc // ends the sending
	sending sync.WaitGroup
	failure atomic.Pointer[error] // the first of sending
}

// counter is on a cache line of its own: ends count at the same time.
type counter struct {
	sent, received atomic.Uint64
	_              [112]byte
}

// Run is a child's life, with ends made by ends: it reads from in and answers on out until it is told to stop, something fails,
// which it answers too, or in ends.
func Run(in io.Reader, out io.Writer, ends contender.Maker) error {
	lines := bufio.NewScanner(in)
	answer := json.NewEncoder(out)
	var p *process
	defer func() {
		if p != nil {
			p.close()
		}
	}()
	for lines.Scan() {
		var report Report
		var err error
		stop := false
		if p == nil {
			p, report.Addrs, err = begin(lines.Bytes(), ends)
		} else {
			order := Order(lines.Text())
			stop = order == Stop
			err = p.obey(order, &report)
		}
		if err != nil {
			report.Error = err.Error()
		}
		if err := answer.Encode(report); err != nil {
			return err
		}
		if stop || err != nil {
			return nil
		}
	}
	return lines.Err()
}

// begin makes a process of a spec, and connects it.
func begin(line []byte, ends contender.Maker) (*process, []string, error) {
	p := &process{began: time.Now(), latency: stats.NewRecorder(), late: stats.NewRecorder(), cancel: func() {}}
	if err := json.Unmarshal(line, &p.spec); err != nil {
		return nil, nil, err
	}
	if err := p.spec.validate(); err != nil {
		return nil, nil, err
	}
	var err error
	if p.spec.Role == Source {
		if p.payloads, err = payloads(p.spec); err != nil {
			return nil, nil, err
		}
	}
	ageHeap()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	addrs, err := p.connect(ctx, ends)
	if err != nil {
		p.close()
		return nil, nil, fmt.Errorf("%s: %w", p.spec.Role, err)
	}
	return p, addrs, nil
}

// connect makes the ends, and has them dial and listen.
func (p *process) connect(ctx context.Context, ends contender.Maker) ([]string, error) {
	ca, err := certs.LoadCA(p.spec.CA)
	if err != nil {
		return nil, err
	}
	p.counters = make([]counter, p.spec.Ends)
	p.ends = make([]contender.End, p.spec.Ends)
	addrs := make([]string, p.spec.Ends)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialsAtOnce)
	for i := range p.ends {
		group.Go(func() (err error) {
			if p.ends[i], err = ends(p.config(i, ca)); err != nil {
				return err
			}
			if p.spec.Dial != "" {
				if err = p.ends[i].Dial(ctx, p.spec.Dial); err != nil {
					return err
				}
			}
			if p.spec.Listen {
				addrs[i], err = p.ends[i].Listen(ctx)
			}
			return err
		})
	}
	return addrs, group.Wait()
}

func (p *process) obey(order Order, report *Report) (err error) {
	switch order {
	case Go:
		err = p.start()
	case Flow:
		err = p.awaitEvent()
	case Begin:
		err = p.profile.begin(p.spec.Profile)
		p.latency.Reset()
		p.late.Reset()
		p.measuring.Store(true)
		p.snapshot(report)
		p.counted = p.events()
	case Watch:
		p.watched = time.Now()
		p.watch.Begin(p.watched, p.spec.Slot)
	case Next:
		p.counted = p.events()
		err = p.awaitEvent()
	case End:
		if err = p.awaitEvent(); err != nil {
			return err
		}
		if failed := p.failure.Load(); failed != nil {
			return *failed
		}
		p.snapshot(report)
		p.measuring.Store(false)
		report.Watched, report.Timeline = p.watched, p.watch.End()
		report.Latency, err = p.latency.Encode()
		if err == nil {
			report.Late, err = p.late.Encode()
		}
		err = errors.Join(err, p.profile.end())
	case Stop:
	default:
		err = fmt.Errorf("no order is called %q", order)
	}
	return err
}

// awaitEvent waits for an event more than were counted, where events count.
func (p *process) awaitEvent() error {
	timeout := time.After(flowTimeout)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for p.spec.Counts && p.events() == p.counted && p.failure.Load() == nil {
		select {
		case <-ticker.C:
		case <-timeout:
			return fmt.Errorf("no event in %s", flowTimeout)
		}
	}
	return nil
}

// events is how many passed this process: received, or sent where nobody receives.
func (p *process) events() uint64 {
	sent, received := p.count()
	if p.spec.Role == Source && p.spec.Load != PingPong {
		return sent
	}
	return received
}

func (p *process) count() (sent, received uint64) {
	for i := range p.counters {
		sent += p.counters[i].sent.Load()
		received += p.counters[i].received.Load()
	}
	return sent, received
}

// snapshot reads the counters.
func (p *process) snapshot(r *Report) {
	r.At = time.Since(p.began)
	r.Sent, r.Received = p.count()
	r.Usage = host.Used()
	for _, e := range p.ends {
		t := e.Sent()
		r.Traffic.Packets += t.Packets
		r.Traffic.Bytes += t.Bytes
	}
}

// close ends everything. Closing an end is what frees a sender that waits for a receiver that is gone.
func (p *process) close() {
	p.cancel()
	p.profile.end()
	var closing sync.WaitGroup
	for _, e := range p.ends {
		if e != nil {
			closing.Go(func() { e.Close() })
		}
	}
	closing.Wait()
	p.sending.Wait()
}
