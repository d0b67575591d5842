package protocol

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestSurplusPathIsRetiredByTheSmallerID(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(a, b)
		w.link(b, a)
		for range 30 {
			a.emit(0, 8, "a.x")
			b.emit(0, 8, "a.x")
			w.runFor(5 * time.Millisecond)
		}
		w.settle(5 * time.Second)
		w.expect(len(w.conns) == 1, "%d connections", len(w.conns))
		closed := a.saw(EventClose)
		w.expect(len(closed) == 1 && closed[0].Code == CodeSurplus && len(b.saw(EventClose)) == 0,
			"A closed %+v, B %+v", closed, b.saw(EventClose))
		w.expect(len(a.saw(EventPeerDown))+len(b.saw(EventPeerDown)) == 0, "the peer went down")
		b.want(a.log(0), "1-30")
		a.want(b.log(0), "1-30")
	})
}

// One of two paths goes: the peer stays, and loses nothing.
func TestSecondPathTakesOver(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		l := w.link(b, a)
		w.settle(5 * time.Second)
		first := l.conn
		w.connect(b, a, l.id, 7)
		for range 40 {
			a.emit(0, 8, "a.x")
			w.runFor(w.between(0, 10*time.Millisecond))
			if w.chance(0.05) {
				first.cut()
			}
		}
		w.settle(20 * time.Second)
		b.want(a.log(0), "1-40")
		b.wantGaps(a.log(0), "")
	})
}

// twin is another machine under a node's id.
func (w *world) twin(n *simNode, epoch uint64) *simNode {
	cfg := n.cfg
	cfg.Epoch = epoch
	x := &simNode{w: w, name: n.name + "'", id: n.id, cfg: cfg, patterns: n.patterns, consumers: 1}
	x.cfg.Epoch -= simRun
	x.boot()
	return x
}

func TestOlderRunIsSuperseded(t *testing.T) {
	scene(t, func(w *world) {
		a, b, _ := pair(w, simConfig())
		newer := w.twin(b, b.cfg.Epoch+5)
		w.connect(newer, a, 99, 1)
		w.runFor(300 * time.Millisecond)
		closed := a.saw(EventClose)
		w.expect(len(closed) == 1 && closed[0].Code == CodeSuperseded, "closed: %+v", closed)
		a.emit(0, 8, "a.x")
		w.runFor(300 * time.Millisecond)
		newer.want(a.log(0), "1")
		b.want(a.log(0), "")

		older := w.twin(b, b.cfg.Epoch-1)
		w.connect(older, a, 98, 1)
		w.runFor(500 * time.Millisecond)
		older.want(a.log(0), "")
		w.expect(len(older.saw(EventPeerUp)) == 0, "the older run was let in")
	})
}

// greeting is the outcome of a path between two machines that have just met.
func greeting(t *testing.T, a, b *Machine, info PathInfo) (code Code) {
	t.Helper()
	info.ID = 1
	b.AddPath(0, PathInfo{ID: 1, Peer: a.cfg.ID})
	a.AddPath(0, info)
	for range 5 {
		for _, dir := range [][2]*Machine{{a, b}, {b, a}} {
			var closed error
			eachFrame(dir[0].PollControl(0, 1, nil), func(kind byte, body []byte) {
				if closed == nil {
					closed = dir[1].HandleControl(0, 1, kind, body)
				}
			})
			if ce, ok := closed.(*CloseError); ok {
				return ce.Code
			}
		}
	}
	for _, m := range []*Machine{a, b} {
		for e, ok := m.PollEvent(); ok; e, ok = m.PollEvent() {
			if e.Kind == EventClose {
				return e.Code
			}
		}
	}
	return CodeNormal
}

func TestRefusalsHaveTheirCodes(t *testing.T) {
	config := func(i int, change func(*Config)) Config {
		cfg := simConfig()
		cfg.ID, cfg.Epoch = simID(i), 1
		if change != nil {
			change(&cfg)
		}
		return cfg
	}
	for _, c := range []struct {
		name   string
		a, b   Config
		expect int // the id that a's transport proved
		code   Code
	}{
		{"accepted", config(0, nil), config(1, nil), 1, CodeNormal},
		{"channel", config(0, nil), config(1, func(c *Config) { c.Channel = "other" }), 1, CodeChannel},
		{"full", config(0, nil), config(1, func(c *Config) { c.MaxPeers = 0 }), 1, CodeFull},
		{"self", config(0, nil), config(1, nil), 0, CodeSelf},
		{"wrong id", config(0, nil), config(1, nil), 2, CodeWrongID},
		{"small batches", config(0, nil), config(1, func(c *Config) { c.MaxBatch = 10 }), 1, CodeViolation},
	} {
		got := greeting(t, New(0, c.a), New(0, c.b), PathInfo{Peer: simID(c.expect), Dialed: true, Link: 1})
		if got != c.code {
			t.Errorf("%s: code %d, not %d", c.name, got, c.code)
		}
	}
}

func TestOtherVersionIsRefusedWhateverElseItsHelloHas(t *testing.T) {
	m := New(0, Config{ID: simID(0), Epoch: 1, Lanes: 1, MaxPeers: 1, MaxOrigins: 1, Timeout: time.Second})
	m.AddPath(0, PathInfo{ID: 1, Peer: simID(1)})
	err := m.HandleControl(0, 1, frameHello, []byte{2, 9, 'w', 'h', 'o', ' ', 'k', 'n', 'o', 'w', 's'})
	if ce, ok := err.(*CloseError); !ok || ce.Code != CodeVersion {
		t.Errorf("got %v", err)
	}
}

func TestSilenceBeforeAndAfterTheHelloEndsAPath(t *testing.T) {
	scene(t, func(w *world) {
		a, b, l := pair(w, simConfig())
		l.conn.mute, l.down = true, true
		w.runFor(simConfig().Timeout + time.Second)
		for _, n := range []*simNode{a, b} {
			c := n.saw(EventClose)
			w.expect(len(c) == 1 && c[0].Code == CodeTimeout, "%s: closed %+v", n, c)
		}
		c := w.addNode(simConfig())
		w.connect(c, a, 9, 1).mute = true
		w.runFor(simConfig().HelloTimeout + time.Second)
		closed := c.saw(EventClose)
		w.expect(len(closed) == 1 && closed[0].Code == CodeHelloTimeout, "closed %+v", closed)
	})
}

// What waits does not wait for Timeout: a path that does not answer is raced.
func TestSilentPathIsRacedWhileSomethingWaits(t *testing.T) {
	scene(t, func(w *world) {
		a, b, l := pair(w, simConfig())
		a.emitMany(1, "a.x")
		w.runFor(time.Second)
		l.conn.mute = true
		a.emitMany(3, "a.x")
		w.runFor(2 * time.Second)
		b.want(a.log(0), "1-4")
		w.expect(len(a.saw(EventPeerDown)) == 0, "the peer was given up")
		w.rest(10 * time.Second)
	})
}

// Only one side has noticed that the better path is dead: the other must not close the path that
// replaces it for being surplus.
func TestDeadPathDoesNotShutOutALiveOne(t *testing.T) {
	for _, late := range []int{0, 1} {
		scene(t, func(w *world) {
			a, b := w.addNode(simConfig()), w.addNode(simConfig(), ">")
			join := func(nonce uint64, pref uint8) *simConn {
				c := w.connect(a, b, 9, nonce)
				c.ends[0].info.Pref, c.ends[1].info.Pref = pref, pref
				return c
			}
			better := join(1, 0)
			w.runFor(time.Second)
			better.mute = true
			better.ends[1-late].lost(CodeTimeout, "noticed early")
			a.emitMany(2, "a.x")
			join(2, 1)
			w.runFor(1200 * time.Millisecond)
			b.want(a.log(0), "1-2")
		})
	}
}

// At MaxOrigins a new origin is refused and said so; the others are not touched.
func TestMaxOriginsRefusesTheNewOnly(t *testing.T) {
	scene(t, func(w *world) {
		small := simConfig()
		small.MaxOrigins = 2
		hub := w.addNode(small, ">")
		var leaves []*simNode
		for range 4 {
			n := w.addNode(simConfig())
			w.link(n, hub)
			w.runFor(2 * time.Second)
			n.emit(0, 8, "a.x")
			w.runFor(time.Second)
			leaves = append(leaves, n)
		}
		for i, n := range leaves {
			n.emit(0, 8, "a.x")
			w.runFor(time.Second)
			hub.want(n.log(0), map[bool]string{true: "1-2", false: ""}[i < 2])
		}
		w.expect(len(hub.saw(EventRefused)) > 0, "refused without a word")
	})
}

// Where more are away than may be connected, the one that has been away longest makes room for a newcomer.
func TestNewcomerTakesThePlaceOfWhoIsAwayLongest(t *testing.T) {
	scene(t, func(w *world) {
		cfg := simConfig()
		cfg.MaxPeers = 2
		a := w.addNode(cfg, ">")
		come := func() *simNode {
			n := w.addNode(simConfig(), ">")
			w.link(n, a)
			w.runFor(2 * time.Second)
			return n
		}
		var away []*simNode
		for range 3 {
			n := come()
			n.kill()
			w.runFor(10 * time.Second)
			away = append(away, n)
		}
		w.expect(len(a.saw(EventForget)) == 0, "forgotten without need")
		a.emitMany(2, "a.x")
		newcomer := come()
		forgotten := a.saw(EventForget)
		w.expect(len(forgotten) == 1 && forgotten[0].Peer == away[0].id, "forgotten: %+v", forgotten)
		newcomer.want(a.log(0), "")
		for i, what := range []string{"", "1-2", "1-2"} { // the first is a newcomer again
			away[i].boot()
			w.runFor(2 * time.Second)
			away[i].want(a.log(0), what)
			away[i].kill()
			w.runFor(10 * time.Second)
		}
	})
}

// A batch that is too old is refused, and reported.
func TestBatchOlderThanMaxAgeIsAGap(t *testing.T) {
	h := newHostile()
	h.greet()
	log := h.log(0)
	h.mustData(frameStart, appendStart(nil, 0, log, 1, 0))
	age := uint64(h.m.cfg.maxAge()/time.Millisecond) + 1
	h.mustData(frameBatch, append(binary.AppendUvarint(binary.AppendUvarint([]byte{0}, 0), age), h.seal(log, 1, 3).Bytes()...))
	e := h.event(EventGap)
	if e.First != 1 || e.Last != 3 || e.Reason != ReasonExpired {
		t.Errorf("got %+v", e)
	}
}

// Whoever brings the first start of a log fixes where it begins, and a later run from
// before that brings nothing back.
func TestFirstStartFixesWhereALogBegins(t *testing.T) {
	scene(t, func(w *world) {
		o, a, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(a, o)
		w.link(b, o)
		w.settle(5 * time.Second)
		n := w.addNode(simConfig(), ">")
		w.link(n, a)
		w.link(n, b)
		for range 100 {
			o.emit(0, 8, "a.x")
			w.runFor(2 * time.Millisecond)
		}
		w.settle(5 * time.Second)
		got := n.inbox.log(o.log(0))
		begin := n.m.logs[o.log(0)].begin
		w.expect(len(got.gaps) == 0 && len(got.ranges) == int(100-begin), "%d delivered after %d, reported %q", len(got.ranges), begin, ranges(got.gaps))
	})
}

// Confirmed means that nobody reachable can still judge by the patterns of before.
func TestConfirmedMeansThatEveryoneKnows(t *testing.T) {
	scene(t, func(w *world) {
		var nodes []*simNode
		for i := range 6 {
			nodes = append(nodes, w.addNode(simConfig()))
			if i > 0 {
				w.link(nodes[i], nodes[i-1])
			}
		}
		w.link(nodes[0], nodes[3]) // a ring with two tails
		w.settle(10 * time.Second)
		for _, n := range nodes {
			want := n.setExtra("a.x", "b.*")
			for n.m.Confirmed() < want {
				w.runFor(time.Millisecond)
			}
			for _, other := range nodes {
				w.expect(len(other.m.records[n.id].patterns) == 2, "%s does not know what %s wants", other, n)
			}
		}
	})
}

// The clock went back between two runs: the later one finds out, whoever dials, and loses nothing.
func TestEpochIsRenewedWhenTheClockWentBack(t *testing.T) {
	for _, dials := range []bool{false, true} {
		scene(t, func(w *world) {
			a, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
			if dials {
				w.link(b, a)
			} else {
				w.link(a, b)
			}
			b.emitMany(3, "a.x")
			w.rest(5 * time.Second)
			first := b.log(0)
			b.kill()
			w.runFor(time.Second)
			b.cfg.Epoch -= 2 * simRun
			b.boot()
			b.emitMany(4, "a.x")
			w.rest(20 * time.Second)
			w.expect(b.cfg.Epoch == first.Epoch+1, "epoch %d after %d", b.cfg.Epoch, first.Epoch)
			a.want(first, "1-3")
			a.want(b.log(0), "1-4")
			w.checkComplete()
		})
	}
}

// comeBack starts another run of a node whose clock has gone back, once nobody has its record any more.
func (n *simNode) comeBack() {
	n.kill()
	n.w.runFor(11 * time.Second)
	n.heldUp = false
	n.cfg.Epoch -= 2 * simRun
	n.boot()
}

// The clock went back twice, and the run between emitted nothing: its epoch is not taken again, and what
// it was not done with comes again.
func TestEpochOfASilentRunIsNotUsedAgain(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
		w.link(a, b)
		b.emitMany(3, "a.x")
		w.rest(5 * time.Second)
		b.comeBack()
		w.rest(20 * time.Second)
		second := b.cfg.Epoch
		b.hold()
		a.emitMany(5, "a.x")
		w.runFor(time.Second)
		b.want(a.log(0), "1-5")
		b.comeBack()
		w.rest(20 * time.Second)
		w.expect(b.cfg.Epoch > second, "epoch %d after %d", b.cfg.Epoch, second)
		b.want(a.log(0), "1-5")
	})
}

// Of two peers the one that is met first does not know of the run before: its epoch is not taken again, for the
// other does.
func TestEpochThatOnlyTheSecondPeerKnowsIsNotUsedAgain(t *testing.T) {
	for _, leaps := range [][2]uint64{{7, 3}, {3, 7}} {
		scene(t, func(w *world) {
			a, v, b := w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">"), w.addNode(simConfig(), ">")
			va, vb := w.link(v, a), w.link(v, b)
			v.emitMany(3, "a.x")
			w.rest(5 * time.Second)

			vb.down, v.cfg.Leap = true, leaps[0]
			v.comeBack()
			v.emitMany(9, "a.x")
			w.runFor(10 * time.Second)
			second := v.log(0)
			a.want(second, "1-9")

			va.down, vb.down, v.cfg.Leap = true, false, leaps[1]
			v.comeBack()
			w.runFor(5 * time.Second)
			w.expect(len(b.m.Connected()) == 1, "B has not met the third run")
			va.down = false
			v.emitMany(4, "a.x")
			w.rest(20 * time.Second)
			w.expect(v.log(0) != second, "two runs have epoch %d", second.Epoch)
			for _, n := range []*simNode{a, b} {
				n.want(v.log(0), "1-4")
				w.expect(len(n.saw(EventClose)) == 0, "%s closed %+v", n, n.saw(EventClose))
			}
		})
	}
}

// Interest that was confirmed while a node was alone is not, once others are in reach, before they
// know of it.
func TestConfirmedAloneIsNotConfirmedForNewcomers(t *testing.T) {
	scene(t, func(w *world) {
		a, b := w.addNode(simConfig(), "a.>"), w.addNode(simConfig())
		w.expect(a.m.Confirmed() == a.m.patternsVersion, "not confirmed while alone")
		w.link(a, b)
		for ; len(a.m.Connected()) == 0 || a.m.Confirmed() != a.m.patternsVersion; w.runFor(time.Millisecond) {
			w.expect(w.now < 5*time.Second, "never confirmed")
		}
		r := b.m.records[a.id]
		w.expect(r != nil && r.version == a.m.self.version, "confirmed, and B has %+v", r)
	})
}

// An epoch that is no clock's would leave no room for the versions of the record.
func TestKnownEpochThatIsNoClocksIsNotOutrun(t *testing.T) {
	h := newHostile()
	m := New(0, h.m.cfg)
	m.AddPath(0, PathInfo{ID: 1, Peer: simID(1)})
	hi := hello{min: Version, max: Version, node: simID(1), epoch: 1, known: epochSlack - 9, maxBatch: 1 << 20, timeout: time.Minute, channel: "sim"}
	if err := m.HandleControl(0, 1, frameHello, hi.append(nil)); err != nil || m.Epoch() != 1 {
		t.Errorf("epoch %d, %v", m.Epoch(), err)
	}
}

// A run hears that another went before it until it has answered, though its first paths are lost before it read anything.
func TestRunHearsOfTheOneBeforeUntilItHasAnswered(t *testing.T) {
	for _, dialed := range []bool{false, true} {
		h := newHostile()
		next := PathID(10)
		connect := func(epoch uint64) (known uint64) {
			next++
			h.m.AddPath(h.now, PathInfo{ID: next, Peer: simID(1), Dialed: dialed, Link: 1})
			if !dialed {
				h.helloOf(next, simID(1), epoch)
			}
			for _, body := range h.said(next, frameHello) {
				hi, err := parseHello(body)
				if err != nil {
					t.Fatal(err)
				}
				known = hi.known
			}
			if dialed {
				h.helloOf(next, simID(1), epoch)
			}
			h.mustControl(next, frameReady, nil)
			return known
		}
		lose := func() {
			h.m.PathClosed(h.now, next, CodeTimeout, "")
			h.drain()
		}
		for i, c := range []struct {
			epoch, known uint64
			answers      bool
		}{{5, 0, true}, {5, 5, true}, {7, 5, false}, {7, 5, false}, {7, 5, true}, {7, 7, true}} {
			if known := connect(c.epoch); known != c.known {
				t.Errorf("dialed %v: run %d hears of %d on path %d, not %d", dialed, c.epoch, known, i, c.known)
			}
			if c.answers {
				h.mustControl(next, framePong, uvarints(probeToken))
			}
			lose()
		}
	}
}
