package bustest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Link is what lies between two nodes of a [Network]. Its settings count for all their connections,
// those to come included, and may change at any time. All methods may be called concurrently, and none blocks.
type Link struct {
	link *link
	ways []*way
}

// OneWay is the direction from the first node to the second of [Network.Link]: what is called on it leaves
// the other direction as it is. [Link.Cut], [Link.Heal] and [Link.Reset] are about both in any case.
func (l *Link) OneWay() *Link { return &Link{link: l.link, ways: l.ways[:1]} }

// Delay is how long what is sent from now on takes to arrive. A handshake takes a round trip. A stream's window is
// 256 KiB, so a delay bounds its throughput to that much per delay.
func (l *Link) Delay(d time.Duration) {
	l.set(func(w *way) { w.delay = d })
}

// Jitter adds up to d to each delay, drawn from the network's seed. It changes the order of
// streams, never that within one.
func (l *Link) Jitter(d time.Duration) {
	l.set(func(w *way) { w.jitter = d })
}

// Stall holds back what has not arrived, closes and resets included, and tells nobody, as a
// network that loses every packet: writers fill the window and then wait, dials wait. Credit
// for what was read returns all the same.
func (l *Link) Stall() {
	now := time.Now()
	l.set(func(w *way) {
		if !w.stalled {
			w.stalled, w.since = true, now
		}
	})
}

// Resume ends a Stall: what was held back arrives at once.
func (l *Link) Resume() {
	l.set(func(w *way) { w.stalled = false })
	for _, w := range l.link.connections() {
		w.farewells()
	}
}

// Cut ends every connection, with an error without a close code, at once on both sides. What was on
// its way is lost, and dials fail at once until [Link.Heal].
func (l *Link) Cut() {
	l.set(func(*way) { l.link.cut = true })
	l.sever("cut")
}

// Heal ends a Cut: dials succeed again.
func (l *Link) Heal() {
	l.set(func(*way) { l.link.cut = false })
}

// Reset ends every connection as Cut does. New ones can be made at once.
func (l *Link) Reset() { l.sever("reset") }

func (l *Link) set(change func(*way)) {
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	for _, w := range l.ways {
		change(w)
	}
	l.link.changed.tell()
}

func (l *Link) sever(how string) {
	for _, w := range l.link.connections() {
		w.sever(fmt.Errorf("bustest: the link between %s and %s was %s", l.link.names[0], l.link.names[1], how))
	}
}

var errUnreachable = errors.New("bustest: the link is cut")

// link is the state behind a Link. Its lock is a leaf: a wire's may be held while it is taken.
type link struct {
	names [2]string
	seed  uint64

	mu      sync.Mutex
	ways    [2]way // from the first name, from the second
	cut     bool
	changed notice
	wires   map[*wire]struct{}
	count   uint64 // connections so far
}

// way is one direction of a link. The link's lock guards it.
type way struct {
	delay, jitter time.Duration
	stalled       bool
	since         time.Time // of the stall
}

// from is the direction that begins at a node.
func (l *link) from(name string) *way {
	if name == l.names[0] {
		return &l.ways[0]
	}
	return &l.ways[1]
}

// watch is closed when a setting changes after the call.
func (l *link) watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed.watch()
}

// due is when what is sent now is to arrive.
func (l *link) due(w *way, now time.Time, random *rand.Rand) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now.Add(w.delay)
	if w.jitter > 0 && random != nil {
		at = at.Add(time.Duration(random.Int64N(int64(w.jitter))))
	}
	return at
}

// arrived says whether what is due at a time is there, and otherwise when to look
// again; zero if not before the link has changed.
func (l *link) arrived(w *way, at, now time.Time) (ok bool, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.stalled && !at.Before(w.since):
		return false, time.Time{}
	case at.After(now):
		return false, at
	default:
		return true, time.Time{}
	}
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// connections are those that are not gone on both sides.
func (l *link) connections() []*wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.wires))
}

// add takes a connection on, unless the link is cut, and numbers it.
func (l *link) add(w *wire) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.count++
	w.number = l.count
	l.wires[w] = struct{}{}
	return true
}

func (l *link) remove(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wires, w)
}

// notice tells everyone who watches that something has changed. Its owner's lock guards it.
type notice struct{ changed chan struct{} }

func (n *notice) watch() <-chan struct{} {
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *notice) tell() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// sleep returns when one of the channels is closed, or at a time; nil and zero mean never.
func sleep(until time.Time, a, b, c, d <-chan struct{}) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-a:
	case <-b:
	case <-c:
	case <-d:
	}
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
