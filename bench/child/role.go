package child

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/pace"
	"github.com/verbose-bus/verbose/certs"
)

// config is that of end i.
func (p *process) config(i int, ca *certs.CA) contender.Config {
	s := p.spec
	c := contender.Config{
		Kind: s.Kind, CA: ca, Address: s.Address, Subscriptions: 1, Unheard: s.Unheard, Relay: s.Role == Relay,
		Compression: s.Compression, Borrow: s.Borrow, Lanes: s.Lanes, Congestion: s.Congestion, Count: s.Count, Sharing: s.Ends,
	}
	count := &p.counters[i]
	switch s.Role {
	case Source:
		c.Topic = contender.There
		if s.Load == PingPong {
			c.Pattern = contender.Back
			c.Receive = func([]byte) { p.pong(count) }
		}
	case Echo:
		c.Topic, c.Pattern = contender.Back, contender.There
		c.Receive = func(payload []byte) {
			count.received.Add(1)
			p.answer(payload)
		}
	case Sink:
		c.Subscriptions = s.Subscriptions
		if !s.Unheard {
			c.Pattern = contender.There
		}
		c.Receive = func([]byte) { count.received.Add(1) }
		if s.Load == Paced {
			c.Receive = func(payload []byte) { p.arrived(count, payload) }
		}
	}
	return c
}

// answer sends a message back at once.
func (p *process) answer(payload []byte) {
	err := p.ends[0].Send(payload)
	if err == nil {
		err = p.ends[0].Flush()
	}
	p.note(err)
}

// note keeps the first error of sending, if it is one. Those that closing the ends causes come too late to be reported.
func (p *process) note(err error) {
	if err != nil {
		p.failure.CompareAndSwap(nil, &err)
	}
}

// arrived measures from the time an event was scheduled for. The clocks are one: both processes are on one machine.
func (p *process) arrived(count *counter, payload []byte) {
	if p.measuring.Load() {
		due := time.Unix(0, int64(binary.BigEndian.Uint64(payload)))
		latency := time.Since(due)
		p.latency.Record(latency)
		if p.spec.Slot > 0 {
			p.watch.Record(due, latency)
		}
	}
	count.received.Add(1) // last: what is counted is in the histogram
}

// pong measures a round trip and begins the next.
func (p *process) pong(count *counter) {
	if p.measuring.Load() {
		p.latency.Record(time.Since(p.began) - time.Duration(p.pinged.Load()))
	}
	p.ping(int(count.received.Add(1)))
}

func (p *process) ping(n int) {
	p.pinging.Lock()
	defer p.pinging.Unlock()
	p.counters[0].sent.Add(1)
	p.pinged.Store(int64(time.Since(p.began)))
	p.answer(p.payloads[n%len(p.payloads)])
}

// start waits until everyone listens, and begins the load.
func (p *process) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	for _, e := range p.ends {
		if err := e.Ready(ctx, p.spec.Dialled); err != nil {
			return err
		}
	}
	if p.spec.Role != Source {
		return nil
	}
	ctx, p.cancel = context.WithCancel(context.Background())
	if p.spec.Load == PingPong {
		p.ping(0)
		return nil
	}
	for i, e := range p.ends {
		p.sending.Go(func() { // close waits for it
			if p.spec.Load == Paced {
				p.note(pace.Run(ctx, p.spec.Rate, &pacedSender{p, e, &p.counters[i]}))
			} else {
				p.note(p.saturate(ctx, e, &p.counters[i]))
			}
		})
	}
	return nil
}

// saturate sends without pause.
func (p *process) saturate(ctx context.Context, e contender.End, count *counter) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := e.Send(p.payloads[n%len(p.payloads)]); err != nil {
			return err
		}
		count.sent.Add(1)
	}
	return nil
}

// pacedSender writes the time each event is scheduled for into it.
type pacedSender struct {
	process *process
	end     contender.End
	count   *counter
}

func (s *pacedSender) Send(n int, due time.Time) error {
	p := s.process
	if p.measuring.Load() {
		p.late.Record(time.Since(due))
	}
	payload := p.payloads[n%len(p.payloads)]
	binary.BigEndian.PutUint64(payload, uint64(due.UnixNano()))
	s.count.sent.Add(1)
	return s.end.Send(payload)
}

func (s *pacedSender) Flush() error { return s.end.Flush() }
