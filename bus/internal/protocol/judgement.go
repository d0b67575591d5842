package protocol

import (
	"encoding/binary"
	"math"
	"slices"
)

// A skip is sound for whoever was known, when it was judged, to be behind the peer that it
// was judged for. So every skip carries when that was: as a moment of the receiver's own
// clock, which it can compare with the moments that matter to it (§8.5).

// judgement says at which moment positions up to one were found not to be wanted by a peer.
type judgement struct{ upto, known uint64 }

// mark says that at a moment of ours we knew everything that a peer did at one of its own.
type mark struct{ ours, theirs uint64 }

// unlisted is when a peer will be in our record: not yet.
const unlisted = math.MaxUint64

// appendKnown tells a peer that it was sent every record that we have.
func (m *Machine) appendKnown(p *path, dst []byte) []byte {
	known := m.clock
	if p.peer == nil {
		known = p.snapshot // what came after the snapshot is kept back until the peer's hello
	}
	if known == p.known {
		return dst
	}
	p.known = known
	return appendFrame(dst, frameKnown, binary.AppendUvarint(nil, known))
}

func (m *Machine) handleKnown(p *path, body []byte) error {
	r := reader{b: body}
	theirs := r.seq()
	if err := r.end("known"); err != nil {
		return err
	}
	q := p.peer
	if n := len(q.marks); n > 0 && q.marks[n-1].ours == m.clock {
		q.marks[n-1].theirs = max(q.marks[n-1].theirs, theirs)
		return nil
	}
	if len(q.marks) >= maxKnown {
		q.marks = slices.Delete(q.marks, 0, maxKnown/2)
	}
	q.marks = append(q.marks, mark{m.clock, theirs})
	return nil
}

// knew is the moment of the peer's up to which we knew everything it did at one of ours.
func (q *peer) knew(ours uint64) uint64 {
	for i := len(q.marks) - 1; i >= 0; i-- {
		if q.marks[i].ours <= ours {
			return q.marks[i].theirs
		}
	}
	return 0
}

// widened says whether those behind a peer that comes up wanted more, as far as was known
// here, than what was kept for it: what was skipped while it was away was judged without them.
func (m *Machine) widened(q *peer, p *path) bool {
	if q.joined == 0 || q.grew {
		return true
	}
	return slices.ContainsFunc(m.behindOf(q).nodes, func(v *vertex) bool {
		old := v.rec.before(p)
		return old != nil && !q.kin[v.id] && q.lacks(old)
	})
}

// before is the version of a record that was known before a path, or nil.
func (r *record) before(p *path) *record {
	for ; r != nil && r.stamp > p.began; r = r.prior {
	}
	if r != nil {
		r.prior = nil
	}
	return r
}

// lacks says whether a record has subscriptions that go beyond what is kept for a peer.
func (q *peer) lacks(r *record) bool {
	return slices.ContainsFunc(r.patterns[:r.live], func(p string) bool { return !covers(q.patterns, p) })
}

// outgrow notes that someone behind a peer that is away wants more than what is kept for
// it. What the peer itself brings as it returns nobody could know before.
func (m *Machine) outgrow(r *record, from *peer) {
	for _, q := range m.peerList {
		if q != from && q.active == nil && !q.grew && q.kin[r.version.node] && q.lacks(r) {
			q.grew = true
		}
	}
}

// list notes that our record names every peer that is up.
func (m *Machine) list() {
	for _, q := range m.peerList {
		if q.active != nil && q.listed == unlisted {
			q.listed = m.clock
		}
	}
}

// passOver steps over an entry that is not owed to the peer.
func (m *Machine) passOver(c *cursor, e *entry) {
	c.next = e.last
	c.judge(e.last, m.judgedWhen(e))
}

// judgedWhen is when an entry that is passed over was judged: a skip when it was made, a
// batch now.
func (m *Machine) judgedWhen(e *entry) uint64 {
	if e.kind == entrySkip {
		return e.known
	}
	return m.clock
}

// judge notes when everything up to a position that was not sent was judged.
func (c *cursor) judge(upto, known uint64) {
	n := len(c.skips)
	if n > 0 && c.skips[n-1].known == known {
		c.skips[n-1].upto = max(c.skips[n-1].upto, upto)
		return
	}
	if n >= maxMarks { // of two the earlier
		c.skips[1].known = min(c.skips[0].known, c.skips[1].known)
		c.skips = slices.Delete(c.skips, 0, 1)
	}
	c.skips = append(c.skips, judgement{upto, known})
}

// unjudge forgets what will be judged again, after a position.
func (c *cursor) unjudge(pos uint64) {
	for n := len(c.skips); n > 0 && c.skips[n-1].upto > pos; n-- {
		if n > 1 && c.skips[n-2].upto >= pos || pos == 0 {
			c.skips = c.skips[:n-1]
			continue
		}
		c.skips[n-1].upto = pos
		return
	}
}

// forget lets go of judgements of what the peer has.
func (c *cursor) forget(have uint64) {
	i := 0
	for i < len(c.skips) && c.skips[i].upto <= have {
		i++
	}
	c.skips = slices.Delete(c.skips, 0, i)
	c.cleared = max(c.cleared, have)
}

// freed steps over what the log let go of, for the peer did not want it, or has it. Where it
// is asked for again after a restart, nobody remembers when it was judged.
func (c *cursor) freed(pos uint64) {
	if pos <= c.next {
		return
	}
	if c.next < c.cleared {
		if len(c.skips) == 0 || c.skips[0].known > 0 && len(c.skips) < maxMarks {
			c.skips = slices.Insert(c.skips, 0, judgement{})
		}
		c.skips[0] = judgement{max(c.skips[0].upto, min(pos, c.cleared)), 0}
	}
	c.next = pos
}

// judgedAt is when the first of the positions after prev, up to a position, was judged: never, if that is not
// known of one that the peer may lack.
func (c *cursor) judgedAt(upto uint64) uint64 {
	known, from := uint64(math.MaxUint64), uint64(0)
	for _, j := range c.skips {
		if j.upto > c.prev && from < upto {
			known = min(known, j.known)
		}
		from = j.upto
	}
	if max(from, c.prev, c.cleared, c.others) < upto {
		return 0
	}
	return known
}

// unjudged says whether something between the last frame and a position was judged without
// those behind the peer.
func (c *cursor) unjudged(upto uint64) bool {
	return c.prev < upto && c.judgedAt(upto) < c.peer.joined
}

// judged tells when what is skipped up to a position was judged, if that is not what the
// peer was told before.
func (m *Machine) judged(p *path, c *cursor, upto uint64, dst []byte) []byte {
	if c.prev >= upto {
		return dst
	}
	known := c.peer.knew(c.judgedAt(upto))
	if known == c.told {
		return dst
	}
	c.told = known
	b := binary.AppendUvarint(m.scratch[:0], m.alias(p, c.log))
	m.scratch = binary.AppendUvarint(b, known)
	return appendFrame(dst, frameJudged, m.scratch)
}
