package behaviour

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
)

// ledger has which numbers arrived. All methods may be called concurrently.
type ledger struct {
	mu        sync.Mutex
	times     []uint32 // each number arrived
	highest   uint64   // number so far, plus one
	received  uint64
	repeated  uint64
	reordered uint64
	last      time.Time // an event arrived
}

// receive enters an event. One that is there for the first time behind a higher number is out of order.
func (l *ledger) receive(payload []byte) (n uint64) {
	n = binary.BigEndian.Uint64(payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	for uint64(len(l.times)) <= n {
		l.times = append(l.times, 0)
	}
	l.times[n]++
	l.received++
	l.last = time.Now()
	switch {
	case l.times[n] > 1:
		l.repeated++
	case n < l.highest:
		l.reordered++
	}
	l.highest = max(l.highest, n+1)
	return n
}

// count is how many events arrived.
func (l *ledger) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.received
}

// lost is how many of the numbers below sent have not arrived.
func (l *ledger) lost(sent uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := sent
	for n, times := range l.times {
		if uint64(n) < sent && times > 0 {
			lost--
		}
	}
	return lost
}

// since is how long ago an event arrived; from began if there was none.
func (l *ledger) since(began time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.After(began) {
		began = l.last
	}
	return time.Since(began)
}

// complete reports whether all numbers below sent have arrived.
func (l *ledger) complete(sent uint64) bool { return l.lost(sent) == 0 }

// notices are what one side was told.
type notices struct {
	mu    sync.Mutex
	count int
	lost  uint64
	first string
}

func (n *notices) tell(said contender.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	n.lost += said.Lost
	if n.first == "" {
		n.first = said.Text
	}
}

func (n *notices) told() Told {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Told{Notices: n.count, Lost: n.lost, First: n.first}
}
