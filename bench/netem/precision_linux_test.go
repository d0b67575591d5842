package netem

import (
	"slices"
	"testing"
	"time"
)

// No packet is early, and the best of them is on time. How late the others are is up to the machine.
func TestRealDelay(t *testing.T) {
	const delay = 20 * ms
	p := newPair(t, 1, Profile{Delay: delay})
	var delays []time.Duration
	for range 50 {
		began := time.Now()
		p.send(t, 0, 1)
		p.to.SetReadDeadline(time.Now().Add(patience))
		_, _, err := p.to.ReadFrom(make([]byte, payload))
		must(t, err)
		delays = append(delays, time.Since(began))
	}
	slices.Sort(delays)
	t.Logf("delays: least %v, p50 %v, most %v; %v", delays[0], delays[len(delays)/2], delays[len(delays)-1], p.there.Stats())
	if delays[0] < delay || delays[0] > delay+5*ms {
		t.Errorf("the least delay is %v, want %v", delays[0], delay)
	}
}

// What the model loses is what does not arrive, and the same packets with the same seed.
func TestRealLoss(t *testing.T) {
	const packets = 2000
	for _, profile := range []Profile{
		{Loss: 0.01}, {Loss: 0.2, Delay: ms}, {Burst: Burst{0.01, 5}}, {Loss: 1},
	} {
		var first []int
		for range 2 {
			p := newPair(t, 5, profile)
			p.send(t, 0, packets)
			numbers := p.receive(t, packets)
			s := p.there.Stats()
			if got := packets - len(numbers); got != int(s.Lost) {
				t.Errorf("%+v: %d packets are missing, %d are counted as lost", profile, got, s.Lost)
			}
			if profile.Loss > 0 {
				within(t, "lost", s.Lost, packets, profile.Loss)
			}
			if !slices.IsSorted(numbers) {
				t.Errorf("%+v: out of order", profile)
			}
			if first != nil && !slices.Equal(first, numbers) {
				t.Errorf("%+v: the same seed lost others", profile)
			}
			first = numbers
		}
	}
}

func TestRealRate(t *testing.T) {
	const packets, rate = 1000, 2_000_000
	p := newPair(t, 1, Profile{Rate: rate, Queue: packets * wirePacket})
	began := time.Now()
	p.send(t, 0, packets)
	numbers := p.receive(t, packets)
	took, want := time.Since(began), transmission(packets*wirePacket, rate)
	if len(numbers) != packets || took < want || took > want+3*time.Second {
		t.Errorf("%d of %d packets took %v, want %v", len(numbers), packets, took, want)
	}
}

func TestRealQueue(t *testing.T) {
	const packets, room = 500, 50
	p := newPair(t, 1, Profile{Rate: 500_000, Queue: room * wirePacket}) // empty after 100 ms
	p.send(t, 0, packets)
	numbers := p.receive(t, packets)
	s := p.there.Stats()
	if len(numbers) < room || s.Full == 0 || int(s.Full) != packets-len(numbers) {
		t.Errorf("%d of %d packets arrived, %d found the queue full", len(numbers), packets, s.Full)
	}
}

func TestRealReorder(t *testing.T) {
	const packets = 2000
	p := newPair(t, 1, Profile{Delay: 10 * ms, Reorder: 0.1})
	p.send(t, 0, packets)
	numbers := p.receive(t, packets)
	overtaken, latest := uint64(0), -1
	for _, n := range numbers {
		if n < latest {
			overtaken++
		}
		latest = max(latest, n)
	}
	s := p.there.Stats()
	within(t, "reordered", s.Reordered, packets, 0.1)
	if overtaken > s.Reordered || overtaken < s.Reordered/2 { // a slow sender leaves some without followers
		t.Errorf("%d packets were overtaken, %d held back", overtaken, s.Reordered)
	}
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != packets {
		t.Errorf("%d of %d packets arrived", len(numbers), packets)
	}
}

func TestRealDuplicate(t *testing.T) {
	const packets = 2000
	p := newPair(t, 1, Profile{Delay: ms, Duplicate: 0.05})
	p.send(t, 0, packets)
	numbers := p.receive(t, packets)
	s := p.there.Stats()
	within(t, "duplicated", s.Duplicated, packets, 0.05)
	if len(numbers) != packets+int(s.Duplicated) {
		t.Errorf("%d packets arrived of %d and %d copies", len(numbers), packets, s.Duplicated)
	}
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != packets {
		t.Error("some packets did not arrive at all")
	}
}

// A cut loses all of one direction and nothing of the other; what is on its way arrives.
func TestRealCut(t *testing.T) {
	p := newPair(t, 1, Profile{Delay: 50 * ms})
	p.exchange(t)
	p.send(t, 0, 10)
	p.entered(t, 11)
	p.there.Cut()
	p.send(t, 10, 10)
	_, err := p.to.WriteTo([]byte("back"), udp(p.a.Addr()))
	must(t, err)
	p.from.SetReadDeadline(time.Now().Add(patience))
	_, _, err = p.from.ReadFrom(make([]byte, payload))
	must(t, err)
	p.entered(t, 21)
	p.there.Heal()
	p.send(t, 20, 10)
	var numbers []int
	for len(numbers) < 20 {
		b := make([]byte, payload)
		p.to.SetReadDeadline(time.Now().Add(patience))
		_, _, err := p.to.ReadFrom(b)
		must(t, err)
		numbers = append(numbers, int(b[3]))
	}
	if !slices.Equal(numbers[:10], sequence(0, 10)) || !slices.Equal(numbers[10:], sequence(20, 10)) {
		t.Errorf("%v arrived", numbers)
	}
	if s := p.there.Stats(); s.Cut != 10 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

func sequence(from, count int) (list []int) {
	for i := range count {
		list = append(list, from+i)
	}
	return list
}

// A verdict objects to what was late, and to what was lost unplanned.
func TestVerdict(t *testing.T) {
	p := newPair(t, 1, Profile{Delay: ms})
	p.exchange(t)
	must(t, p.Verdict(time.Hour))
	if p.Verdict(-1) == nil {
		t.Error("nothing is late even by no standard")
	}
	p.mu.Lock()
	p.direction(p.b, p.a).unplanned++
	p.mu.Unlock()
	if p.Verdict(time.Hour) == nil {
		t.Error("a packet was lost, and nobody objects")
	}
}

// What the kernel drops because nobody reads it counts.
func TestVerdictOnUnread(t *testing.T) {
	p := newPair(t, 1, Profile{Loss: 1})
	must(t, p.Verdict(time.Hour))
	target := udp(p.b.Addr())
	p.mu.Lock() // the thread waits for it
	for range deviceQueue + 1000 {
		if _, err := p.from.WriteTo([]byte("x"), target); err != nil {
			t.Error(err)
			break
		}
	}
	p.mu.Unlock()
	if err := p.Verdict(time.Hour); err == nil {
		t.Error("packets were dropped, and nobody objects")
	} else {
		t.Log(err)
	}
}
