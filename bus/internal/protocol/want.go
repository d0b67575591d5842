package protocol

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// Before a gap is declared, everyone in reach is asked: a WANT is flooded, through each node once, and
// answered on the way back (§9.3). Who has the events gives them, along the way that the question came.
// They become nobody's copy there.

// wantID names a question.
type wantID struct {
	node  uuid.UUID // who lacks the events
	nonce uint64
}

// want is a question under way: our own, or one that a peer passed on. Once answered it is kept for a
// while, so that it is not passed on again.
type want struct {
	id       wantID
	log      codec.LogID
	from     uint64
	parent   *peer          // who passed it on; nil: it is our own
	awaiting map[*peer]bool // who has not answered, and whether it was asked yet
	giver    *peer          // who gives the events
	way      *path          // that they are passed on over, if it is not our own
	given    int64          // bytes of them
	upto     uint64         // where they end
	nearest  uint64         // the first position after from that someone has; 0: nobody has any
	answered bool
	timer    timer
}

// give is an entry on its way to whoever asked for it, and a holder of its batch.
type give struct {
	id    wantID
	more  bool // others follow
	upto  uint64
	batch *codec.Batch // nil: everything up to there was not meant for the receiver
	age   time.Duration
	came  time.Duration // when it had that age
}

// none is the answer of a node that can't help, and for everyone behind it.
type none struct {
	id      wantID
	nearest uint64
}

// size is what a give counts for: its batch, and what it takes to remember it.
func (g give) size() int64 {
	if g.batch == nil {
		return 64
	}
	return 64 + int64(len(g.batch.Bytes()))
}

func (id wantID) append(b []byte) []byte {
	return binary.AppendUvarint(append(b, id.node[:]...), id.nonce)
}

func (r *reader) wantID() wantID { return wantID{r.id(), r.seq()} }

func (w *want) append(b []byte) []byte {
	return w.id.append(binary.AppendUvarint(appendLog(b, w.log), w.from))
}

func (n none) append(b []byte) []byte { return binary.AppendUvarint(n.id.append(b), n.nearest) }

// spread passes a question on to every peer but the one it came from, and those who do not read what they are asked.
func (m *Machine) spread(now time.Duration, w *want) {
	m.keepWant(now, w)
	w.awaiting = make(map[*peer]bool)
	for _, q := range m.peerList {
		if q != w.parent && q.active != nil && (w.parent == nil || q.active.relayed() < maxWants) {
			w.awaiting[q] = false
			q.active.wants = append(q.active.wants, w)
			m.wakeControl(q.active)
		}
	}
	m.reply(now, w)
}

// relayed is how many questions of others wait to be sent.
func (p *path) relayed() (n int) {
	for _, w := range p.wants {
		if w.parent != nil {
			n++
		}
	}
	return n
}

// appendWants asks a peer. Of our own, more questions follow once it has answered these. Those of others do not wait: an answer
// may wait for theirs.
func (m *Machine) appendWants(p *path, dst []byte) []byte {
	q := p.peer
	waiting := p.wants
	p.wants = nil
	for _, w := range waiting {
		_, due := w.awaiting[q]
		switch {
		case !due:
		case w.answered:
			m.heardFrom(w, q)
		case w.parent == nil && q.asked >= maxAsked:
			p.wants = append(p.wants, w)
		default:
			w.awaiting[q] = true
			if w.parent == nil {
				q.asked++
			}
			dst = appendFrame(dst, frameWant, w.append(nil))
		}
	}
	return dst
}

// askOn has a peer asked on another path what it was not asked yet on the one before.
func (m *Machine) askOn(q *peer, p *path) {
	for _, other := range q.paths {
		other.wants = nil
	}
	for _, w := range m.questions {
		if asked, due := w.awaiting[q]; due && !asked {
			p.wants = append(p.wants, w)
		}
	}
}

// heardFrom notes that nothing more is awaited of a peer: it can be asked something else.
func (m *Machine) heardFrom(w *want, q *peer) {
	if w.awaiting[q] && w.parent == nil {
		q.asked--
	}
	delete(w.awaiting, q)
	if p := q.active; p != nil && len(p.wants) > 0 {
		m.wakeControl(p)
	}
}

// keepWant remembers a question: one of another for GapWait, and ours for as long as it is of use.
func (m *Machine) keepWant(now time.Duration, w *want) {
	m.questions = append(m.questions, w)
	if w.parent != nil {
		w.timer.fire = func(time.Duration) { m.forgetWant(w) }
		m.timers.set(&w.timer, now+m.cfg.GapWait)
	}
}

func (m *Machine) forgetWant(w *want) {
	m.timers.stop(&w.timer)
	m.questions = slices.DeleteFunc(m.questions, func(x *want) bool { return x == w })
	for _, q := range m.peerList {
		if p := q.active; p != nil {
			p.wants = slices.DeleteFunc(p.wants, func(x *want) bool { return x == w })
		}
		m.heardFrom(w, q)
	}
}

// reply answers a question once everyone asked has. If someone gave a part, that is the answer: for the rest we are
// asked again.
func (m *Machine) reply(now time.Duration, w *want) {
	if w.answered || len(w.awaiting) > 0 {
		return
	}
	w.answered = true
	switch {
	case w.parent == nil:
		m.searched(now, w)
	case w.giver == nil:
		m.sayNone(w.parent.active, none{w.id, w.nearest})
	}
}

func (m *Machine) sayNone(p *path, n none) {
	if p == nil || len(p.nones) >= 4*maxWants {
		return
	}
	p.nones = append(p.nones, n)
	m.wakeControl(p)
}

func (m *Machine) findWant(id wantID) *want {
	if i := slices.IndexFunc(m.questions, func(w *want) bool { return w.id == id }); i >= 0 {
		return m.questions[i]
	}
	return nil
}

func (m *Machine) handleWant(now time.Duration, p *path, body []byte) error {
	r := reader{b: body}
	w := &want{log: r.log(), from: r.seq(), id: r.wantID(), parent: p.peer}
	if err := r.end("want"); err != nil {
		return err
	}
	if w.from == 0 {
		return violation("want: from 0")
	}
	if w.id.node == m.cfg.ID || m.findWant(w.id) != nil {
		m.sayNone(p, none{id: w.id})
		return nil
	}
	if !m.hasRoom(w) {
		return nil // that is no answer: it is asked again
	}
	if m.giveTo(p.peer, w) {
		w.answered = true
		m.keepWant(now, w)
		return nil
	}
	m.spread(now, w)
	return nil
}

// slow says whether a peer has not taken what it was given before.
func (q *peer) slow(lane uint8) bool {
	p := q.active
	return p != nil && p.out[lane] != nil && p.out[lane].gives.len() >= giveMost/64
}

// hasRoom says whether a question of another can be remembered. The oldest that everyone has answered makes room.
func (m *Machine) hasRoom(w *want) bool {
	others, open, over := 0, 0, (*want)(nil)
	for _, x := range m.questions {
		if x.parent == nil {
			continue
		}
		others++
		if x.parent == w.parent && !x.answered {
			open++
		}
		if over == nil && x.answered && len(x.awaiting) == 0 {
			over = x
		}
	}
	if open >= maxWants/8 || others >= maxWants && over == nil || w.parent.slow(w.log.Lane) {
		return false
	}
	if others >= maxWants {
		m.forgetWant(over)
	}
	return true
}

// giveTo sends a peer what it asked for, as far as it is here and a question goes. If it is not, it notes
// where what is here begins.
func (m *Machine) giveTo(q *peer, w *want) bool {
	l := m.logs[w.log]
	if l == nil || q.active == nil || w.from > l.have {
		return false
	}
	if x := m.peers[w.id.node]; x != nil && x.cursors[l].ended >= w.from { // by an earlier run
		m.queueGive(q.active, w.log.Lane, give{id: w.id, upto: x.cursors[l].ended, came: m.now})
		return true
	}
	if w.from <= l.base {
		w.near(l, l.base)
		return false
	}
	var gives []give
	size, pos := int64(0), w.from-1
	for e := l.at(pos); e != nil && size < giveMost; e = l.at(pos) {
		g := give{id: w.id, more: true, upto: e.last, batch: e.batch, age: e.age, came: e.came}
		if e.kind != entryBatch && !m.wasSkippedFor(w.id.node, l, e) || e.kind == entryBatch && (e.first != pos+1 || !q.active.takes(e.batch)) {
			break
		}
		if g.batch != nil {
			g.batch.Retain()
		}
		gives = append(gives, g)
		size += g.size()
		pos = e.last
	}
	if len(gives) == 0 {
		w.near(l, l.at(w.from-1).last)
		return false
	}
	gives[len(gives)-1].more = false
	for _, g := range gives {
		m.queueGive(q.active, w.log.Lane, g)
	}
	return true
}

// near notes that a log has what comes after a position.
func (w *want) near(l *log, pos uint64) {
	if pos < l.have && (w.nearest == 0 || pos+1 < w.nearest) {
		w.nearest = pos + 1
	}
}

// wasSkippedFor says whether an entry was judged with a node in mind: one that is a peer, and wants no more
// than it did when it left.
func (m *Machine) wasSkippedFor(id uuid.UUID, l *log, e *entry) bool {
	q := m.peers[id]
	return e.kind == entrySkip && q != nil && !q.grew && !m.owes(q.cursors[l], e)
}

func (m *Machine) queueGive(p *path, lane uint8, g give) {
	s := m.streamOf(p, lane)
	s.gives.push(g)
	m.wakeStream(p, s, lane)
}

// give appends an entry for whoever asked for it.
func (m *Machine) give(now time.Duration, s *stream, lane uint8, dst []byte) ([]byte, *codec.Batch) {
	g := *s.gives.at(0)
	s.gives.pop()
	dst = s.open(lane, dst)
	b := g.id.append(m.scratch[:0])
	b = append(b, boolByte(g.more))
	b = binary.AppendUvarint(b, g.upto)
	b = binary.AppendUvarint(b, agedMillis(g.age+now-g.came))
	m.scratch = b
	size := len(b)
	if g.batch != nil {
		size += len(g.batch.Bytes())
	}
	dst = binary.AppendUvarint(dst, uint64(1+size))
	dst = append(dst, frameGive)
	return append(dst, b...), g.batch
}

// handleGive passes an entry on to whoever asked for it.
func (m *Machine) handleGive(now time.Duration, p *path, lane uint8, body []byte, memory *codec.Memory) error {
	r := reader{b: body}
	g := give{id: r.wantID(), more: r.byte() == 1, upto: r.seq(), age: time.Duration(min(r.seq(), 1<<40)) * time.Millisecond, came: now}
	if r.err != nil {
		return violation("give: %v", r.err)
	}
	w := m.findWant(g.id)
	if w == nil || !w.awaiting[p.peer] {
		return nil // nobody waits for it any more
	}
	if w.answered || w.giver != nil && w.giver != p.peer {
		m.heardFrom(w, p.peer) // another was faster
		m.reply(now, w)
		return nil
	}
	if len(r.b) > 0 {
		b, err := codec.ParseBatchIn(r.b, memory, m.cfg.MaxBatch)
		if err != nil {
			return violation("give: %v", err)
		}
		if b.Log != w.log || lane != w.log.Lane || b.Last() != g.upto {
			return violation("give: %d–%d of %v, asked for %v", b.First, b.Last(), b.Log, w.log)
		}
		g.batch = b
	}
	if w.given >= giveMost {
		return violation("give: more than is given at a time")
	}
	w.giver = p.peer
	w.given += g.size()
	if w.answered = !g.more; w.answered {
		m.heardFrom(w, p.peer)
	}
	if w.parent == nil {
		m.given(now, w, g)
		return nil
	}
	m.passOn(w, lane, g)
	return nil
}

// passOn sends an entry back the way the question came. What follows one that is not passed on, or that went over another path and may
// be lost with that, is not passed on either: it would seem to follow what came before.
func (m *Machine) passOn(w *want, lane uint8, g give) {
	to := w.parent.active
	if w.way == nil {
		w.way = to
	}
	if to == nil || to != w.way || g.batch != nil && !to.takes(g.batch) {
		if g.batch != nil {
			g.batch.Free()
		}
		m.forgetWant(w)
		return
	}
	m.queueGive(to, lane, g)
}

func (m *Machine) handleNone(now time.Duration, p *path, body []byte) error {
	r := reader{b: body}
	n := none{r.wantID(), r.seq()}
	if err := r.end("none"); err != nil {
		return err
	}
	if w := m.findWant(n.id); w != nil && w.awaiting[p.peer] {
		m.heardFrom(w, p.peer)
		if n.nearest > w.from && (w.nearest == 0 || n.nearest < w.nearest) {
			w.nearest = n.nearest
		}
		m.reply(now, w)
	}
	return nil
}

// dropWants lets go of the questions of a peer that is gone, and of the answers it owes.
func (m *Machine) dropWants(now time.Duration, q *peer) {
	for _, w := range slices.Clone(m.questions) {
		if w.parent == q {
			m.forgetWant(w)
			continue
		}
		m.heardFrom(w, q)
		m.reply(now, w)
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
