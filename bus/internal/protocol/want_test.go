package protocol

import (
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// polling has the machine's peers read from now on.
func (h *hostile) polling() {
	h.polls = true
	h.said(h.path, 0)
	h.said(h.honest, 0)
}

// said polls a control stream, and returns the bodies of the frames of one kind.
func (h *hostile) said(path PathID, kind byte) (bodies [][]byte) {
	for b := h.m.PollControl(h.now, path, nil); len(b) > 0; b = h.m.PollControl(h.now, path, nil) {
		eachFrame(b, func(k byte, body []byte) {
			if k == kind {
				bodies = append(bodies, body)
			}
		})
	}
	h.drain()
	return bodies
}

// tick lets time pass.
func (h *hostile) tick(d time.Duration) {
	for end := h.now + d; h.now < end; h.drain() {
		h.now += 10 * time.Millisecond
		h.m.Tick(h.now)
	}
}

// lose has the peer say that the first event of so many logs is lost.
func (h *hostile) lose(logs int) {
	h.m.cfg.MaxOrigins = logs
	for i := range uint64(logs) {
		h.mustData(frameStart, appendStart(nil, i, h.log(i+1), 1, 0))
		h.mustData(frameAbsent, append(uvarints(i, 0, 1, 1), byte(ReasonGone)))
	}
}

// questionOf is what a WANT asks for.
func questionOf(body []byte) wantID {
	r := reader{b: body}
	r.log()
	r.seq()
	return r.wantID()
}

// A peer is asked so much at a time, and goes on to be asked as it answers. It does not matter that others do not.
func TestQuestionsTakeTurns(t *testing.T) {
	const logs = 100
	h := newHostile()
	h.greet()
	h.lose(logs)
	asked := h.said(h.path, frameWant)
	for n := 0; n < logs; n++ {
		if len(asked) != min(maxAsked, logs-n) {
			t.Fatalf("after %d answers, %d questions are open", n, len(asked))
		}
		h.mustControl(h.path, frameNone, none{questionOf(asked[0]), 0}.append(nil))
		asked = append(asked[1:], h.said(h.path, frameWant)...)
	}
	if n := len(h.said(h.honest, frameWant)); n != maxAsked {
		t.Errorf("the other was asked %d questions", n)
	}
	if g := h.m.Stats().Gaps; g != 0 {
		t.Errorf("%d gaps although the other has not answered", g)
	}
}

// Nobody answers: the search for all ends after GapWait.
func TestQuestionsThatNobodyAnswersEnd(t *testing.T) {
	const logs = 100
	h := newHostile()
	h.greet()
	h.polling()
	h.lose(logs)
	h.tick(h.m.cfg.GapWait - 10*time.Millisecond)
	if g := h.m.Stats().Gaps; g != 0 {
		t.Errorf("%d gaps before GapWait", g)
	}
	h.tick(20 * time.Millisecond)
	if g := h.m.Stats().Gaps; g != logs {
		t.Errorf("%d gaps after GapWait", g)
	}
	for _, q := range h.m.peerList {
		if q.asked != 0 || len(q.active.wants) != 0 {
			t.Errorf("%d questions are open, and %d wait", q.asked, len(q.active.wants))
		}
	}
}

// A link is so slow that the answers take longer than GapWait, but they come.
func TestSearchGoesOnWhileQuestionsAreAnswered(t *testing.T) {
	const logs = 100
	h := newHostile()
	h.greet()
	h.mustControl(h.honest, frameBye, uvarints(0))
	h.m.PathClosed(h.now, h.honest, CodeNormal, "")
	h.drain()
	h.lose(logs)
	var asked [][]byte
	for n := 0; n < logs; n++ {
		h.tick(h.m.cfg.GapWait / 8)
		h.mustControl(h.path, frameVector, nil) // it lives
		asked = append(asked, h.said(h.path, frameWant)...)
		if len(asked) == 0 {
			t.Fatalf("nothing is asked after %d answers", n)
		}
		r := reader{b: asked[0]}
		log := r.log()
		b := questionOf(asked[0]).append(nil)
		b = append(append(b, 0), uvarints(1, 0)...)
		h.mustData(frameGive, append(b, h.seal(log, 1, 1).Bytes()...))
		asked = asked[1:]
	}
	if s := h.m.Stats(); s.Gaps != 0 {
		t.Errorf("%d gaps", s.Gaps)
	}
}

// Answers that are of no use do not keep a search from its end.
func TestSearchEndsThoughAnswersAreOfNoUse(t *testing.T) {
	h := newHostile()
	h.greet()
	h.polling()
	h.lose(2)
	for end := h.now + h.m.cfg.GapWait*5/4; h.now <= end; h.tick(h.m.cfg.GapWait / 16) {
		h.mustControl(h.path, frameVector, nil)
		for _, w := range h.m.questions {
			if w.log == h.log(1) && w.awaiting[h.m.peers[simID(1)]] {
				h.mustData(frameGive, append(w.id.append(nil), 0, 0, 0)) // up to 0
				break
			}
		}
	}
	if g := h.m.Stats().Gaps; g != 2 {
		t.Errorf("%d gaps after GapWait, not 2", g)
	}
}

// A node has as many questions as logs, and none of them counts as asked before it was.
func TestEveryQuestionIsAsked(t *testing.T) {
	const logs = maxWants + 2*maxAsked
	h := newHostile()
	h.greet()
	h.lose(logs)
	if g := h.m.Stats().Gaps; g != 0 {
		t.Errorf("%d gaps before anybody has answered", g)
	}
	if n := len(h.said(h.path, frameWant)) + len(h.m.paths[h.path].wants); n != logs {
		t.Errorf("%d questions for %d logs", n, logs)
	}
}

// A question of another does not wait with our own: an answer to ours may have to wait for it.
func TestQuestionsOfOthersDoNotWait(t *testing.T) {
	h := newHostile()
	h.greet()
	h.lose(100)
	h.said(h.honest, frameWant)
	w := want{id: wantID{floodID(0), 1}, log: h.log(1000), from: 1}
	h.mustControl(h.path, frameWant, w.append(nil))
	if asked := h.said(h.honest, frameWant); len(asked) != 1 || questionOf(asked[0]) != w.id {
		t.Errorf("%d questions are passed on", len(asked))
	}
}

// Questions that wait follow the peer to another path.
func TestQuestionsFollowThePeer(t *testing.T) {
	const logs = 100
	h := newHostile()
	h.greet()
	h.lose(logs)
	asked := len(h.said(h.path, frameWant))
	const other = 3
	h.m.AddPath(h.now, PathInfo{ID: other, Peer: simID(1)})
	hi := hello{min: Version, max: Version, node: simID(1), epoch: 1, maxBatch: 1 << 20, timeout: time.Minute, channel: "sim", nonce: 1}
	h.mustControl(other, frameHello, hi.append(nil))
	h.mustControl(other, frameReady, nil)
	q := h.m.peers[simID(1)]
	if q.active != h.m.paths[other] {
		t.Fatal("the other path is not the one in use")
	}
	if n := len(h.m.paths[h.path].wants); n != 0 || len(q.active.wants) != logs-asked {
		t.Errorf("%d questions wait on the old path, and %d of %d on the new one", n, len(q.active.wants), logs-asked)
	}
}

// Nobody is given a batch that is larger than it takes.
func TestNothingTooLargeIsGiven(t *testing.T) {
	h := newHostile()
	h.greet()
	own := codec.LogID{Node: simID(0), Epoch: 1}
	h.m.Append(0, sealed(own, 1, 1, 1000, "a.x"))
	h.m.Append(0, h.seal(own, 2, 1))
	h.m.paths[h.path].theirs.maxBatch = 500
	ask := func(i int, log codec.LogID) wantID {
		w := want{id: wantID{floodID(i), 1}, log: log, from: 1}
		h.mustControl(h.path, frameWant, w.append(nil))
		return w.id
	}
	first := ask(0, own)
	h.said(h.honest, frameWant)
	h.mustControl(h.honest, frameNone, none{first, 0}.append(nil))
	if nones := h.said(h.path, frameNone); len(nones) != 1 || nones[0][len(nones[0])-1] != 2 {
		t.Errorf("%d answers that there is something from 2 on: %v", len(nones), nones)
	}
	id := ask(1, h.log(1))
	h.said(h.honest, frameWant)
	b := append(append(id.append(nil), 0), uvarints(1, 0)...)
	if err := h.m.HandleData(h.now, h.honest, 0, frameGive, append(b, sealed(h.log(1), 1, 1, 1000, "a.x").Bytes()...), nil); err != nil {
		t.Fatal(err)
	}
	h.drain()
	if s := h.m.paths[h.path].out[0]; s != nil && s.gives.len() > 0 {
		t.Errorf("%d batches are given", s.gives.len())
	}
}

// Who has no room for a question does not say that nobody has the events.
func TestQuestionWithoutRoomIsNotAnswered(t *testing.T) {
	h := newHostile()
	h.greet()
	w := func(i int) []byte {
		return (&want{id: wantID{floodID(i), uint64(i) + 1}, log: h.log(1), from: 1}).append(nil)
	}
	for i := range 2 * maxWants / 8 {
		h.mustControl(h.path, frameWant, w(i))
	}
	if n := len(h.said(h.path, frameNone)); n != 0 {
		t.Errorf("%d answers, and nobody was heard", n)
	}
	h.mustControl(h.path, frameWant, w(0))
	own := want{id: wantID{simID(0), 1}, log: h.log(1), from: 1}
	h.mustControl(h.path, frameWant, own.append(nil))
	if n := len(h.said(h.path, frameNone)); n != 2 {
		t.Errorf("%d answers to a question seen before, and to one of our own", n)
	}
	h.tick(h.m.cfg.GapWait)
	if n := len(h.said(h.path, frameNone)); n != 0 || len(h.m.questions) != 0 {
		t.Errorf("%d answers to what nobody answered, and %d questions are held", n, len(h.m.questions))
	}
}

// What was answered makes room.
func TestAnsweredQuestionsMakeRoom(t *testing.T) {
	h := newHostile()
	h.greet()
	h.polling()
	id := codec.LogID{Node: simID(0), Epoch: 1}
	h.m.Append(0, h.seal(id, 1, 1))
	for i := range 3 * maxWants {
		w := want{id: wantID{floodID(i), 1}, log: id, from: 1}
		h.mustControl(h.path, frameWant, w.append(nil))
		if h.m.findWant(w.id) == nil {
			t.Fatalf("no room after %d questions", i)
		}
	}
}

// The one that gives is lost, and another gives all of it: that is not more than is given at a time. What was passed on is
// an answer, and not that there is none.
func TestGiverThatIsLostHasGivenAPart(t *testing.T) {
	h := newHostile()
	h.greet()
	const other = 3
	h.m.AddPath(h.now, PathInfo{ID: other, Peer: simID(3)})
	h.hello(other, simID(3))
	h.mustControl(other, frameReady, nil)
	w := want{id: wantID{simID(2), 1}, log: h.log(1), from: 1}
	h.mustControl(h.honest, frameWant, w.append(nil))
	h.said(h.path, frameWant)
	h.said(other, frameWant)
	give := func(more byte, last uint64) []byte {
		b := append(append(w.id.append(nil), more), uvarints(last, 0)...)
		return append(b, sealed(h.log(1), last, 1, 40<<10, "a.x").Bytes()...)
	}
	h.mustData(frameGive, give(1, 1))
	h.m.PathClosed(h.now, h.path, CodeTimeout, "")
	h.path = other
	h.mustData(frameGive, give(1, 1))
	h.mustData(frameGive, give(0, 2))
	if n := h.m.paths[h.honest].out[0].gives.len(); n != 1 {
		t.Errorf("%d entries were passed on", n)
	}
	if n := len(h.said(h.honest, frameNone)); n != 0 {
		t.Error("it says that nobody has them")
	}
}

// What an answer says was not meant for us begins where the entry before it ends: if that could not be taken, it is missing still.
func TestSkipThatIsGivenDoesNotPassOverWhatWasNotTaken(t *testing.T) {
	h := newHostile()
	h.greet()
	h.polling()
	h.mustData(frameStart, appendStart(nil, 0, h.log(1), 1, 0))
	h.mustData(frameAbsent, append(uvarints(0, 0, 1, 10), byte(ReasonGone)))
	id := h.m.logs[h.log(1)].seeking.want.id
	old := uint64(h.m.cfg.maxAge()/time.Millisecond) + 1
	h.mustData(frameGive, append(append(id.append(nil), 1), append(uvarints(5, old), h.seal(h.log(1), 1, 5).Bytes()...)...))
	h.mustData(frameGive, append(append(id.append(nil), 0), uvarints(10, 0)...))
	if have := h.m.logs[h.log(1)].have; have != 0 {
		t.Errorf("it is at %d, and was given nothing that it could take", have)
	}
	h.tick(h.m.cfg.GapWait + 10*time.Millisecond)
	if e := h.event(EventGap); e.First != 1 || e.Last != 10 {
		t.Errorf("after GapWait it misses %d to %d", e.First, e.Last)
	}
}

// An answer does not go on on another path than it began on: the beginning may be lost, or come later.
func TestAnswerIsPassedOnOnOnePath(t *testing.T) {
	h := newHostile()
	h.greet()
	w := want{id: wantID{simID(2), 1}, log: h.log(1), from: 1}
	h.mustControl(h.honest, frameWant, w.append(nil))
	h.said(h.path, frameWant)
	h.mustData(frameGive, append(append(w.id.append(nil), 1), append(uvarints(1, 0), h.seal(h.log(1), 1, 1).Bytes()...)...))
	const other = 3
	h.m.AddPath(h.now, PathInfo{ID: other, Peer: simID(2)})
	hi := hello{min: Version, max: Version, node: simID(2), epoch: 1, maxBatch: 1 << 20, timeout: time.Minute, channel: "sim", nonce: 1}
	h.mustControl(other, frameHello, hi.append(nil))
	h.mustControl(other, frameReady, nil)
	if h.m.ActivePath(simID(2)) != other {
		t.Fatal("the other path is not the one in use")
	}
	h.mustData(frameGive, append(append(w.id.append(nil), 0), uvarints(2, 0)...))
	if s := h.m.paths[other].out[0]; s != nil && s.gives.len() > 0 {
		t.Errorf("%d entries go on on the other path", s.gives.len())
	}
}
