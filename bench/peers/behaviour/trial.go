package behaviour

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/pace"
	"github.com/verbose-bus/verbose/bench/peers/original"
	"github.com/verbose-bus/verbose/bench/peers/peer"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
)

// trial is one system in one situation.
type trial struct {
	plan      Plan
	situation Situation
	kind      contender.Kind
	ca        *certs.CA

	ledger   ledger
	told     [2]notices // the sender, the receiver
	ends     []contender.End
	sender   *sender
	cuts     int
	between  between // the sender and the receiver; nil where nothing is
	stopping sync.Once
}

// Try has a system in a situation. It returns when nothing arrives any more.
func Try(ctx context.Context, s Situation, kind contender.Kind, plan Plan, ca *certs.CA) Result {
	r := Result{Situation: s, System: kind}
	if r.Omitted = applies(s, kind); r.Omitted != "" {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, plan.Limit)
	defer cancel()
	t := &trial{plan: plan, situation: s, kind: kind, ca: ca}
	began := time.Now()
	err := t.run(ctx)
	if err == nil {
		err = t.sender.Flush()
	}
	if t.settle(ctx); ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(err, fmt.Errorf("what was on its way counts as lost: %w", ctx.Err()))
	}
	t.fill(&r)
	r.Took = time.Since(began).Seconds()
	if err != nil {
		r.Error = err.Error()
	}
	t.close()
	return r
}

func (t *trial) config(side int) contender.Config {
	return contender.Config{Kind: t.kind, CA: t.ca, Subscriptions: 1, Sharing: 1, Compression: codec.Off, Told: t.told[side].tell}
}

// The sides.
const (
	sending = iota
	receiving
)

func (t *trial) run(ctx context.Context) error {
	addr, err := t.listen(ctx)
	if err != nil {
		return err
	}
	config := t.config(sending)
	config.Topic = contender.There
	t.sender = &sender{ctx: ctx, config: config, addrs: []string{addr}, buffer: make([]byte, t.plan.Size)}
	switch t.situation {
	case Cuts, Outage:
		return t.runBehindProxy(ctx, addr)
	case Diamond:
		return t.runDiamond(ctx, addr)
	case Stop:
		return t.runStop(ctx)
	}
	return fmt.Errorf("no situation is called %q", t.situation)
}

// listen makes the receiver.
func (t *trial) listen(ctx context.Context) (addr string, err error) {
	config := t.config(receiving)
	config.Pattern = contender.There
	config.Receive = func(payload []byte) {
		if t.ledger.receive(payload) > 0 && t.situation == Stop {
			t.stopping.Do(func() { wait(ctx, t.plan.Stop) })
		}
	}
	end, err := t.add(config)
	if err != nil {
		return "", err
	}
	return end.Listen(ctx)
}

// newEnd makes an end of a peer, of the bus, of a baseline or of the original.
func newEnd(config contender.Config) (contender.End, error) {
	if config.Kind == original.Kind {
		return original.New(config)
	}
	return peer.New(config)
}

func (t *trial) add(config contender.Config) (contender.End, error) {
	end, err := newEnd(config)
	if err == nil {
		t.ends = append(t.ends, end)
	}
	return end, err
}

// runBehindProxy sends at a rate, until all cuts are over and for a while after.
func (t *trial) runBehindProxy(ctx context.Context, addr string) error {
	p, front, err := newBetween(t.kind, addr)
	if err != nil {
		return err
	}
	t.between = p
	t.sender.addrs = []string{front}
	if err := t.sender.open(); err != nil {
		return err
	}
	cuts, hole := t.plan.Cuts, t.plan.Hole
	if t.situation == Outage {
		cuts, hole = 1, t.plan.Outage
	}
	pacing, stop := context.WithCancel(ctx)
	defer stop()
	var troubling sync.WaitGroup
	troubling.Go(func() {
		t.cuts = t.cut(ctx, p, cuts, hole)
		wait(ctx, t.plan.Tail)
		stop()
	})
	err = pace.Run(pacing, t.plan.Rate, t.sender)
	stop()
	troubling.Wait()
	if err == nil && t.cuts < cuts {
		err = errors.New("there was no time for all cuts")
	}
	return err
}

// runDiamond sends through two relays at a rate.
func (t *trial) runDiamond(ctx context.Context, addr string) error {
	t.sender.addrs = nil
	for range 2 {
		config := t.config(sending)
		config.Relay, config.Told = true, nil
		relay, err := t.add(config)
		if err != nil {
			return err
		}
		if err := relay.Dial(ctx, addr); err != nil {
			return err
		}
		front, err := relay.Listen(ctx)
		if err != nil {
			return err
		}
		t.sender.addrs = append(t.sender.addrs, front)
	}
	if err := t.sender.open(); err != nil {
		return err
	}
	pacing, stop := context.WithCancel(ctx)
	defer stop()
	return pace.Run(pacing, t.plan.Rate, until{t.sender, uint64(t.plan.Events), stop})
}

// until ends the pacing after so many events.
type until struct {
	*sender
	events uint64
	stop   func()
}

func (u until) Send(n int, due time.Time) error {
	if u.next == u.events {
		u.stop()
		return nil
	}
	return u.sender.Send(n, due)
}

// runStop sends as fast as it goes.
func (t *trial) runStop(ctx context.Context) error {
	t.sender.buffer = make([]byte, t.plan.StopSize)
	if err := t.sender.open(); err != nil {
		return err
	}
	for range t.plan.Flood {
		if err := t.sender.Send(0, time.Time{}); err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}

// settle waits until everything is there, or nothing has arrived for a while.
func (t *trial) settle(ctx context.Context) {
	if t.sender == nil {
		return
	}
	began := time.Now()
	for ctx.Err() == nil && t.ledger.since(began) < t.plan.Quiet {
		if t.ledger.complete(t.sender.next) && t.ledger.since(began) > t.plan.Quiet/10 {
			return // whoever repeats has had a moment to
		}
		wait(ctx, again)
	}
}

func (t *trial) close() {
	if t.between != nil {
		t.between.Close()
	}
	if t.sender != nil {
		t.sender.close()
	}
	for i := len(t.ends) - 1; i >= 0; i-- {
		t.ends[i].Close()
	}
}
