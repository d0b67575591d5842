package netem

import (
	"math/rand/v2"
	"time"
)

// model is one direction of a link: what becomes of each packet that enters it. It has neither clock nor IO, and is
// deterministic: times are since the network began, and never go back.
type model struct {
	random  *rand.Rand
	profile Profile
	cut     bool
	inBurst bool
	free    time.Duration // when what is limited by Rate has left
	last    time.Duration // arrival of the last packet that was not held back
	counts  counts
}

// counts are what a model did so far, in packets but for bytes.
type counts struct {
	packets, bytes       uint64
	lost, cut, full      uint64
	reordered, duplicate uint64
	overrun              uint64 // more than maxFlying on their way
	flying               int
}

// newModel returns a perfect direction, with a random stream for its number.
func newModel(seed, number uint64) *model {
	return &model{random: rand.New(rand.NewPCG(seed, number))}
}

// set changes the profile of what enters from now on. What waits for its turn counts with its bytes, whatever the rate.
func (m *model) set(now time.Duration, p Profile) {
	waiting := float64(max(m.free-now, 0)) / float64(time.Second) * float64(m.profile.Rate) / 8
	m.profile = p
	m.free = now
	if p.Rate > 0 {
		m.free += transmission(int(waiting), p.Rate)
	}
}

// fate is what was drawn for one packet, each number from 0 to 1.
type fate struct{ loss, burst, reorder, hold, duplicate, copied, jitter float64 }

// draw takes as much from the random stream for each packet, so that the fate of one does not depend on those before it.
func (m *model) draw() fate {
	f := m.random.Float64
	return fate{f(), f(), f(), f(), f(), f(), f()}
}

// carry takes a packet that enters now, and returns when it arrives: the first n of two times. Each arrival counts
// as on its way until land.
func (m *model) carry(now time.Duration, size int) (arrivals [2]time.Duration, n int) {
	p, f := &m.profile, m.draw()
	m.counts.packets++
	m.counts.bytes += uint64(size)
	bursts := m.burst(f)
	switch {
	case m.cut:
		m.counts.cut++
		return arrivals, 0
	case bursts || f.loss < p.Loss:
		m.counts.lost++
		return arrivals, 0
	}
	left, ok := m.queue(now, size)
	if !ok {
		m.counts.full++
		return arrivals, 0
	}
	at := left + max(p.Delay, 0) + scale(max(p.Jitter, 0), f.jitter)
	if f.reorder < p.Reorder {
		m.counts.reordered++
		at += time.Millisecond + scale(max(p.Delay, 0), 0.2+f.hold)
	} else {
		m.last = max(m.last, at)
		at = m.last
	}
	arrivals[0], n = at, 1
	if f.duplicate < p.Duplicate {
		m.counts.duplicate++
		arrivals[1], n = at+scale(time.Millisecond+max(p.Delay, 0), f.copied), 2
	}
	if m.counts.flying+n > maxFlying {
		m.counts.overrun += uint64(n)
		return arrivals, 0
	}
	m.counts.flying += n
	return arrivals, n
}

// land ends the way of one arrival.
func (m *model) land() { m.counts.flying-- }

// burst moves on to the state of the next packet, and reports whether that is the bad one.
func (m *model) burst(f fate) bool {
	b := m.profile.Burst
	if m.inBurst {
		m.inBurst = f.burst >= 1/max(b.Length, 1)
	} else {
		m.inBurst = f.burst < b.Begin
	}
	return m.inBurst
}

// queue has a packet wait for its turn, and returns when it has left; not ok if there is no room.
func (m *model) queue(now time.Duration, size int) (left time.Duration, ok bool) {
	p := &m.profile
	if p.Rate <= 0 {
		return now, true
	}
	room := p.Queue
	if room <= 0 {
		room = defaultQueue
	}
	left = max(m.free, now) + transmission(size, p.Rate)
	if left-now > transmission(room, p.Rate) {
		return 0, false
	}
	m.free = left
	return left, true
}

func transmission(bytes, rate int) time.Duration {
	return scale(time.Second, float64(bytes)*8/float64(rate))
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
