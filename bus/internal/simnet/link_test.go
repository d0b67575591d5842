package simnet

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// arrival is one packet as a socket got it.
type arrival struct {
	number uint32
	after  time.Duration // since it was sent
}

// shoot sends numbered packets of a size from a to b, so far apart, and returns what arrived until a while after the last.
func (p pair) shoot(t *testing.T, count, size int, apart time.Duration) (got []arrival) {
	t.Helper()
	from, err := p.a.ListenPacket(t.Context(), ":0")
	must(t, err)
	defer from.Close()
	to, err := p.b.ListenPacket(t.Context(), ":7")
	must(t, err)
	defer to.Close()
	began := time.Now()
	for i := range count {
		packet := make([]byte, size)
		binary.BigEndian.PutUint32(packet, uint32(i))
		_, err := from.WriteTo(packet, to.LocalAddr())
		must(t, err)
		for deadline := time.Now().Add(apart); ; {
			if i == count-1 {
				deadline = time.Now().Add(time.Minute)
			}
			to.SetReadDeadline(deadline)
			n, _, err := to.ReadFrom(packet)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			must(t, err)
			if n != size {
				t.Fatalf("%d bytes, want %d", n, size)
			}
			number := binary.BigEndian.Uint32(packet)
			got = append(got, arrival{number, time.Since(began) - time.Duration(number)*apart})
		}
	}
	return got
}

// tally counts what is unusual in a sequence of arrivals.
func tally(got []arrival, count int) (lost, twice, late int) {
	seen := make([]int, count)
	last := uint32(0)
	for _, g := range got {
		if seen[g.number]++; seen[g.number] == 1 && g.number < last {
			late++
		}
		last = max(last, g.number)
	}
	for _, times := range seen {
		switch times {
		case 0:
			lost++
		case 2:
			twice++
		}
	}
	return lost, twice, late
}

func TestConditions(t *testing.T) {
	const count = 4000
	near := func(share float64) [2]int { return [2]int{int(0.8 * share * count), int(1.2 * share * count)} }
	tests := []struct {
		name              string
		conditions        Conditions
		lost, twice, late [2]int // at least and at most
		delay             [2]time.Duration
	}{
		{name: "perfect"},
		{name: "delay", conditions: Conditions{Delay: 30 * ms}, delay: [2]time.Duration{30 * ms, 30 * ms}},
		{name: "jitter", conditions: Conditions{Delay: 30 * ms, Jitter: 20 * ms}, delay: [2]time.Duration{30 * ms, 50 * ms}},
		{name: "loss", conditions: Conditions{Loss: 0.2}, lost: near(0.2)},
		{name: "bursts", conditions: Conditions{Burst: 0.01, BurstLen: 10}, lost: near(0.1 / 1.1)},
		{name: "reorder", conditions: Conditions{Reorder: 0.1, Delay: 10 * ms}, late: near(0.1), delay: [2]time.Duration{10 * ms, 23 * ms}},
		{name: "duplicate", conditions: Conditions{Duplicate: 0.05}, twice: near(0.05), delay: [2]time.Duration{0, ms}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(1)
				p.Link(p.a, p.b).OneWay().Set(test.conditions)
				got := p.shoot(t, count, 100, ms)
				lost, twice, late := tally(got, count)
				for name, is := range map[string][3]int{
					"lost":      {lost, test.lost[0], test.lost[1]},
					"twice":     {twice, test.twice[0], test.twice[1]},
					"overtaken": {late, test.late[0], test.late[1]},
				} {
					if is[0] < is[1] || is[0] > is[2] {
						t.Errorf("%d %s, want %d to %d", is[0], name, is[1], is[2])
					}
				}
				for _, g := range got {
					if g.after < test.delay[0] || g.after > test.delay[1] {
						t.Fatalf("packet %d after %v, want %v", g.number, g.after, test.delay)
					}
				}
				if c := p.Link(p.a, p.b).Counts(); c.Packets != count || c.Bytes != count*128 || c.Lost != uint64(lost) || c.Full != 0 {
					t.Errorf("counted %+v", c)
				}
			})
		})
	}
}

// Bursts are as long as they should be, on average.
func TestBurstLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		p.Link(p.a, p.b).Set(Conditions{Burst: 0.01, BurstLen: 10})
		const count = 10000
		bursts, lost, next := 0, 0, uint32(0)
		for _, g := range p.shoot(t, count, 10, ms) {
			if g.number > next {
				bursts++
				lost += int(g.number - next)
			}
			next = g.number + 1
		}
		if mean := float64(lost) / float64(bursts); mean < 7 || mean > 13 {
			t.Errorf("bursts of %.1f packets, want 10", mean)
		}
	})
}

func TestRateAndQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		link := p.Link(p.a, p.b)
		link.Set(Conditions{Rate: 800_000, Queue: 10_000}) // 100 bytes a millisecond
		got := p.shoot(t, 20, 1000-datagramHeader, 0)      // all at once
		if len(got) != 10 {
			t.Fatalf("%d arrived, want what fits the queue", len(got))
		}
		for i, g := range got {
			if want := time.Duration(i+1) * 10 * ms; g.number != uint32(i) || g.after != want {
				t.Errorf("packet %d after %v, want %v", g.number, g.after, want)
			}
		}
		if c := link.Counts(); c.Full != 10 || c.Lost != 0 {
			t.Errorf("counted %+v", c)
		}
		if got := p.shoot(t, 20, 1000-datagramHeader, 10*ms); len(got) != 20 {
			t.Errorf("%d arrived at the pace of the link", len(got))
		}
	})
}

func TestCutAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		link := p.Link(p.a, p.b)
		arrives := func() bool { return len(p.shoot(t, 1, 10, 0)) == 1 }
		link.OneWay().Cut()
		p.a, p.b = p.b, p.a
		if !arrives() {
			t.Error("the other direction is cut")
		}
		p.a, p.b = p.b, p.a
		if arrives() {
			t.Error("the direction is not cut")
		}
		link.Heal()
		if !arrives() {
			t.Error("not healed")
		}
		link.Cut()
		if p.a, p.b = p.b, p.a; arrives() {
			t.Error("both directions should be cut")
		}
	})
}

// A host that moved is reached at its new address only, also by what was on its way.
func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		p.Link(p.a, p.b).Set(Conditions{Delay: 10 * ms})
		a, err := p.a.ListenPacket(t.Context(), ":1")
		must(t, err)
		b, err := p.b.ListenPacket(t.Context(), ":2")
		must(t, err)
		b.WriteTo([]byte("lost on its way"), a.LocalAddr())
		p.a.Rebind("10.0.0.9")
		b.WriteTo([]byte("lost"), a.LocalAddr())
		a.WriteTo([]byte("hello"), b.LocalAddr())
		buf := make([]byte, 100)
		n, from, err := b.ReadFrom(buf)
		must(t, err)
		if string(buf[:n]) != "hello" || from.String() != "10.0.0.9:1" {
			t.Errorf("%q from %v", buf[:n], from)
		}
		b.WriteTo([]byte("welcome"), from)
		n, _, err = a.ReadFrom(buf)
		must(t, err)
		if string(buf[:n]) != "welcome" {
			t.Errorf("got %q", buf[:n])
		}
		if a.LocalAddr().String() != "10.0.0.1:1" {
			t.Errorf("the socket is on %v", a.LocalAddr())
		}
	})
}

func TestSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		s, err := p.a.ListenPacket(t.Context(), "10.0.0.1:5")
		must(t, err)
		if _, err := p.a.ListenPacket(t.Context(), ":5"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port in use: %v", err)
		}
		if _, err := p.a.ListenPacket(t.Context(), "10.0.0.2:6"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("another host's address: %v", err)
		}
		_, err = s.WriteTo(make([]byte, maxDatagram+1), s.LocalAddr()) // is lost
		must(t, err)
		for range maxInbox + 10 {
			_, err := s.WriteTo(make([]byte, maxDatagram), s.LocalAddr())
			must(t, err)
		}
		synctest.Wait()
		for range maxInbox {
			_, _, err := s.ReadFrom(nil)
			must(t, err)
		}
		interrupted := func(how func()) (err error) {
			go func() {
				synctest.Wait()
				how()
			}()
			_, _, err = s.ReadFrom(nil)
			return err
		}
		if err := interrupted(func() { s.SetDeadline(time.Now()) }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		s.SetDeadline(time.Time{})
		if err := interrupted(func() { s.Close() }); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := s.WriteTo(nil, s.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		again, err := p.a.ListenPacket(t.Context(), ":5")
		must(t, err)
		again.Close()
	})
}

// A seed repeats, and another does something else.
func TestSeedRepeats(t *testing.T) {
	trace := func(seed uint64, back Conditions) (got []arrival) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(seed)
			p.Link(p.a, p.b).Set(Conditions{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.1, Burst: 0.01, BurstLen: 3,
				Reorder: 0.1, Duplicate: 0.05, Rate: 10_000_000})
			p.Link(p.b, p.a).OneWay().Set(back)
			got = p.shoot(t, 1000, 500, ms)
		})
		return got
	}
	first := trace(7, Conditions{})
	if !slices.Equal(first, trace(7, Conditions{})) {
		t.Error("the second run of a seed differs from the first")
	}
	if !slices.Equal(first, trace(7, Conditions{Loss: 0.5, Delay: ms})) {
		t.Error("the conditions of the other direction make a difference")
	}
	if slices.Equal(first, trace(8, Conditions{})) {
		t.Error("another seed makes no difference")
	}
}

// The fate of a packet does not depend on what the conditions were for those before it.
func TestDrawsAreFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fates := func(conditions Conditions) (arrived []bool) {
			p := newPair(3)
			p.Link(p.a, p.b).Set(conditions)
			p.shoot(t, 100, 10, ms)
			p.Link(p.a, p.b).Set(Conditions{Loss: 0.5})
			arrived = make([]bool, 100)
			for _, g := range p.shoot(t, 100, 10, ms) {
				arrived[g.number] = true
			}
			return arrived
		}
		plain := fates(Conditions{})
		for _, c := range []Conditions{{Loss: 1}, {Jitter: ms}, {Reorder: 0.5}, {Duplicate: 0.5}, {Burst: 0.5}, {Rate: 1000}} {
			if !slices.Equal(plain, fates(c)) {
				t.Errorf("after %+v other packets are lost", c)
			}
		}
	})
}
