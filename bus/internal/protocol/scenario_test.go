package protocol

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// scene plays a scenario several times, each with delays and cuts of bytes of its own.
func scene(t *testing.T, play func(w *world)) {
	t.Helper()
	for seed := range uint64(20) {
		if err := try(seed, play); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func try(seed uint64, play func(w *world)) (err error) {
	w := newWorld(seed)
	defer func() {
		switch p := recover().(type) {
		case nil:
		case simFailure:
			err = errors.New(p.text)
		default:
			err = fmt.Errorf("at %v: panic: %v\n%s", w.now, p, debug.Stack())
		}
	}()
	play(w)
	return nil
}

// want fails the scene unless a node was delivered exactly these events of a log, and no
// others: "1-3 5" are 1, 2, 3 and 5.
func (n *simNode) want(id codec.LogID, text string) {
	if got := ranges(n.inbox.log(id).ranges); got != text {
		n.w.failf("%s was delivered %q of %v, not %q", n, got, id, text)
	}
}

// wantGaps does the same for what the node reported missing.
func (n *simNode) wantGaps(id codec.LogID, text string) {
	if got := ranges(n.inbox.log(id).gaps); got != text {
		n.w.failf("%s reported %q of %v, not %q", n, got, id, text)
	}
}

// ranges writes positions down, neighbours joined.
func ranges(list []span) string {
	var joined []span
	for _, s := range list {
		if n := len(joined); n > 0 && joined[n-1].last+1 == s.first {
			joined[n-1].last = s.last
		} else {
			joined = append(joined, s)
		}
	}
	var text []string
	for _, s := range joined {
		if s.first == s.last {
			text = append(text, fmt.Sprint(s.first))
		} else {
			text = append(text, fmt.Sprintf("%d-%d", s.first, s.last))
		}
	}
	return strings.Join(text, " ")
}

func (w *world) expect(ok bool, format string, args ...any) {
	if !ok {
		w.failf(format, args...)
	}
}

// pair is two nodes that want everything, the second connected to the first.
func pair(w *world, cfg Config) (a, b *simNode, l *simLink) {
	a, b = w.addNode(cfg, ">"), w.addNode(cfg, ">")
	l = w.link(b, a)
	w.rest(5 * time.Second)
	return a, b, l
}

// chain is a, b and c, each connected to the one before; only the ends listen.
func chain(w *world, cfg Config) (a, b, c *simNode, ab, bc *simLink) {
	a, b, c = w.addNode(cfg, ">"), w.addNode(cfg), w.addNode(cfg, ">")
	ab, bc = w.link(b, a), w.link(c, b)
	w.rest(5 * time.Second)
	return a, b, c, ab, bc
}

// rest lets time pass until the network is at rest, and stays so.
func (w *world) rest(limit time.Duration) {
	w.settle(limit)
	w.runFor(time.Second)
	w.settle(limit)
}

func (n *simNode) emitMany(count int, topic string) {
	for range count {
		n.emit(0, 8, topic)
	}
}

func TestFirstPeerGetsAllThatIsHeld(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig()), w.addNode(simConfig(), ">")
		a.emitMany(5, "a.x")
		w.link(b, a)
		w.rest(5 * time.Second)
		b.want(a.log(0), "1-5")
		b.wantGaps(a.log(0), "")
	})
}

func TestFirstPeerIsToldWhatIsNoLongerHeld(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.BufferMax = 5
		a, b := w.addNode(cfg), w.addNode(cfg, ">")
		a.emitMany(20, "a.x")
		w.link(b, a)
		w.rest(5 * time.Second)
		b.want(a.log(0), "16-20")
		b.wantGaps(a.log(0), "1-15")
		w.runFor(time.Second)
		r := a.reports
		w.expect(len(r) == 1 && r[0].Peer == b.id && r[0].Last == 15 && r[0].Reason == ReasonBuffer, "reports: %+v", r)
	})
}

func TestNewcomerStartsAtTheHead(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		a.emitMany(5, "a.x")
		w.rest(5 * time.Second)
		c := w.addNode(simConfig(), ">")
		w.link(c, b)
		w.rest(5 * time.Second)
		a.emitMany(2, "a.x")
		w.rest(5 * time.Second)
		c.want(a.log(0), "6-7")
		c.wantGaps(a.log(0), "")
		b.want(a.log(0), "1-7")
	})
}

func TestPeerIsOwedEventsFromItsLinkOn(t *testing.T) {
	scene(t, func(w *world) {
		a, _, _ := pair(w, simConfig())
		a.emitMany(3, "a.x")
		c := w.addNode(simConfig(), ">")
		c.kill()
		w.link(a, c)
		a.emitMany(2, "a.x")
		w.runFor(3 * time.Second)
		c.boot()
		w.rest(5 * time.Second)
		c.want(a.log(0), "4-5")
		c.wantGaps(a.log(0), "")
	})
}

func TestReturningPeerGetsWhatItMissed(t *testing.T) {
	scene(t, func(w *world) {
		a, b, l := pair(w, simConfig())
		a.emitMany(3, "a.x")
		w.runFor(w.between(0, 50*time.Millisecond))
		l.outage(20 * time.Second)
		a.emitMany(3, "a.x")
		w.runFor(time.Second)
		a.emitMany(3, "a.x")
		w.rest(40 * time.Second)
		b.want(a.log(0), "1-9")
		b.wantGaps(a.log(0), "")
	})
}

// Interest survives an absence beyond the neighbour: what it keeps for a peer
// that is away, it also asks for.
func TestPeerBehindARelayGetsWhatItMissed(t *testing.T) {
	scene(t, func(w *world) {
		a, _, c, _, bc := chain(w, simConfig())
		bc.outage(15 * time.Second)
		for range 40 {
			a.emit(0, 8, "a.x")
			w.runFor(500 * time.Millisecond)
		}
		w.rest(20 * time.Second)
		c.want(a.log(0), "1-40")
		c.wantGaps(a.log(0), "")
	})
}

func TestRestartedReceiverResumesAtDone(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		b.hold()
		a.emitMany(2, "a.x")
		w.runFor(2 * time.Second)
		b.want(a.log(0), "1-5")
		b.kill()
		a.emitMany(1, "a.x")
		w.runFor(time.Second)
		b.heldUp = false
		b.boot()
		w.rest(10 * time.Second)
		b.want(a.log(0), "4-6")
		b.wantGaps(a.log(0), "")
	})
}

func TestRestartedOriginsOldLogIsDeliveredToo(t *testing.T) {
	scene(t, func(w *world) {
		a, _, c, _, bc := chain(w, simConfig())
		bc.outage(10 * time.Second)
		old := a.log(0)
		a.emitMany(3, "a.x")
		w.runFor(2 * time.Second)
		a.kill()
		w.runFor(time.Second)
		a.boot()
		a.emitMany(2, "a.y")
		w.rest(30 * time.Second)
		c.want(old, "1-3")
		c.want(a.log(0), "1-2")
	})
}

func TestSkipIsConflatedAndLeavesNoGap(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
		w.link(b, a)
		w.rest(5 * time.Second)
		a.emitMany(1, "a.x")
		a.emitMany(500, "b.x")
		a.emitMany(1, "a.x")
		a.emitMany(300, "b.x")
		w.rest(5 * time.Second)
		b.want(a.log(0), "1 502")
		b.wantGaps(a.log(0), "")
		w.expect(w.kinds[frameSkip] <= 2, "%d skips sent", w.kinds[frameSkip])
	})
}

func TestUninterestedChildHoldsNothingBack(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig()), w.addNode(simConfig())
		w.link(b, a)
		w.rest(5 * time.Second)
		before := w.frames
		for range 50 {
			a.emitMany(20, "b.x")
			w.runFor(10 * time.Millisecond)
		}
		w.rest(2 * time.Second) // empty logs, though nobody listens
		b.want(a.log(0), "")
		w.runFor(time.Second)
		w.expect(b.m.logs[a.log(0)].have == 1000, "the child is at %d", b.m.logs[a.log(0)].have)
		w.expect(w.frames-before < 80, "%d frames for nothing", w.frames-before)
	})
}

func TestFinReachesEveryReceiver(t *testing.T) {
	scene(t, func(w *world) {
		a, b, c, _, _ := chain(w, simConfig())
		a.emitMany(3, "a.x")
		w.runFor(w.between(0, 300*time.Millisecond))
		a.m.Finish(w.now)
		a.pump()
		w.rest(5 * time.Second)
		w.runFor(time.Second)
		for _, n := range []*simNode{b, c} {
			l := n.m.logs[a.log(0)]
			w.expect(l.finished && l.last == 3, "%s: finished %v at %d", n, l.finished, l.last)
		}
	})
}

// Nothing of the log was sent on the path that its end is told on.
func TestFinIsToldAfterAReconnect(t *testing.T) {
	scene(t, func(w *world) {
		a, b, l := pair(w, simConfig())
		a.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		l.outage(time.Second)
		w.rest(10 * time.Second)
		a.m.Finish(w.now)
		a.pump()
		w.runFor(time.Second)
		w.expect(b.m.logs[a.log(0)].finished, "no fin")
	})
}

// The end of a log may be events that the receiver does not want.
func TestFinFollowsASkip(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
		w.link(b, a)
		w.rest(5 * time.Second)
		b.hold()
		for range 8 { // more than fits into the window
			a.emit(0, 16<<10, "a.x")
			a.emit(0, 8, "b.x")
		}
		a.m.Finish(w.now)
		a.pump()
		w.runFor(time.Second)
		b.letGo()
		w.rest(5 * time.Second)
		w.runFor(time.Second)
		w.expect(b.m.logs[a.log(0)].finished, "no fin")
	})
}

func TestDrainAndReceiptsWaitForHandlers(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		b.hold()
		last := a.emit(0, 8, "a.x", "a.y")
		w.runFor(2 * time.Second)
		if peers, done := a.m.DoneAt(0, last); peers != 1 || done {
			w.failf("%d peers, done %v, while a handler runs", peers, done)
		}
		want := []Pending{{Peer: b.id, Events: 2}}
		w.expect(slices.Equal(a.m.Pending(w.now, 0), want), "pending: %+v", a.m.Pending(w.now, 0))
		b.letGo()
		w.runFor(time.Second)
		if _, done := a.m.DoneAt(0, last); !done || len(a.m.Pending(w.now, 0)) > 0 {
			w.failf("not done, pending: %+v", a.m.Pending(w.now, 0))
		}
	})
}

func TestVanishedPeerIsPendingForAGraceOnly(t *testing.T) {
	scene(t, func(w *world) {
		a, b, l := pair(w, simConfig())
		l.outage(time.Minute)
		w.runFor(time.Second)
		a.emit(0, 8, "a.x")
		w.expect(len(a.m.Pending(w.now, 5*time.Second)) == 1, "nothing pending right after the loss")
		w.expect(len(a.m.Pending(w.now, 500*time.Millisecond)) == 0, "still pending after the grace")
		w.rest(2 * time.Minute)
		b.want(a.log(0), "1")
	})
}
