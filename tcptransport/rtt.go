package tcptransport

import (
	"sync"
	"sync/atomic"
	"time"
)

// rttAge is how old a measured round-trip time may be before another is worth a ping.
const rttAge = time.Second

// roundTrip measures the round-trip time with pings, one at a time.
type roundTrip struct {
	shortest atomic.Int64 // time.Duration

	mu       sync.Mutex
	smoothed time.Duration
	measured time.Time
	token    uint64 // of the last ping
	sent     time.Time
	waiting  bool
}

// seed sets what is assumed until a ping was answered.
func (r *roundTrip) seed(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.smoothed = d
	r.shortest.Store(int64(d))
}

// ping starts a measurement and returns the token to send.
func (r *roundTrip) ping() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token++
	r.sent, r.waiting = time.Now(), true
	return r.token
}

// pong ends the measurement, if the token is of the last ping.
func (r *roundTrip) pong(token uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.waiting || token != r.token {
		return
	}
	now := time.Now()
	sample := now.Sub(r.sent)
	r.waiting = false
	if r.measured.IsZero() {
		r.smoothed = sample
		r.shortest.Store(int64(sample))
	} else {
		r.smoothed += (sample - r.smoothed) / 8 // RFC 6298 section 2
		r.shortest.Store(min(r.shortest.Load(), int64(sample)))
	}
	r.measured = now
}

// stale reports whether it is time for another ping.
func (r *roundTrip) stale() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.waiting && time.Since(r.measured) > rttAge
}

// least is the shortest round trip seen: without the queues that our own bulk makes.
func (r *roundTrip) least() time.Duration { return time.Duration(r.shortest.Load()) }

func (r *roundTrip) mean() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.smoothed
}
