package protocol

import (
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// race is a machine with a parent for a log, and a rival with two paths.
type race struct {
	*hostile
	t      *testing.T
	log    codec.LogID
	parent PathID
	rival  [2]PathID
}

func newRace(t *testing.T) *race {
	h := newHostile()
	h.greet()
	r := &race{h, t, codec.LogID{Node: simID(5), Epoch: 1}, h.honest, [2]PathID{h.path, 3}}
	h.m.AddPath(0, PathInfo{ID: 3, Peer: simID(1)})
	h.hello(3, simID(1))
	h.mustControl(3, frameReady, nil)
	r.start(r.parent, 1, 0)
	r.bring(r.parent, 1)
	r.judge("at first")
	return r
}

// start begins a run.
func (r *race) start(path PathID, run, prev uint64) {
	r.path = path
	r.mustData(frameStart, appendStart(nil, 0, r.log, run, prev))
}

// bring brings the next event of the path's run.
func (r *race) bring(path PathID, pos uint64) {
	r.path = path
	r.mustData(frameBatch, append(uvarints(0, pos-1, 0), r.seal(r.log, pos, 1).Bytes()...))
}

// win has the rival be the first for a while.
func (r *race) win(path PathID, first, last uint64) {
	for pos := first; pos <= last; pos++ {
		r.now += 200 * time.Millisecond
		r.bring(path, pos)
		r.bring(r.parent, pos)
	}
}

// judge fails the test if not the first is the parent, or it was pruned.
func (r *race) judge(when string) {
	l, q := r.m.logs[r.log], r.m.peers[simID(2)]
	if l.parent != q || q.cursors[l].muted() {
		r.t.Errorf("%s: the parent is %v, pruned: %v", when, l.parent.id, q.cursors[l].muted())
	}
}

// A rival that begins another run may be pruned for what it repeats. What it sent before it heard of that makes it no parent:
// nobody would be left to bring what follows.
func TestRivalThatIsPrunedInAnotherRunDoesNotWin(t *testing.T) {
	r := newRace(t)
	r.start(r.rival[0], 1, 1)
	r.win(r.rival[0], 2, 3)
	r.start(r.rival[0], 2, 2)
	r.bring(r.rival[0], 3)
	r.win(r.rival[0], 4, 5)
	r.judge("after another run")
	r.start(r.rival[0], 3, 5) // it was grafted, and races again
	r.win(r.rival[0], 6, 8)
	if l := r.m.logs[r.log]; l.parent != r.m.peers[simID(1)] || !r.m.peers[simID(2)].cursors[l].muted() {
		t.Errorf("the parent is %v, though the other was faster", l.parent.id)
	}
}

// The same with two paths: the run that is pruned is on the one that is used now, and what comes first on the other.
func TestRivalThatIsPrunedOnAnotherPathDoesNotWin(t *testing.T) {
	r := newRace(t)
	r.start(r.rival[0], 1, 1)
	r.start(r.rival[1], 2, 0)
	r.bring(r.rival[1], 1)
	r.win(r.rival[0], 2, 5)
	r.judge("after another path")
}
