package tcptransport

import (
	"math"
	"net"
	"time"
)

const (
	// leastUnsent and mostUnsent bound how many bytes the system takes that it cannot send yet. More only queues bulk ahead of
	// urgent frames: megabytes of it on a slow link. Less than a far link needs makes congestion control take us for a
	// sender with little to say.
	leastUnsent = 64 << 10
	mostUnsent  = 4 << 20
)

// unsent keeps the limit of what the system holds unsent at what goes out in a round trip, so that it delays nothing by more than
// that. A link that loses packets stands still for a round trip or two and then sends what it can at once: what went out in the
// best of the last ones counts, less an eighth for each since. Its zero value has leastUnsent.
type unsent struct {
	limit int       // 0: leastUnsent
	best  int       // of the last round trips
	since time.Time // when a stretch of at least a round trip began
	bytes int       // written since
}

// wrote takes note of n bytes, and returns the limit to set if it is another than before by much.
func (u *unsent) wrote(n int, now time.Time, rtt time.Duration) (limit int, changed bool) {
	u.bytes += n
	elapsed := now.Sub(u.since)
	if elapsed < max(rtt, nearestRTT) {
		return 0, false
	}
	passed := float64(elapsed) / float64(max(rtt, nearestRTT))
	went := min(float64(u.bytes)*float64(rtt)/float64(elapsed), mostUnsent)
	u.best = int(max(went, float64(u.best)*math.Pow(7.0/8, passed)))
	u.since, u.bytes = now, 0
	limit = max(u.best, leastUnsent)
	before := max(u.limit, leastUnsent)
	if 2*limit > before && 2*limit < 3*before && limit < mostUnsent || limit == before {
		return 0, false
	}
	u.limit = limit
	return limit, true
}

// limitUnsent tells the system, where it has such a limit.
func limitUnsent(conn net.Conn, limit int) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { setUnsent(fd, limit) })
	}
}
