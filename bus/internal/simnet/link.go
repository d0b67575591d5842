package simnet

import (
	"math/rand/v2"
	"time"
)

// Conditions say how a direction of a link treats packets. The zero value delivers everything at once. Shares
// are from 0 to 1, and drawn for each packet.
type Conditions struct {
	Delay     time.Duration // from one end to the other
	Jitter    time.Duration // up to so much more; packets stay in order
	Loss      float64       // share of packets that are lost
	Burst     float64       // share of packets at which a burst begins, in which all are lost
	BurstLen  float64       // packets in a burst, on average; fewer than 1 counts as 1
	Reorder   float64       // share of packets that are held back, so that later ones overtake
	Duplicate float64       // share of packets that arrive twice
	Rate      int           // bits per second; 0: no limit
	Queue     int           // bytes that may wait where Rate is a limit; what comes on top is dropped. 0: 64 KiB
}

// Counts are what a link did so far.
type Counts struct {
	Packets, Bytes uint64 // that were sent, with headers
	Lost           uint64 // packets, by Loss, Burst and cuts
	Full           uint64 // packets that found the queue full
}

const (
	defaultQueue = 64 << 10
	maxFlying    = 1 << 14 // packets on their way in a direction
)

// Link is what lies between two hosts. A link that was not set is perfect. No method blocks.
type Link struct {
	network *Network
	ways    []*way
}

// Link returns the link between two hosts. Link(a, b) and Link(b, a) are the same but for [Link.OneWay].
func (n *Network) Link(a, b *Host) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &Link{n, []*way{n.way(a, b), n.way(b, a)}}
}

// OneWay is the direction from the first host to the second of [Network.Link].
func (l *Link) OneWay() *Link { return &Link{l.network, l.ways[:1]} }

// Set changes the conditions of what is sent from now on.
func (l *Link) Set(c Conditions) {
	l.each(func(w *way) { w.conditions = c })
}

// Cut loses every packet that is sent from now on, and tells nobody. What is on its way arrives.
func (l *Link) Cut() {
	l.each(func(w *way) { w.cut = true })
}

// Heal ends a Cut.
func (l *Link) Heal() {
	l.each(func(w *way) { w.cut = false })
}

// Counts are the sums over the link's directions.
func (l *Link) Counts() (sum Counts) {
	l.each(func(w *way) {
		sum.Packets += w.counts.Packets
		sum.Bytes += w.counts.Bytes
		sum.Lost += w.counts.Lost
		sum.Full += w.counts.Full
	})
	return sum
}

func (l *Link) each(f func(*way)) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	for _, w := range l.ways {
		f(w)
	}
}

// way is one direction of a link. The network's lock guards it.
type way struct {
	random     *rand.Rand
	conditions Conditions
	cut        bool
	inBurst    bool
	free       time.Time // when what is limited by Rate has left
	last       time.Time // arrival of the last packet that was not held back
	flying     int
	counts     Counts
}

// way returns the direction from one host to another. The lock is held.
func (n *Network) way(from, to *Host) *way {
	key := [2]*Host{from, to}
	w := n.ways[key]
	if w == nil {
		w = &way{random: rand.New(rand.NewPCG(n.seed, uint64(from.number)<<32|uint64(to.number)))}
		n.ways[key] = w
	}
	return w
}

// fate is what was drawn for one packet, each number from 0 to 1.
type fate struct{ loss, burst, reorder, hold, duplicate, jitter float64 }

// draw takes as much from the random stream for each packet, so that the fate of one does not depend on those before it.
func (w *way) draw() fate {
	f := w.random.Float64
	return fate{f(), f(), f(), f(), f(), f()}
}

// carry decides when a packet arrives: never, once or twice. The lock is held.
func (w *way) carry(now time.Time, size int) []time.Time {
	c, f := &w.conditions, w.draw()
	w.counts.Packets++
	w.counts.Bytes += uint64(size)
	if w.loses(c, f) {
		w.counts.Lost++
		return nil
	}
	sent, ok := w.queue(c, now, size)
	if !ok || w.flying >= maxFlying {
		w.counts.Full++
		return nil
	}
	at := sent.Add(c.Delay + scale(c.Jitter, f.jitter))
	switch {
	case f.reorder < c.Reorder:
		at = at.Add(time.Millisecond + scale(c.Delay, 0.2+f.hold))
	case at.Before(w.last):
		at = w.last
	}
	if f.reorder >= c.Reorder {
		w.last = at
	}
	arrivals := []time.Time{at}
	if f.duplicate < c.Duplicate {
		arrivals = append(arrivals, at.Add(time.Millisecond+scale(c.Delay, f.hold)))
	}
	w.flying += len(arrivals)
	return arrivals
}

// loses says whether a packet is lost on the way.
func (w *way) loses(c *Conditions, f fate) bool {
	if w.inBurst {
		w.inBurst = f.burst >= 1/max(c.BurstLen, 1)
	} else {
		w.inBurst = f.burst < c.Burst
	}
	return w.cut || w.inBurst || f.loss < c.Loss
}

// queue has a packet wait for its turn, and returns when it has left; not ok if there is no room.
func (w *way) queue(c *Conditions, now time.Time, size int) (sent time.Time, ok bool) {
	if c.Rate <= 0 {
		return now, true
	}
	room := c.Queue
	if room <= 0 {
		room = defaultQueue
	}
	begin := now
	if w.free.After(now) {
		begin = w.free
	}
	if begin.Add(transmission(size, c.Rate)).Sub(now) > transmission(room, c.Rate) {
		return now, false
	}
	w.free = begin.Add(transmission(size, c.Rate))
	return w.free, true
}

func transmission(bytes, rate int) time.Duration {
	return scale(time.Second, float64(bytes)*8/float64(rate))
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
