package pace

import (
	"context"
	"errors"
	"testing"
	"time"
)

// stalling is a clock and a sender that moves it: one event takes long to send, the others nothing.
type stalling struct {
	now     time.Time
	began   time.Time
	stallAt int
	stall   time.Duration
	end     time.Time
	cancel  context.CancelFunc

	waited  []time.Duration // from due to sent, by event
	flushed []int           // events sent before each flush
}

func (s *stalling) Now() time.Time { return s.now }

func (s *stalling) WaitUntil(ctx context.Context, t time.Time) error {
	if t.After(s.now) {
		s.now = t
	}
	if s.now.After(s.end) {
		s.cancel()
	}
	return ctx.Err()
}

func (s *stalling) Send(n int, due time.Time) error {
	if n == s.stallAt {
		s.now = s.now.Add(s.stall)
	}
	if n != len(s.waited) {
		panic("events out of order")
	}
	s.waited = append(s.waited, s.now.Sub(due))
	return nil
}

func (s *stalling) Flush() error {
	s.flushed = append(s.flushed, len(s.waited))
	return nil
}

func TestStallCountsForEveryEventItHeldUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Unix(1000, 0)
	s := &stalling{now: began, began: began, stallAt: 10, stall: 50 * time.Millisecond, end: began.Add(100 * time.Millisecond), cancel: cancel}
	if err := run(ctx, s, 1000, s); err != nil {
		t.Fatal(err)
	}
	if len(s.waited) != 101 {
		t.Fatalf("%d events in 100 ms at 1,000/s, none left out", len(s.waited))
	}
	for n, waited := range s.waited {
		var want time.Duration
		if n >= 10 && n <= 60 {
			want = time.Duration(60-n) * time.Millisecond
		}
		if waited != want {
			t.Errorf("event %d: %v after it was due, want %v", n, waited, want)
		}
	}
	// What the stall held up went out in one go.
	if s.flushed[10] != 11 || s.flushed[11] != 61 {
		t.Errorf("flushed after %v events", s.flushed[:13])
	}
}

func TestRunEndsWithinABacklog(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stalling{now: time.Unix(0, 0), stallAt: 1, stall: time.Hour, cancel: cancel}
	s.end = s.now.Add(100 * time.Hour)
	sent := 0
	err := run(ctx, s, 1000, sendFunc(func() {
		if sent++; sent == 5 {
			cancel()
		}
		s.now = s.now.Add(time.Hour)
	}))
	if err != nil || sent != 5 {
		t.Errorf("%d events, %v", sent, err)
	}
}

// failing is a clock that can't wait.
type failing struct{ stalling }

func (*failing) WaitUntil(context.Context, time.Time) error { return errors.New("no timer") }

func TestAClockThatFailsIsAnError(t *testing.T) {
	if err := run(t.Context(), &failing{stalling{now: time.Unix(0, 0)}}, 1000, sendFunc(func() {})); err == nil {
		t.Error("the pace ended without a word")
	}
}

func TestSystemNeverWakesEarly(t *testing.T) {
	timer, err := newTimer()
	if err != nil {
		t.Fatal(err)
	}
	defer timer.close()
	clock := system{timer}
	for _, d := range []time.Duration{0, time.Microsecond, time.Millisecond, 2 * longestSleep} {
		until := time.Now().Add(d)
		if err := clock.WaitUntil(t.Context(), until); err != nil || time.Now().Before(until) {
			t.Errorf("after %s: %v, %s early", d, err, time.Until(until))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := clock.WaitUntil(ctx, time.Now().Add(time.Hour)); err == nil {
		t.Error("waited for a context that has ended")
	}
}

type sendFunc func()

func (f sendFunc) Send(int, time.Time) error { f(); return nil }
func (f sendFunc) Flush() error              { return nil }
