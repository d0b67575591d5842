package protocol

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Custody lost: the relay took 2 to 5 over, and died before it passed them on.
func TestCustodyLostIsAGapThatItsOriginHearsOf(t *testing.T) {
	scene(t, func(w *world) {
		a, b, c, _, bc := chain(w, simConfig())
		a.emitMany(1, "a.x")
		w.rest(5 * time.Second)
		bc.outage(10 * time.Second)
		w.runFor(time.Second)
		a.emitMany(4, "a.x")
		w.runFor(3 * time.Second)
		w.expect(len(a.m.own[0].cursors) > 0 && a.m.own[0].entries.len() == 0, "the relay did not take them over")
		b.kill()
		w.runFor(time.Second)
		b.boot()
		w.rest(30 * time.Second)
		w.runFor(time.Second)
		c.want(a.log(0), "1")
		c.wantGaps(a.log(0), "2-5")
		report := a.reports[0]
		w.expect(len(a.reports) == 1 && report.Peer == c.id && report.First == 2 && report.Last == 5, "reports: %+v", a.reports)
	})
}

func TestOverflowWhileAwayIsAGapOfExactlyThat(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 10
		a, b, l := pair(w, cfg)
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		l.outage(15 * time.Second)
		w.runFor(time.Second)
		a.emitMany(25, "a.x")
		w.rest(30 * time.Second)
		w.runFor(time.Second)
		b.want(a.log(0), "1-3 19-28")
		b.wantGaps(a.log(0), "4-18")
		w.expect(a.m.Stats().Dropped == 15 && a.m.Stats().Reported == 15, "%+v", a.m.Stats())
	})
}

// What a peer does not want may fall out of a buffer without a word.
func TestOverflowOfTheUnwantedIsNoGap(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 10
		a, b := w.addNode(cfg), w.addNode(cfg, "a.>")
		l := w.link(b, a)
		w.rest(5 * time.Second)
		l.outage(10 * time.Second)
		w.runFor(time.Second)
		a.emitMany(2, "a.x")
		a.emitMany(200, "b.x")
		a.emitMany(2, "a.x")
		w.rest(30 * time.Second)
		b.wantGaps(a.log(0), "1-2")
		b.want(a.log(0), "203-204")
	})
}

func TestBufferTimeoutDropsAndForgets(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		a, b, l := pair(w, cfg)
		a.emitMany(2, "a.x")
		w.rest(time.Second)
		l.outage(21500 * time.Millisecond)
		a.emitMany(3, "a.x")
		w.runFor(21 * time.Second)
		w.expect(a.m.own[0].entries.len() == 0, "kept for too long")
		w.expect(len(a.saw(EventForget)) == 1, "the peer was not forgotten")
		w.rest(60 * time.Second)
		got := b.inbox.log(a.log(0))
		w.expect(ranges(append(got.ranges, got.gaps...)) == "1-5", "delivered %s, reported %s", ranges(got.ranges), ranges(got.gaps))
	})
}

// A is full of what B does not take, and B of nothing: BlockTimeout ends that.
func TestBlockTimeoutDemotesALaggard(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax, cfg.BlockTimeout, cfg.ReceiveBytes = 20, 2*time.Second, 0
		a, b, _ := pair(w, cfg)
		b.hold()
		for range 40 {
			if !a.full(0) {
				a.emit(0, 8<<10, "a.x")
			}
		}
		w.expect(a.builders[0].Next() == 21, "%d emitted", a.builders[0].Next()-1)
		w.runFor(time.Second)
		w.expect(a.full(0), "room before BlockTimeout")
		w.runFor(2 * time.Second)
		w.expect(!a.full(0), "no room after BlockTimeout")
		w.expect(len(a.saw(EventLaggard)) == 1, "no word of the laggard")
		for range 20 {
			a.emit(0, 8<<10, "a.x")
		}
		w.runFor(time.Second)
		b.letGo()
		w.rest(10 * time.Second)
		b.want(a.log(0), "1-8 21-40")
		b.wantGaps(a.log(0), "9-20")
	})
}

// The same at a relay: its window to the source opens again.
func TestBlockTimeoutFreesARelay(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax, cfg.BlockTimeout, cfg.ReceiveBytes = 10, 2*time.Second, 0
		a, _, c, _, _ := chain(w, cfg)
		other := w.addNode(cfg, ">")
		w.link(other, w.nodes[1])
		w.rest(5 * time.Second)
		c.hold()
		for range 60 {
			if !a.full(0) {
				a.emit(0, 8<<10, "a.x")
			}
			w.runFor(500 * time.Millisecond)
		}
		last := a.builders[0].Next() - 1
		w.expect(last > 30, "the laggard held everybody up: %d emitted", last)
		got := other.inbox.log(a.log(0))
		w.expect(len(got.gaps) == 0 && got.ranges[len(got.ranges)-1].last > last-12, "the other got %v", ranges(got.ranges))
		c.letGo()
		w.rest(20 * time.Second)
		w.checkComplete()
	})
}

// Skip and failover: what was skipped toward A is not A's to skip toward D.
func TestSkipIsNotPassedOnToWhomItWasNotJudgedFor(t *testing.T) {
	scene(t, func(w *world) {
		o, a, b, d := w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
		w.link(a, o)
		w.link(b, o)
		db := w.link(d, b)
		w.rest(5 * time.Second)
		o.emitMany(5, "a.x")
		w.runFor(2 * time.Second)
		db.outage(time.Hour)
		w.runFor(time.Second)
		o.emitMany(4, "a.x")
		w.runFor(2 * time.Second)
		w.link(d, a)
		w.runFor(2 * time.Second)
		o.emitMany(2, "a.x")
		w.runFor(2 * time.Second)
		d.want(o.log(0), "1-11") // B, which is further, gives what it keeps for D
		d.wantGaps(o.log(0), "")
	})
}

// The same while the relay still holds the log, for a peer that is away.
func TestSkipThatIsHeldIsNotPassedOnEither(t *testing.T) {
	scene(t, func(w *world) {
		o, a, b := w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig())
		d, x := w.addNode(simConfig(), "a.>"), w.addNode(simConfig(), "b.>")
		w.link(a, o)
		w.link(b, o)
		db, xa := w.link(d, b), w.link(x, a)
		w.settle(5 * time.Second)
		o.emit(0, 8, "a.x")
		o.emit(0, 8, "b.x")
		w.rest(5 * time.Second)
		db.outage(time.Hour)
		xa.outage(time.Hour)
		w.runFor(time.Second)
		o.emit(0, 8, "b.x")
		o.emitMany(3, "a.x") // skipped toward A
		o.emit(0, 8, "b.x")
		w.runFor(2 * time.Second)
		w.expect(a.m.logs[o.log(0)].entries.len() == 3, "A holds %d entries", a.m.logs[o.log(0)].entries.len())
		w.link(d, a)
		w.runFor(2 * time.Second)
		d.want(o.log(0), "1 3-6") // 3 because B, which is away, is owed what X wants; 7 was skipped there
		d.wantGaps(o.log(0), "")
	})
}

// Gap livelock: two receivers lack the same, and each could wait for the other.
func TestTwoThatLackTheSameDoNotWaitForEachOther(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 10
		o, a, b := w.addNode(cfg), w.addNode(cfg, ">"), w.addNode(cfg, ">")
		oa, ob := w.link(a, o), w.link(b, o)
		w.link(a, b)
		w.rest(5 * time.Second)
		o.emitMany(5, "a.x")
		w.rest(5 * time.Second)
		oa.outage(5 * time.Second)
		ob.outage(5 * time.Second)
		w.runFor(time.Second)
		o.emitMany(25, "a.x")
		before := w.frames
		w.rest(20 * time.Second)
		for _, n := range []*simNode{a, b} {
			n.want(o.log(0), "1-5 21-30")
			n.wantGaps(o.log(0), "6-20")
		}
		w.expect(w.frames-before < 300, "%d frames", w.frames-before)
	})
}

// Heal through strangers: only a neighbour of a neighbour holds what is missing.
func TestMissingEventsAreFoundAtAnotherNeighbour(t *testing.T) {
	scene(t, func(w *world) {
		small := simConfig()
		small.BufferMax = 5
		o, a, d := w.addNode(small), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(a, o)
		od, ad := w.link(d, o), w.link(d, a)
		w.rest(5 * time.Second)
		o.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		od.outage(4 * time.Second)
		ad.outage(5 * time.Second)
		w.runFor(time.Second)
		for range 20 {
			o.emit(0, 8, "a.x")
			w.runFor(20 * time.Millisecond)
		}
		w.rest(20 * time.Second)
		a.want(o.log(0), "1-22")
		got := d.inbox.log(o.log(0))
		all := append(slices.Clone(got.ranges), got.gaps...)
		slices.SortFunc(all, func(x, y span) int { return int(x.first) - int(y.first) })
		w.expect(ranges(all) == "1-22", "delivered %s, reported %s", ranges(got.ranges), ranges(got.gaps))
	})
}

// A laggard that has caught up is waited for again, though there is always something on its way.
func TestLaggardThatCaughtUpIsWaitedFor(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax, cfg.BlockTimeout, cfg.ReceiveBytes = 20, 2*time.Second, 0
		w.lag = every(20 * time.Millisecond)
		a, b, _ := pair(w, cfg)
		b.hold()
		for !a.full(0) {
			a.emit(0, 8<<10, "a.x")
		}
		w.runFor(3 * time.Second)
		w.expect(len(a.saw(EventLaggard)) == 1, "no word of the laggard")
		b.letGo()
		for range 400 {
			a.emit(0, 8, "a.x")
			w.runFor(5 * time.Millisecond)
		}
		c := a.m.peers[b.id].cursors[a.m.own[0]]
		w.expect(c.done() < a.m.own[0].have, "nothing is on its way")
		w.expect(c.holds(), "it is still not waited for")
	})
}

// What is on the way is bounded by bytes, so small batches may be more than BufferMax.
func TestManySmallBatchesWaitForASlowReceiver(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 100
		o, a, b, _, _ := chain(w, cfg)
		o.emitMany(1, "a.x")
		w.rest(5 * time.Second)
		b.hold()
		for range 4000 {
			o.emit(0, 8, "a.x")
			w.runFor(time.Millisecond)
		}
		for _, n := range []*simNode{a, b} {
			entries := n.m.logs[o.log(0)].entries.len()
			w.expect(entries > 3*(cfg.BufferMax+maxLost), "%s holds %d entries", n, entries)
		}
		b.letGo()
		w.rest(30 * time.Second)
		b.want(o.log(0), "1-4001")
	})
}

// An old log outlives its origin, but not for ever.
func TestLogOfADeadOriginIsForgotten(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		a, b, c, ab, _ := chain(w, cfg)
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		old := a.log(0)
		ab.outage(2 * time.Second)
		a.kill()
		w.runFor(5 * time.Second)
		w.expect(b.m.logs[old] != nil && c.m.logs[old] != nil, "forgotten at once")
		w.runFor(40 * time.Second)
		w.expect(b.m.logs[old] == nil && c.m.logs[old] == nil, "never forgotten")
		ends := c.saw(EventGap)
		w.expect(len(ends) == 1 && ends[0].Log == old && ends[0].First == 4 && ends[0].Reason == ReasonUnfinished, "its end: %+v", ends)
		a.boot()
		a.emitMany(1, "a.x")
		w.rest(10 * time.Second)
		c.want(a.log(0), "1")
	})
}

// The node is back, and the log of its earlier run is over all the same.
func TestLogOfAnEarlierRunIsForgotten(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		a, b, _ := pair(w, cfg)
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		old := a.log(0)
		a.kill()
		w.runFor(time.Second)
		a.boot()
		a.emitMany(1, "a.x")
		w.runFor(60 * time.Second)
		w.expect(b.m.logs[old] == nil && b.m.logs[a.log(0)] != nil, "kept: %v", b.m.logs)
		w.expect(len(b.saw(EventGap)) == 1, "its end: %+v", b.saw(EventGap))
	})
}

// A log that has ended is forgotten though its nodes do so at different times, and lose each other again and again: who has forgotten it is
// not told of its end by who has not.
func TestEndedLogDoesNotComeBack(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		o, a := w.addNode(cfg), w.addNode(cfg, ">")
		oa := w.link(o, a)
		w.rest(3 * time.Second)
		o.emitMany(3, "a.x")
		w.runFor(7 * time.Second)
		b := w.addNode(cfg, ">")
		ab := w.link(b, a)
		w.rest(3 * time.Second)
		id := o.log(0)
		o.m.Finish(w.now)
		o.pump()
		w.runFor(time.Second)
		w.expect(a.m.logs[id].finished && b.m.logs[id].finished, "the end is not known")
		oa.down = true
		o.kill()
		for a.m.logs[id] != nil && b.m.logs[id] != nil {
			w.runFor(time.Second)
		}
		for range 5 {
			ab.outage(time.Second)
			w.runFor(15 * time.Second)
		}
		w.expect(a.m.logs[id] == nil && b.m.logs[id] == nil, "forgotten by A: %v, by B: %v", a.m.logs[id] == nil, b.m.logs[id] == nil)
	})
}

// One that only a START told of is forgotten, too.
func TestLogWithoutEntriesIsForgotten(t *testing.T) {
	h := newHostile()
	h.m.cfg.BufferTimeout = 4 * time.Second
	h.greet()
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 5))
	h.mustData(frameFin, uvarints(0, 5))
	for end := h.now + h.m.cfg.maxAge(); h.now < end; {
		h.wait(time.Second)
	}
	if h.m.logs[h.log(1)] != nil {
		t.Error("it is still there")
	}
}

// Fin overtakes what comes before it when that has to be asked for.
func TestFinWaitsForWhatIsMissing(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		a, b, l := pair(w, cfg)
		a.emitMany(1, "a.x")
		w.rest(5 * time.Second)
		l.outage(2 * time.Second)
		w.runFor(time.Second)
		a.emitMany(5, "a.x")
		a.m.Finish(w.now)
		a.pump()
		w.rest(20 * time.Second)
		w.runFor(time.Second)
		b.want(a.log(0), "1-6")
		w.expect(b.m.logs[a.log(0)].finished, "not finished")
	})
}

// strangers are O, whose first 50 events D has, by A, from which D has just been cut off; and C, which is linked to A and never had any. A
// keeps what that configuration says.
func strangers(w *world, keeps Config) (o, c, d *simNode) {
	o, a := w.addNode(simConfig()), w.addNode(keeps)
	c, d = w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
	w.link(a, o)
	da := w.link(d, a)
	w.link(c, a)
	w.rest(5 * time.Second)
	o.emitMany(50, "a.x")
	w.rest(5 * time.Second)
	da.down = true
	da.conn.cut()
	w.runFor(500 * time.Millisecond)
	return o, c, d
}

// Heal through strangers: D joins C, which never had what D lacks; only A, which is two links away, kept it.
func TestMissingEventsAreFoundTwoLinksAway(t *testing.T) {
	scene(t, func(w *world) {
		o, c, d := strangers(w, simConfig())
		for range 50 {
			o.emit(0, 8<<10, "a.x")
		}
		w.runFor(time.Second)
		w.link(d, c)
		w.runFor(3 * time.Second)
		o.emitMany(5, "a.x")
		w.runFor(3 * time.Second)
		d.want(o.log(0), "1-105")
		d.wantGaps(o.log(0), "")
	})
}

// Heal through strangers, with more questions at once than a node has room for, or more answers than it lets wait. D has
// been alone for so long that nobody is waited for.
func TestMissingEventsOfManyLogsAreFoundTwoLinksAway(t *testing.T) {
	for seed, c := range []struct{ origins, lanes, events int }{{50, maxSimLanes, 1}, {50, 1, 100}} {
		if err := try(uint64(seed), func(w *world) { manyStrangers(w, c.origins, c.lanes, c.events) }); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// manyStrangers has D miss so many events of each lane of as many origins.
func manyStrangers(w *world, many, lanes, events int) {
	w.lanes, w.large = lanes, true
	cfg := simConfig()
	cfg.MaxOrigins = 1000
	a, c, d := w.addNode(cfg), w.addNode(cfg), w.addNode(cfg, "a.>")
	w.link(c, a)
	da := w.link(d, a)
	var origins []*simNode
	for range many {
		o := w.addNode(cfg)
		w.link(o, a)
		origins = append(origins, o)
	}
	w.rest(5 * time.Second)
	emit := func(count int) {
		for _, o := range origins {
			for i := range lanes * count {
				o.emit(i%lanes, 8, "a.x")
			}
		}
		w.runFor(time.Second)
	}
	emit(1)
	da.down = true
	da.conn.cut()
	w.runFor(2 * cfg.GapWait)
	emit(events) // A keeps them for D
	w.link(d, c)
	w.runFor(2 * cfg.GapWait)
	for _, o := range origins {
		for lane := range lanes {
			d.wantGaps(o.log(lane), "")
			d.want(o.log(lane), fmt.Sprintf("1-%d", 1+events))
		}
	}
}

// What is left of the events two links away is asked for before the gap is declared up to where the neighbour begins.
func TestTheNearestOfWhatIsLeftEndsTheGap(t *testing.T) {
	scene(t, func(w *world) {
		few := simConfig()
		few.BufferMax = 20
		o, c, d := strangers(w, few)
		o.emitMany(50, "a.x") // A keeps the last 20 for D, and C none
		w.runFor(time.Second)
		w.link(d, c)
		w.runFor(3 * time.Second)
		o.emitMany(5, "a.x")
		w.runFor(3 * time.Second)
		d.want(o.log(0), "1-50 81-105")
		d.wantGaps(o.log(0), "51-80")
	})
}

// A gap waits for someone who has just gone, and may have the events.
func TestGapWaitsForWhoIsAwayForAMoment(t *testing.T) {
	scene(t, func(w *world) {
		o, a := w.addNode(simConfig()), w.addNode(simConfig())
		c, d := w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
		ao := w.link(a, o)
		da := w.link(d, a)
		w.link(c, o)
		w.rest(5 * time.Second)
		o.emitMany(5, "a.x")
		w.rest(5 * time.Second)
		da.down = true
		da.conn.cut()
		w.runFor(500 * time.Millisecond)
		o.emitMany(5, "a.x")
		w.runFor(time.Second)
		ao.outage(700 * time.Millisecond) // A, which keeps 6 to 10 for D, is away when D joins C
		w.link(d, c)
		w.runFor(6 * time.Second)
		d.want(o.log(0), "1-10")
		d.wantGaps(o.log(0), "")
	})
}

// Nobody has the events: the gap is declared as soon as everyone has said so, and ends where someone goes on.
func TestGapIsDeclaredWhenEveryoneHasAnswered(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 10
		nodes := make([]*simNode, 5) // a chain, and the last one is away
		for i := range nodes {
			nodes[i] = w.addNode(cfg)
		}
		o, d := nodes[0], w.addNode(cfg, "a.>")
		for i := 1; i < len(nodes); i++ {
			w.link(nodes[i], nodes[i-1])
		}
		l := w.link(d, nodes[4])
		w.rest(5 * time.Second)
		o.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		l.down = true
		l.conn.cut()
		w.runFor(3 * time.Second)
		o.emitMany(30, "a.x")
		w.runFor(3 * time.Second)
		l.down = false
		for began := w.now; len(d.inbox.log(o.log(0)).gaps) == 0; w.runFor(10 * time.Millisecond) {
			w.expect(w.now-began < 3*time.Second, "no gap in %v", w.now-began)
		}
		w.rest(10 * time.Second)
		d.want(o.log(0), "1-3 24-33")
		d.wantGaps(o.log(0), "4-23")
	})
}
