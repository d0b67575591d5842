package tcptransport

import (
	"net"
	"slices"
	"sync"
)

// maxHandshakes is how many unfinished handshakes a listener has at most.
const maxHandshakes = 256

// admission bounds how many handshakes of a listener are unfinished. When there are too
// many, one makes room: the oldest from the host that has the most. So strangers with
// half-open connections lose these, and a node, which takes a few round trips, gets in.
type admission struct {
	mu      sync.Mutex
	pending []*handshake // the oldest first
}

type handshake struct {
	conn net.Conn
	host string
}

// begin counts a handshake. It may close another's connection.
func (a *admission) begin(conn net.Conn) *handshake {
	h := &handshake{conn: conn, host: conn.RemoteAddr().String()}
	if host, _, err := net.SplitHostPort(h.host); err == nil {
		h.host = host
	}
	var victim *handshake
	a.mu.Lock()
	if len(a.pending) >= maxHandshakes {
		victim = a.busiest()
		a.remove(victim)
	}
	a.pending = append(a.pending, h)
	a.mu.Unlock()
	if victim != nil {
		victim.conn.Close()
	}
	return h
}

// busiest returns the oldest handshake from the host with the most of them.
func (a *admission) busiest() *handshake {
	counts := make(map[string]int)
	most := 0
	for _, h := range a.pending {
		counts[h.host]++
		most = max(most, counts[h.host])
	}
	i := slices.IndexFunc(a.pending, func(h *handshake) bool { return counts[h.host] == most })
	return a.pending[i]
}

func (a *admission) remove(h *handshake) {
	if i := slices.Index(a.pending, h); i >= 0 {
		a.pending = slices.Delete(a.pending, i, i+1)
	}
}

// finished ends the count of a handshake.
func (a *admission) finished(h *handshake) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(h)
}

func (a *admission) unfinished() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}
