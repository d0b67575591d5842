package tcptransport

import "time"

// signal wakes a goroutine that waits for a change. It holds at most one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// wait returns when notified or at a deadline, if there is one; the caller looks which. Who changes the
// deadline notifies.
func (s signal) wait(deadline time.Time) {
	if deadline.IsZero() {
		<-s
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-s:
	case <-timer.C:
	}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }
