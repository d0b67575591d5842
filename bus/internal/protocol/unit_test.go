package protocol

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
	"pgregory.net/rapid"
)

// A ring is a queue.
func TestLeastBatch(t *testing.T) {
	b := codec.NewBuilder(codec.LogID{}, 1)
	b.Append("x", codec.EncodingRaw, 0, nil, nil)
	if n := len(b.Seal(nil).Bytes()); n != leastBatch {
		t.Errorf("%d bytes, not %d", n, leastBatch)
	}
}

func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring[int]
		var model []int
		for i, op := range rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3000).Draw(t, "ops") {
			switch {
			case op < 2:
				*r.push(-1) = i
				model = append(model, i)
			case len(model) > 0 && op == 2:
				r.pop()
				model = model[1:]
			case len(model) > 0:
				r.popBack()
				model = model[:len(model)-1]
			}
			if r.len() != len(model) {
				t.Fatalf("%d elements, not %d", r.len(), len(model))
			}
			for i, want := range model {
				if *r.at(i) != want {
					t.Fatalf("element %d is %d, not %d", i, *r.at(i), want)
				}
			}
			if len(model) > 20 {
				model, r = nil, ring[int]{}
			}
		}
	})
}

func TestLargeRingShrinksWhenEmpty(t *testing.T) {
	var r ring[int]
	for i := range 5000 {
		r.push(i)
	}
	for range 5000 {
		r.pop()
	}
	if cap(r.buf) > 1024 {
		t.Errorf("keeps room for %d", cap(r.buf))
	}
}

// Timers fire when they are due, the earliest first, and next is always the earliest.
func TestTimersAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h timers
		var fired []int
		armed := map[int]time.Duration{}
		all := make([]*timer, 12)
		for i := range all {
			all[i] = &timer{fire: func(time.Duration) { fired = append(fired, i) }}
		}
		at := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.IntRange(0, 40).Draw(t, "at")) })
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "timer")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				d := at.Draw(t, "d")
				h.set(all[i], d)
				armed[i] = d
			case 1:
				d := at.Draw(t, "d")
				h.lower(all[i], d)
				if old, ok := armed[i]; !ok || d < old {
					armed[i] = d
				}
			case 2:
				h.stop(all[i])
				delete(armed, i)
			case 3:
				now := at.Draw(t, "now")
				fired = nil
				h.run(now)
				if !slices.IsSortedFunc(fired, func(a, b int) int { return int(armed[a] - armed[b]) }) {
					t.Fatalf("fired %v, armed %v", fired, armed)
				}
				for _, i := range fired {
					if armed[i] > now {
						t.Fatalf("timer %d fired at %v, due at %v", i, now, armed[i])
					}
					delete(armed, i)
				}
			}
			earliest, any := time.Duration(1<<62), false
			for _, d := range armed {
				earliest, any = min(earliest, d), true
			}
			if got, ok := h.next(); ok != any || ok && got != earliest {
				t.Fatalf("next is %v %v, armed %v", got, ok, armed)
			}
		}
	})
}

// A timer that is set again when it fires, to a time already past, does not keep run from ending.
func TestTimerThatRearmsItselfWaitsForTheNextRun(t *testing.T) {
	var h timers
	count := 0
	tm := &timer{}
	tm.fire = func(now time.Duration) { count++; h.set(tm, now-1) }
	h.set(tm, 5)
	h.run(10)
	if at, ok := h.next(); count != 1 || !ok || at != 9 {
		t.Errorf("fired %d times, next at %v", count, at)
	}
}

// What is live is counted as a walk over the entries would, wherever live goes.
func TestSetLiveCountsWhatIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &log{id: codec.LogID{}}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0, 1:
				n := uint64(rapid.IntRange(1, 9).Draw(t, "count"))
				kind := entryKind(rapid.IntRange(0, 2).Draw(t, "kind"))
				e := entry{kind: kind, first: l.have + 1, last: l.have + n}
				if kind == entryBatch {
					e.size = int64(n * 10)
				}
				l.push(e)
			case 2:
				l.pushSkip(l.have+1, 0, 0)
			case 3:
				if l.entries.len() > 0 {
					l.popFront()
				}
			case 4:
				l.setLive(uint64(rapid.IntRange(0, int(l.have)+3).Draw(t, "live")))
			}
			var events, size int64
			for i := range l.entries.len() {
				if e := l.entries.at(i); e.last > l.live {
					events, size = events+e.events(), size+e.size
				}
			}
			if events != l.liveEvents || size != l.liveBytes || l.live < l.base || l.live > l.have {
				t.Fatalf("live %d of %d–%d: %d events, %d bytes counted, %d and %d there", l.live, l.base, l.have, l.liveEvents, l.liveBytes, events, size)
			}
			for pos := l.base; pos <= l.have; pos++ {
				e := l.at(pos)
				if (e == nil) != (pos == l.have) || e != nil && (e.last <= pos || e.first > pos+1) {
					t.Fatalf("after %d comes %+v", pos, e)
				}
			}
		}
	})
}

// What was lost is never forgotten, and nothing else is called lost.
func TestAddLostAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 60
		var model [size]Reason
		c := &cursor{log: &log{}, peer: &peer{}}
		for range rapid.IntRange(0, 25).Draw(t, "ranges") {
			first := rapid.IntRange(1, size-8).Draw(t, "first")
			s := span{uint64(first), uint64(first + rapid.IntRange(0, 7).Draw(t, "more")), Reason(rapid.IntRange(1, 3).Draw(t, "reason"))}
			c.addLost(s)
			for i := s.first; i <= s.last; i++ {
				model[i] = s.reason
			}
			if !slices.IsSortedFunc(c.lost, func(a, b span) int { return int(a.first) - int(b.first) }) {
				t.Fatalf("out of order: %v", c.lost)
			}
			for i := range uint64(size) {
				covered := slices.ContainsFunc(c.lost, func(s span) bool { return s.first <= i && i <= s.last })
				if covered != (model[i] != 0) {
					t.Fatalf("%d is lost: %v, said so: %v, in %v", i, model[i] != 0, covered, c.lost)
				}
			}
		}
	})
}

// Past maxLost ranges it says rather too much than too little.
func TestAddLostIsBounded(t *testing.T) {
	c := &cursor{log: &log{}, peer: &peer{}}
	const begin = 1_000_000
	for i := range uint64(5000) {
		c.addLost(span{begin + 3*i, begin + 3*i, ReasonBuffer})
	}
	if n := len(c.lost); n > maxLost || c.lost[n-1].last != begin+3*4999 {
		t.Errorf("%d ranges, the last %+v", n, c.lost[n-1])
	}
	for i := uint64(5000); i > 0; i-- { // from the other end
		c.addLost(span{3 * i, 3 * i, ReasonBuffer})
	}
	if n := len(c.lost); n > maxLost || c.lost[0].first != 3 {
		t.Errorf("%d ranges, the first %+v", n, c.lost[0])
	}
}

// However much is judged, and asked for again after it was let go of, few judgements are told apart; and what nobody
// remembers was never judged.
func TestJudgementsAreBounded(t *testing.T) {
	c := &cursor{log: &log{base: 1000}, peer: &peer{}, cleared: 20}
	for n := range uint64(500) {
		c.judge(21+n, 1+n)
	}
	for pos := range uint64(20) {
		c.rewind(pos)
		c.freed(c.log.base)
		if n := len(c.skips); n > maxMarks {
			t.Fatalf("%d judgements", n)
		}
		if known := c.judgedAt(20); known != 0 {
			t.Fatalf("what was let go of was judged at %d", known)
		}
	}
}

// No two logs have the same alias, and aliases stay below the number of logs.
func TestAliasesAreDense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAliases()
		logs := make([]log, 8)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			l := &logs[rapid.IntRange(0, len(logs)-1).Draw(t, "log")]
			if rapid.Bool().Draw(t, "drop") {
				a.drop(l)
				continue
			}
			name := a.of(l)
			if name != a.of(l) || name >= uint64(len(logs)) {
				t.Fatalf("alias %d", name)
			}
			for other, n := range a.names {
				if other != l && n == name {
					t.Fatalf("alias %d twice", name)
				}
			}
		}
	})
}

func TestReaderStopsAtTheFirstFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
		read func(r *reader)
	}{
		{"varint cut short", []byte{0x80}, func(r *reader) { r.uvarint() }},
		{"varint too long", bytes.Repeat([]byte{0xff}, 11), func(r *reader) { r.uvarint() }},
		{"number out of range", binary.AppendUvarint(nil, epochSlack), func(r *reader) { r.seq() }},
		{"no byte", nil, func(r *reader) { r.byte() }},
		{"id cut short", make([]byte, 15), func(r *reader) { r.id() }},
		{"text cut short", []byte{5, 'a'}, func(r *reader) { r.text(10) }},
		{"text too long", []byte{5, 'a', 'a', 'a', 'a', 'a'}, func(r *reader) { r.text(4) }},
		{"too many items", []byte{9, 1, 2, 3}, func(r *reader) { r.count(1, 5) }},
		{"items that cannot be there", []byte{9, 1, 2, 3}, func(r *reader) { r.count(1, 50) }},
		{"lane", append(make([]byte, 17), 64), func(r *reader) { r.log() }},
	} {
		r := reader{b: c.body}
		c.read(&r)
		err := r.end("test")
		if ce, ok := err.(*CloseError); !ok || ce.Code != CodeViolation {
			t.Errorf("%s: %v", c.name, err)
		}
		if r.byte() != 0 || r.uvarint() != 0 || r.text(9) != "" || r.count(1, 9) != 0 {
			t.Errorf("%s: fields after the failure", c.name)
		}
	}
}

func TestBytesLeftOverAreAViolation(t *testing.T) {
	r := reader{b: []byte{1, 2}}
	r.byte()
	if ce, ok := r.end("test").(*CloseError); !ok || ce.Code != CodeViolation {
		t.Error("not noticed")
	}
}

func TestHelloAndRecordRoundTrip(t *testing.T) {
	h := hello{min: 1, max: 3, node: simID(4), epoch: 9, known: 8, nonce: 7, pref: 2, maxBatch: 1 << 20, timeout: time.Minute, name: "n", channel: "ch"}
	if got, err := parseHello(h.append(nil)); err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
	rec := &record{version: recordVersion{simID(1), 2, 3}, name: "x", patterns: []string{"a.*", ">"}}
	rec.neighbours = append(rec.neighbours, simID(2), simID(3))
	got, err := parseRecord(rec.append(nil))
	if err != nil || got.version != rec.version || got.name != rec.name || !slices.Equal(got.neighbours, rec.neighbours) || !slices.Equal(got.patterns, rec.patterns) {
		t.Errorf("got %+v, %v", got, err)
	}
	rec.patterns = []string{"a..b"}
	if _, err := parseRecord(rec.append(nil)); err == nil {
		t.Error("a pattern that is none was taken")
	}
}

// A log gets the credit for what its sender can send in four round trips, also where acknowledgements are so frequent that most of it
// always seems to be left: else a long link would carry no more than a few batches a round trip, whatever its bandwidth. It does not
// get much more than that.
func TestCreditIsThatOfFourRoundTrips(t *testing.T) {
	const size, roundTrip = 16 << 10, 40 * time.Millisecond
	for _, mbit := range []int64{1, 10, 100, 200} {
		h := newHostile()
		h.m.cfg.MaxBatch, h.m.pool, h.eager = 1<<20, 64<<20, true
		h.greet()
		h.m.PathClosed(h.now, h.honest, CodeNormal, "")
		h.m.forgetPeer(h.now, h.m.peers[simID(2)])
		h.m.paths[h.path].peer.rtt = roundTrip
		h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
		each := time.Duration(size * 8 * int64(time.Second) / (mbit * 1e6))
		for i, until := uint64(0), h.now+2*time.Second; h.now < until; i++ {
			b := sealed(h.log(1), i+1, 1, size, "a.x")
			h.mustData(frameBatch, append(uvarints(0, i, 0), b.Bytes()...))
			h.now += each
			h.m.Tick(h.now)
			h.m.PollControl(h.now, h.path, nil)
			h.drain()
		}
		once := mbit * 1e6 / 8 * int64(roundTrip) / int64(time.Second)
		got := reserveWindow + h.m.logs[h.log(1)].grant
		t.Logf("at %d Mbit/s: %d KiB of credit, %d KiB come in a round trip", mbit, got>>10, once>>10)
		most := 8 * (once + mbit*1e6/8*int64(ackPace)/int64(time.Second) + size) // for it doubles
		if got < 4*once && got < maxWindow || got > max(2*reserveWindow, most) {
			t.Errorf("at %d Mbit/s: %d bytes of credit, %d come in a round trip", mbit, got, once)
		}
	}
}

// An event that comes alone is acknowledged once, with its end; before that only if its handler takes longer than the pace of
// acknowledgements.
func TestLoneEventIsAcknowledgedOnce(t *testing.T) {
	h := newHostile()
	h.m.cfg.MaxBatch = 1 << 20
	h.greet()
	h.m.PathClosed(h.now, h.honest, CodeNormal, "")
	h.m.forgetPeer(h.now, h.m.peers[simID(2)])
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	vectors := func() (n int) {
		h.m.Tick(h.now)
		h.drain()
		eachFrame(h.m.PollControl(h.now, h.path, nil), func(kind byte, _ []byte) {
			if kind == frameVector {
				n++
			}
		})
		return n
	}
	for i := range uint64(20) {
		h.now += 20 * time.Millisecond
		vectors() // what was left over
		b := sealed(h.log(1), i+1, 1, 100, "a.x")
		h.mustData(frameBatch, append(uvarints(0, i, 0), b.Bytes()...))
		early := vectors()
		h.now += ackPace - time.Millisecond
		early += vectors()
		slow := i%2 == 1
		if slow {
			h.now += time.Millisecond
			if vectors() != 1 {
				t.Fatalf("event %d: nothing was said of it in %v", i, ackPace)
			}
			h.now += ackPace
		}
		h.m.Release(h.now, h.log(1), i+1)
		if i == 0 { // the first vector of a log gives credit, which is urgent
			continue
		}
		if end := vectors(); early != 0 || end != 1 {
			t.Fatalf("event %d: %d vectors while its handler ran, %d when it was done", i, early, end)
		}
	}
}

// A batch that fills the reserve by itself must not keep its log from getting more credit: on a long link
// that would be one batch a round trip.
func TestCreditGrowsWithBatchesAsLargeAsTheReserve(t *testing.T) {
	h := newHostile()
	h.m.cfg.MaxBatch, h.m.pool, h.eager = 1<<20, 1<<20, true
	h.greet()
	h.m.PathClosed(h.now, h.honest, CodeNormal, "")
	h.m.forgetPeer(h.now, h.m.peers[simID(2)])
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	for i := range uint64(4) {
		b := sealed(h.log(1), i+1, 1, reserveWindow, "a.x")
		h.mustData(frameBatch, append(uvarints(0, i, 0), b.Bytes()...))
		h.m.PollControl(h.now, h.path, nil)
		h.now += time.Second
		h.m.Tick(h.now)
		h.drain()
	}
	if l := h.m.logs[h.log(1)]; l.grant == 0 {
		t.Errorf("the log has %d bytes of credit beyond the reserve, after %d bytes", l.grant, l.received)
	}
}
