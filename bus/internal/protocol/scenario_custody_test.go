package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// What was kept for those behind a relay is sent through it when it starts again, although they
// may come back to it later than it to us.
func TestRestartedRelayPassesOnWhatWasKept(t *testing.T) {
	scene(t, func(w *world) {
		a, b, c, ab, bc := chain(w, simConfig())
		a.emitMany(1, "a.x")
		w.rest(5 * time.Second)
		b.kill()
		w.runFor(time.Second)
		a.emitMany(3, "a.x")
		bc.outage(2 * time.Second)
		b.boot()
		for ab.conn == nil {
			w.runFor(time.Millisecond)
		}
		ab.conn.ends[1].out[0].stalled = w.now + 5*time.Second
		w.rest(30 * time.Second)
		c.want(a.log(0), "1-4")
		c.wantGaps(a.log(0), "")
	})
}

// A restarted run is not given what the one before it had done, although it is still kept.
func TestRestartedReceiverIsNotGivenWhatItHadDone(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		c := w.addNode(simConfig(), ">")
		ac := w.link(c, a)
		w.rest(5 * time.Second)
		ac.outage(30 * time.Second)
		w.runFor(time.Second)
		a.emitMany(3, "a.x")
		w.runFor(2 * time.Second)
		b.kill()
		w.runFor(time.Second)
		b.boot()
		a.emitMany(1, "a.x")
		w.rest(60 * time.Second)
		b.want(a.log(0), "4")
		c.want(a.log(0), "1-4")
	})
}

// What a run had and was not done with is missed by the next one, if a bound has forced it out meanwhile.
func TestRestartedReceiverIsToldWhatWasForcedOut(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax, cfg.Overflow = 5, DropOldest
		a, b, _ := pair(w, cfg)
		a.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		b.hold()
		for range 20 {
			a.emit(0, 8, "a.x")
			w.runFor(200 * time.Millisecond)
		}
		b.kill()
		w.runFor(time.Second)
		b.boot()
		b.letGo()
		w.rest(20 * time.Second)
		b.want(a.log(0), "18-22")
		b.wantGaps(a.log(0), "3-17")
	})
}

// One that cannot help does not make a gap while another can, however late.
func TestGapIsNotDeclaredWhileAnotherHasIt(t *testing.T) {
	scene(t, func(w *world) {
		small := simConfig()
		small.BufferMax = 5
		o, a, d := w.addNode(small), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(a, o)
		od, ad := w.link(d, o), w.link(d, a)
		w.rest(5 * time.Second)
		o.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		od.outage(6 * time.Second)
		ad.outage(3 * time.Second)
		w.runFor(time.Second)
		for range 20 {
			o.emit(0, 8, "a.x")
			w.runFor(20 * time.Millisecond)
		}
		for ad.conn == nil {
			w.runFor(time.Millisecond)
		}
		ad.conn.ends[1].out[0].stalled = w.now + 8*time.Second
		w.runFor(5 * time.Second)
		o.m.Finish(w.now) // which is no end yet for d
		o.pump()
		w.rest(30 * time.Second)
		d.want(o.log(0), "1-22")
		d.wantGaps(o.log(0), "")
		l := d.m.logs[o.log(0)]
		w.expect(l.finished && l.last == 22, "finished %v at %d", l.finished, l.last)
	})
}

// Who lacks more than another speaks for itself only.
func TestGapEndsWhereAnotherGoesOn(t *testing.T) {
	scene(t, func(w *world) {
		small, medium := simConfig(), simConfig()
		small.BufferMax, medium.BufferMax = 5, 12
		o, a, d := w.addNode(small), w.addNode(medium, ">"), w.addNode(simConfig(), ">")
		w.link(a, o)
		od, ad := w.link(d, o), w.link(d, a)
		w.rest(5 * time.Second)
		o.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		od.outage(3 * time.Second)
		ad.outage(6 * time.Second)
		w.runFor(time.Second)
		for range 20 {
			o.emit(0, 8, "a.x")
			w.runFor(20 * time.Millisecond)
		}
		for od.conn == nil {
			w.runFor(time.Millisecond)
		}
		od.conn.ends[1].out[0].stalled = w.now + 8*time.Second
		w.rest(30 * time.Second)
		d.want(o.log(0), "1-2 11-22")
		d.wantGaps(o.log(0), "3-10")
	})
}

// What a node let go of before someone wanted it is not skipped toward them.
func TestJudgedBeforeItWasWantedIsNotSkipped(t *testing.T) {
	scene(t, func(w *world) {
		o, a, b, d := w.addNode(simConfig()), w.addNode(simConfig(), "a.>"), w.addNode(simConfig()), w.addNode(simConfig(), "c.>")
		w.link(a, o)
		w.link(b, o)
		da, db := w.link(d, a), w.link(d, b)
		w.rest(5 * time.Second)
		o.emit(0, 8, "c.x")
		w.rest(5 * time.Second)
		da.outage(6 * time.Second)
		w.runFor(time.Second)
		d.setExtra("a.x")
		w.runFor(time.Second)
		db.outage(time.Hour)
		w.runFor(time.Second)
		o.emitMany(3, "a.x")
		w.runFor(10 * time.Second)
		o.emitMany(2, "a.x")
		w.runFor(2 * time.Second)
		d.wantAll(o.log(0), "1-6")
	})
}

// A node moves from one relay to another, which comes up itself, while its events are emitted.
func TestNothingIsSkippedInAMove(t *testing.T) {
	scene(t, func(w *world) {
		o, a, b, d := w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
		oa := w.link(a, o)
		w.link(b, o)
		db := w.link(d, b)
		w.rest(5 * time.Second)
		o.emit(0, 8, "a.x")
		w.rest(5 * time.Second)
		again := w.chance(0.5)
		if again {
			oa.outage(w.between(time.Second, 1200*time.Millisecond))
		}
		db.outage(time.Hour)
		w.runFor(500 * time.Millisecond)
		w.after(w.between(0, 1500*time.Millisecond), func() { w.link(d, a) })
		for i := range 2000 {
			if i%3 == 0 {
				a.setExtra(simTopics[4+i%2])
			}
			o.emit(0, 8, "a.x")
			w.runFor(time.Millisecond)
		}
		w.runFor(10 * time.Second)
		w.checkComplete()
	})
}

// wantAll fails the scene unless a node was delivered these events or reported them missing.
func (n *simNode) wantAll(id codec.LogID, text string) {
	r := n.inbox.log(id)
	all := append(slices.Clone(r.ranges), r.gaps...)
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	if ranges(all) != text {
		n.w.failf("%s was delivered %q of %v and reported %q, not %q", n, ranges(r.ranges), id, ranges(r.gaps), text)
	}
}

// An older run of a peer that knocks does not disturb the one that is connected.
func TestOlderRunIsNotTakenFor(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		older := w.twin(b, b.cfg.Epoch-1)
		w.connect(older, a, 98, 1)
		w.runFor(500 * time.Millisecond)
		w.expect(a.m.peers[b.id].epoch == b.cfg.Epoch, "the peer is taken for run %d", a.m.peers[b.id].epoch)
		a.emit(0, 8, "a.x")
		w.rest(5 * time.Second)
		b.want(a.log(0), "1")
	})
}

// What a link was owed while its peer is away goes to whoever answers there.
func TestNewcomerOnALinkGetsWhatWasKept(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig()), w.addNode(simConfig(), ">")
		l := w.link(a, b)
		a.emitMany(1, "a.x")
		w.rest(5 * time.Second)
		l.outage(3 * time.Second)
		w.runFor(time.Second)
		a.emitMany(3, "a.x")
		c := w.addNode(simConfig(), ">")
		l.to = c
		w.runFor(10 * time.Second)
		c.want(a.log(0), "2-4")
	})
}

// What a bound has forced out of that, although the peer had it and was not done with it, is missing there.
func TestNewcomerOnALinkIsToldWhatWasForcedOut(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax, cfg.Overflow = 5, DropOldest
		a, b := w.addNode(cfg), w.addNode(cfg, ">")
		l := w.link(a, b)
		a.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		b.hold()
		for range 20 {
			a.emit(0, 8, "a.x")
			w.runFor(200 * time.Millisecond)
		}
		b.kill()
		l.to = w.addNode(cfg, ">")
		w.runFor(20 * time.Second)
		l.to.want(a.log(0), "18-22")
		l.to.wantGaps(a.log(0), "3-17")
	})
}

// The age of a batch has the time in it that a relay kept it.
func TestTimeAtARelayCounts(t *testing.T) {
	scene(t, func(w *world) {
		a, _, c, _, bc := chain(w, simConfig())
		c.hold()
		bc.outage(10 * time.Second)
		w.runFor(time.Second)
		a.emit(0, 8, "a.x")
		w.runFor(15 * time.Second)
		age := c.m.logs[a.log(0)].entries.at(0).age
		w.expect(age > 8*time.Second && age < 12*time.Second, "%v old", age)
	})
}

// A log that was forgotten goes on where it turns up again.
func TestForgottenLogIsNotFollowedFromTheBeginning(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		a, b, l := pair(w, cfg)
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		l.outage(80 * time.Second)
		w.runFor(70 * time.Second)
		w.expect(b.m.logs[a.log(0)] == nil, "not forgotten")
		w.runFor(20 * time.Second)
		a.emitMany(2, "a.x")
		w.rest(10 * time.Second)
		b.want(a.log(0), "1-5")
		b.wantGaps(a.log(0), "")
	})
}

// A neighbour that has not forgotten a log goes on in the run that it has, and who has follows from there: itself, and who is
// behind it.
func TestForgottenLogGoesOnInTheRunItHad(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferTimeout = 20 * time.Second
		o, a := w.addNode(cfg), w.addNode(cfg, ">")
		oa := w.link(o, a)
		w.rest(3 * time.Second)
		o.emitMany(3, "a.x")
		w.runFor(7 * time.Second)
		b := w.addNode(cfg, ">")
		w.link(a, b)
		w.rest(3 * time.Second)
		w.runFor(2 * time.Second)
		c := w.addNode(cfg, ">")
		w.link(b, c)
		w.rest(3 * time.Second)
		look := b.m.logs[o.log(0)].expiry.at
		w.runUntil(look - time.Second)
		oa.outage(cfg.maxAge()/2 + 2*time.Second) // over two looks of B, and no two of the others
		w.runFor(cfg.maxAge()/2 + 5*time.Second)
		w.expect(a.m.logs[o.log(0)] != nil && b.m.logs[o.log(0)] == nil && c.m.logs[o.log(0)] != nil, "who has forgotten")
		o.emitMany(2, "a.x")
		w.rest(10 * time.Second)
		for _, n := range []*simNode{b, c} {
			n.want(o.log(0), "4-5")
			n.wantGaps(o.log(0), "")
		}
	})
}

// narrowHub adds a hub with room for one log of others, which the first of its two peers has begun.
func (w *world) narrowHub() (cfg Config, hub, first, second *simNode) {
	cfg = simConfig()
	cfg.BufferTimeout = 20 * time.Second
	narrow := cfg
	narrow.MaxOrigins = 1
	hub, first = w.addNode(narrow, ">"), w.addNode(cfg)
	w.link(first, hub)
	w.rest(3 * time.Second)
	first.emitMany(1, "a.x")
	w.rest(3 * time.Second)
	second = w.addNode(cfg)
	w.link(second, hub)
	w.rest(3 * time.Second)
	return cfg, hub, first, second
}

// A log that was refused is followed as soon as there is room for it, from where it would have been.
func TestRefusedLogIsFollowedOnceThereIsRoom(t *testing.T) {
	scene(t, func(w *world) {
		cfg, hub, first, second := w.narrowHub()
		second.emitMany(2, "a.x")
		w.runFor(time.Second)
		w.expect(len(hub.saw(EventRefused)) > 0 && hub.m.logs[second.log(0)] == nil, "not refused")
		first.kill()
		w.runFor(2 * cfg.maxAge())
		w.expect(hub.m.logs[first.log(0)] == nil, "not forgotten")
		second.emitMany(2, "a.x")
		w.runFor(10 * time.Second)
		hub.want(second.log(0), "3-4")
		hub.wantGaps(second.log(0), "1-2") // which are too old by now
	})
}

// Its origin may have sent as much as it may before it hears anything of the log, so that no frame follows.
func TestRefusedLogThatIsOutOfCreditIsFollowedOnceThereIsRoom(t *testing.T) {
	scene(t, func(w *world) {
		cfg, hub, first, second := w.narrowHub()
		first.kill()
		w.runFor(cfg.maxAge())
		size := pick(w, []int{8, 16 << 10}) // there is always something on its way, or there was soon too much
		for hub.m.logs[first.log(0)] != nil {
			second.emit(0, size, "a.x")
			w.runFor(w.between(0, 50*time.Millisecond))
		}
		w.runFor(10 * time.Second)
		l := hub.m.logs[second.log(0)]
		w.expect(l != nil && l.have == second.m.own[0].have, "the hub has %+v", l)
		second.emitMany(2, "a.x")
		w.runFor(time.Second)
		hub.wantAll(second.log(0), fmt.Sprintf("1-%d", second.m.own[0].have))
	})
}

// A relay that returns is given what was kept for those behind it before they are back. It must not let
// go of that.
func TestRestartedRelayKeepsWhatItIsGivenForOthers(t *testing.T) {
	scene(t, func(w *world) {
		e, c := w.addNode(simConfig()), w.addNode(simConfig())
		d, l := w.addNode(simConfig()), w.addNode(simConfig(), ">")
		w.link(c, e)
		w.link(d, c)
		ld := w.link(l, d)
		w.rest(5 * time.Second)
		e.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		ld.down = true
		d.kill()
		w.runFor(time.Second)
		e.emitMany(3, "a.x")
		w.runFor(time.Second)
		d.boot()
		w.runFor(2 * time.Second)
		ld.down = false
		w.runFor(5 * time.Second)
		l.want(e.log(0), "1-5")
		l.wantGaps(e.log(0), "")
		w.runFor(orphanGrace)
		w.rest(5 * time.Second)
		w.expect(len(e.reports) == 0, "E was told of %+v", e.reports)
	})
}

// A record that is renewed while a greeting waits to be sent is part of it: the peer judges by what it was
// told before READY.
func TestGreetingHasTheRecordsThatReplacedOthers(t *testing.T) {
	config := func(i int) Config {
		cfg := simConfig()
		cfg.ID, cfg.Epoch = simID(i), 1
		return cfg
	}
	a, b := New(0, config(0)), New(0, config(1))
	a.AddPath(0, PathInfo{ID: 1, Peer: simID(1), Dialed: true, Link: 1})
	b.AddPath(0, PathInfo{ID: 1, Peer: simID(0)})
	a.SetPatterns(time.Second, []string{"a.>"})
	eachFrame(a.PollControl(time.Second, 1, nil), func(kind byte, body []byte) {
		if err := b.HandleControl(time.Second, 1, kind, body); err != nil {
			t.Fatal(err)
		}
		if kind == frameReady && !b.records[simID(0)].wants("a.x") {
			t.Error("after READY it is not known what the peer listens for")
		}
	})
}

// What a receiver was done with before it restarted is not missing, though the first neighbour it meets
// again did not hear of that.
func TestWhatAnEarlierRunHadDoneIsNotMissing(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.AckInterval = 20 * time.Second
		o, p1, _, r, links := diamond(w, cfg)
		o.emitMany(10, "a.x")
		w.rest(30 * time.Second)
		first := links[3]
		if r.parent(o) != p1 {
			first = links[2]
		}
		o.emitMany(5, "a.x")
		w.runFor(time.Second)
		r.want(o.log(0), "1-15")
		for _, l := range links[2:] {
			l.down = l != first
		}
		r.kill()
		w.runFor(time.Second)
		r.boot()
		w.runFor(3 * time.Second)
		r.wantGaps(o.log(0), "")
		for _, l := range links {
			l.down = false
		}
		o.emit(0, 8, "a.x")
		w.runFor(5 * time.Second)
		r.wantGaps(o.log(0), "")
		w.expect(r.inbox.log(o.log(0)).at == 16, "R is at %d", r.inbox.log(o.log(0)).at)
	})
}
