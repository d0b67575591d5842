package netem

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestAgenda(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var a agenda
	last, order, held := time.Duration(0), uint64(0), 0
	for range 10_000 {
		if random.IntN(5) < 3 && held < 100 {
			p := a.blank()
			p.due = last + time.Duration(random.IntN(10)) // many at the same time
			a.add(p)
			held++
			continue
		}
		due, ok := a.next()
		if ok != (held > 0) {
			t.Fatalf("something is due: %t, with %d held", ok, held)
		}
		if !ok {
			continue
		}
		p := a.take()
		held--
		if p.due != due || p.due < last || p.due == last && p.order < order {
			t.Fatalf("packet %d, due at %d, came after %d, due at %d", p.order, p.due, order, last)
		}
		last, order = p.due, p.order
		a.done(p)
	}
	if n := len(a.spare) + len(a.packets); n > 100 {
		t.Errorf("%d packets were made, with never more than 100 held", n)
	}
}

func TestAgendaCosts(t *testing.T) {
	var a agenda
	if n := testing.AllocsPerRun(1000, func() {
		a.add(a.blank())
		a.done(a.take())
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
