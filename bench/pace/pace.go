package pace

import (
	"context"
	"time"
)

// clock is where the time is from.
type clock interface {
	Now() time.Time
	// WaitUntil returns at t or later, or with an error, such as ctx's.
	WaitUntil(ctx context.Context, t time.Time) error
}

// Sender is what Run drives.
type Sender interface {
	// Send sends event n, which was due at that time.
	Send(n int, due time.Time) error
	// Flush is called when no event is due any more, before Run waits.
	Flush() error
}

// Run sends rate events a second, evenly, from now until ctx ends, which is no error. An event that is late is sent as
// soon as Run gets to it, and keeps its time: none is left out, and the schedule never moves.
func Run(ctx context.Context, rate float64, sender Sender) error {
	t, err := newTimer()
	if err != nil {
		return err
	}
	defer t.close()
	return run(ctx, system{t}, rate, sender)
}

func run(ctx context.Context, clock clock, rate float64, sender Sender) error {
	began := clock.Now()
	due := func(n int) time.Time { return began.Add(time.Duration(float64(n) / rate * float64(time.Second))) }
	for n := 0; ; {
		for now := clock.Now(); !due(n).After(now); n++ {
			if ctx.Err() != nil {
				return nil
			}
			if err := sender.Send(n, due(n)); err != nil {
				return err
			}
		}
		if err := sender.Flush(); err != nil {
			return err
		}
		switch err := clock.WaitUntil(ctx, due(n)); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// system is the system's clock. On Linux it wakes some 10 µs late; elsewhere, with Go's timers, up to 1 ms.
type system struct{ timer *timer }

func (system) Now() time.Time { return time.Now() }

// longestSleep is how late WaitUntil may notice that ctx has ended.
const longestSleep = 10 * time.Millisecond

func (s system) WaitUntil(ctx context.Context, t time.Time) error {
	for ctx.Err() == nil {
		left := time.Until(t)
		if left <= 0 {
			return nil
		}
		if err := s.timer.wait(min(left, longestSleep)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
