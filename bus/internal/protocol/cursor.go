package protocol

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// cursor is a peer's position in a log: what it was sent, what it said it has, and
// what it can no longer get (§6).
type cursor struct {
	peer  *peer
	log   *log
	inert bool // the log is the peer's own: it is never sent back to it

	run     uint64
	started bool // this run's start was sent on the active path
	opens   bool // it is due even if nothing follows: the peer does not know where the log is

	next   uint64 // everything up to here was judged: sent, skipped, or known to be there
	prev   uint64 // the end of the last batch or range sent in this run
	born   uint64 // where it was placed first
	floor  uint64 // below this nothing was tracked for the peer
	ended  uint64 // what the peer was done with, in this run of it or an earlier one
	others uint64 // up to here it may hold what we did not wait for until it was done: others sent it, or it was forced out

	flight  ring[flight] // sent and not yet done, in order; what was forced out, only until the peer has it
	acked   int          // of these, how many the peer has
	unacked int64        // bytes of the others
	lost    []span       // wanted, and dropped before the peer had them
	absent  uint64       // where what it was told of these ends: it says when it is done with that, and what it misses before
	skips   []judgement  // when what it was not sent was judged, after what it has
	cleared uint64       // judgements up to here are forgotten
	told    uint64       // of the judgements in this run: what the peer was told last
	denied  uint64       // the peer said that it can't give this position
	theirs  *runIn       // the run that the peer began last, in the other direction

	ready     bool // in its stream's queue
	pruned    bool // the peer wants nothing more in this run
	flushSkip bool // tell a skip at the end now
	toldFin   bool
	demoted   uint64 // too slow for BlockTimeout: it drops until it is done with what there was up to here; 0: it is not
}

// flight is a batch that was sent and that the peer is not done with.
type flight struct {
	first, last uint64
	size        int64
}

// span is a range of positions that can no longer be given.
type span struct {
	first, last uint64
	reason      Reason
}

// remote is what a peer's vectors say about one log (§7).
type remote struct {
	base, have, done uint64
	window           int64
}

// clear is the position up to which the peer needs nothing more of the log.
func (c *cursor) clear() uint64 {
	switch {
	case c.inert:
		return math.MaxUint64
	case c.flight.len() > 0:
		return c.flight.at(0).first - 1
	}
	return c.next
}

// done is the position up to which the peer is done with the log, whoever sent it that.
func (c *cursor) done() uint64 {
	pos := c.clear()
	if r := c.peer.remote[c.log.id]; r != nil && r.done < min(pos, max(c.others, c.absent)) {
		return r.done
	}
	return pos
}

// muted says whether we asked the peer to send nothing more.
func (c *cursor) muted() bool { return c.theirs != nil && c.theirs.pruned }

// holds says whether the cursor keeps a log's batches against its owner's
// wish: only a connected peer that makes progress does, and of our own logs only one that we
// wait for.
func (c *cursor) holds() bool {
	return c.peer.active != nil && c.demoted == 0 && (!c.log.own || c.peer.overflow == Block || c.peer.overflow == Reject)
}

// rewind makes pos the position the next run starts from: all after it is
// judged again.
func (c *cursor) rewind(pos uint64) {
	for c.flight.len() > 0 && c.flight.at(c.flight.len()-1).last > pos {
		c.flight.popBack()
	}
	c.acked, c.unacked = c.flight.len(), 0
	if pos < c.floor {
		// What was freed below the floor was freed without asking this peer.
		if last := min(c.floor, c.log.base); last > pos {
			c.addLost(span{pos + 1, last, ReasonGone})
		}
		c.floor = pos
	}
	if last := min(c.others, c.log.base); last > pos {
		// It lost that in a restart, and may not have been done with it.
		c.addLost(span{pos + 1, last, ReasonGone})
	}
	c.others, c.absent = min(c.others, pos), min(c.absent, pos)
	c.unjudge(max(pos, c.log.base)) // what was let go of is not judged again
	c.next, c.prev = pos, pos
	c.run++
	c.told = 0
	c.started, c.opens, c.toldFin, c.flushSkip, c.pruned = false, false, false, false, false
}

// heard applies what the peer's vector says.
func (c *cursor) heard(have, done uint64) {
	for c.acked < c.flight.len() && c.flight.at(c.acked).last <= have {
		c.unacked -= c.flight.at(c.acked).size
		c.acked++
	}
	for c.flight.len() > 0 && c.flight.at(0).last <= done {
		if c.acked > 0 {
			c.acked--
		} else {
			c.unacked -= c.flight.at(0).size
		}
		c.flight.pop()
	}
	for c.acked > 0 && c.flight.at(0).last <= c.log.base { // a bound did not wait for it
		c.others = max(c.others, c.flight.at(0).last)
		c.acked--
		c.flight.pop()
	}
	c.passes(have)
	c.forget(have)
	c.floor = max(c.floor, done)
	c.ended = max(c.ended, done)
	for len(c.lost) > 0 && c.lost[0].last <= have {
		c.lost = c.lost[1:]
	}
	if c.done() >= c.demoted {
		c.demoted = 0
	}
}

// passes notes that the peer holds everything up to a position, whoever sent it.
func (c *cursor) passes(pos uint64) {
	if pos > c.next {
		c.next, c.others = pos, pos
	}
}

// sent records a batch on its way.
func (c *cursor) sent(e *entry) {
	c.flight.push(flight{e.first, e.last, e.size})
	c.unacked += e.size
	c.next, c.prev = e.last, e.last
}

// addLost remembers a range that can no longer be given, in order, joined with
// its neighbours of the same reason. Past maxLost ranges it says rather too much
// than too little.
func (c *cursor) addLost(s span) {
	i, _ := slices.BinarySearchFunc(c.lost, s.first, func(x span, first uint64) int { return cmp.Compare(x.first, first) })
	if i > 0 {
		if p := &c.lost[i-1]; s.first <= p.last+1 && (s.reason == p.reason || s.last <= p.last) || len(c.lost) >= maxLost {
			p.last = max(p.last, s.last)
			return
		}
	}
	if i < len(c.lost) && (s.last+1 >= c.lost[i].first && s.reason == c.lost[i].reason || len(c.lost) >= maxLost) {
		c.lost[i].first = s.first
		c.lost[i].last = max(c.lost[i].last, s.last)
		return
	}
	c.lost = slices.Insert(c.lost, i, s)
}

// nextLost is the first lost range after next, cut to what is left of it.
func (c *cursor) nextLost() (span, bool) {
	for _, s := range c.lost {
		if s.last > c.next {
			s.first = max(s.first, c.next+1)
			return s, true
		}
	}
	return span{}, false
}

// vectorState is what a path was told of a log.
type vectorState struct {
	log   *log
	alias uint64
	known bool // the alias was defined
	dirty bool
	told  toldOf
}

// toldOf is how far a log had come when a path was last told its vector.
type toldOf struct {
	have, done     uint64
	received, edge int64
}

// stream is one lane of a path in our direction: cursors take turns on it.
type stream struct {
	queue   ring[*cursor]
	gives   ring[give]
	woken   bool
	opened  bool
	aliases aliases
}

// runIn is a run of a log as a receiver follows it.
type runIn struct {
	id      codec.LogID
	path    *path
	log     *log // nil: ours, not taken on, or forgotten
	run     uint64
	pos     uint64 // the end of the last thing in it
	judged  uint64 // the moment of ours at which its skips were judged
	asked   uint64 // where a new run was asked for, when this one went past what we have
	refused bool   // there was no room for its log
	pruned  bool   // the peer was asked to end it
}

// streamIn is a lane of a path in the peer's direction.
type streamIn struct {
	runs []*runIn // by alias
}

// agedMillis is an age as it goes on the wire.
func agedMillis(d time.Duration) uint64 { return uint64(max(d, 0) / time.Millisecond) }

// aliases gives logs short names on a stream. The name of a forgotten log is
// given again, so there are never more names than logs.
type aliases struct {
	names map[*log]uint64
	spare []uint64
}

func newAliases() aliases { return aliases{names: make(map[*log]uint64)} }

func (a *aliases) of(l *log) uint64 {
	if name, ok := a.names[l]; ok {
		return name
	}
	name := uint64(len(a.names) + len(a.spare))
	if n := len(a.spare); n > 0 {
		name, a.spare = a.spare[n-1], a.spare[:n-1]
	}
	a.names[l] = name
	return name
}

func (a *aliases) drop(l *log) {
	if name, ok := a.names[l]; ok {
		delete(a.names, l)
		a.spare = append(a.spare, name)
	}
}
