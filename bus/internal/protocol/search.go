package protocol

import "time"

// search is what a log waits for before it declares a gap: that everyone in reach has been asked, and
// those who are out of reach only now have come back or stayed away for GapWait (§9.3).
type search struct {
	want    *want
	from    uint64
	since   time.Duration
	first   uint64        // nonce of its first question
	replied time.Duration // when one that was asked before that was answered last
	given   int64         // of the want, when it was last looked at
	nearest uint64        // as far as everyone has answered: what can be had begins here; 0: nowhere
	last    uint64        // what is missing ends here,
	reason  Reason        // for this reason,
	teller  *peer         // as this one said
	timer   timer
}

// seek has everyone asked for what comes next in a log, and declares the gap once that is in vain. It reports
// whether asking makes sense.
func (m *Machine) seek(now time.Duration, l *log, teller *peer, last uint64, reason Reason) bool {
	if reason == ReasonExpired || reason == ReasonTooLarge {
		return false
	}
	if s := l.seeking; s != nil {
		s.last, s.reason, s.teller = last, reason, teller
		return true
	}
	s := &search{from: l.have + 1, since: now, last: last, reason: reason, teller: teller}
	s.timer.fire = func(now time.Duration) { m.askEveryone(now, l) }
	l.seeking = s
	m.askEveryone(now, l)
	return true
}

// askEveryone asks, and asks again when nothing has come for a while. While questions that we asked before are
// answered, the turn of this one is still to come.
func (m *Machine) askEveryone(now time.Duration, l *log) {
	s := l.seeking
	again, since, waits := m.cfg.GapWait/4, s.since, false
	if s.want != nil && s.replied > 0 {
		since = max(since, s.replied)
		waits = now-s.replied < again
	}
	switch left := since + m.cfg.GapWait - now; {
	case left <= -again || left <= 0 && s.want != nil:
		m.giveUp(now, l)
		return
	case left > 0: // and once more at the end, for who has just come back
		again = min(again, left)
	}
	m.timers.set(&s.timer, now+again)
	if waits || s.want != nil && s.want.given > s.given {
		s.given = s.want.given
		return
	}
	if s.want != nil {
		m.forgetWant(s.want)
	}
	m.nonce = max(m.nonce, m.cfg.Epoch) + 1
	if s.first == 0 {
		s.first = m.nonce
	}
	s.want, s.given = &want{id: wantID{m.cfg.ID, m.nonce}, log: l.id, from: s.from, upto: s.from - 1}, 0
	m.spread(now, s.want)
}

// replied notes that one of our questions was answered: searches that began later are next.
func (m *Machine) replied(now time.Duration, w *want) {
	for _, l := range m.logList {
		if s := l.seeking; s != nil && s.first > w.id.nonce {
			s.replied = now
		}
	}
}

// searched is called when everyone has answered, and nobody has it.
func (m *Machine) searched(now time.Duration, w *want) {
	m.replied(now, w)
	l := m.logs[w.log]
	if l == nil || l.seeking == nil || l.seeking.want != w {
		return
	}
	s := l.seeking
	m.forgetWant(w)
	s.want, s.nearest = nil, w.nearest
	switch {
	case l.have >= s.from: // who gave it is gone
		m.catchUp(l)
	case m.whole(now):
		m.giveUp(now, l)
	}
}

// whole says whether everyone is here who was a moment ago.
func (m *Machine) whole(now time.Duration) bool {
	for _, r := range m.recordList {
		if !m.isReachable(r.version.node) {
			return false
		}
	}
	for _, q := range m.peerList {
		if q.active == nil && !q.clean && now-q.lostAt < m.cfg.GapWait {
			return false
		}
	}
	return true
}

// given takes what someone gave.
func (m *Machine) given(now time.Duration, w *want, g give) {
	if !g.more {
		m.replied(now, w)
	}
	l := m.logs[w.log]
	if l == nil || l.seeking == nil || l.seeking.want != w {
		return
	}
	prev := w.upto
	w.upto = g.upto
	switch {
	case g.upto <= l.have:
	case prev > l.have: // what comes before it was not taken
	case g.batch == nil:
		m.pass(now, l, g.upto, 0)
		m.settle(now, l)
	case g.batch.First == l.have+1 && g.age <= m.cfg.maxAge():
		m.take(now, l, g.batch, g.age)
		m.settle(now, l)
	}
	m.markAll(l, nil)
	if !g.more {
		m.catchUp(l)
	}
}

// giveUp declares what nobody has.
func (m *Machine) giveUp(now time.Duration, l *log) {
	s := l.seeking
	m.endSearch(l)
	if l.have >= s.from { // some of it has come
		m.goOn(l, s.teller)
		return
	}
	if s.nearest > 0 {
		s.last = min(s.last, s.nearest-1)
	}
	m.concede(now, l, s.teller, s.last, s.reason)
	m.goOn(l, s.teller)
}

// goOn has a peer begin a new run, for what it sent meanwhile was passed over.
func (m *Machine) goOn(l *log, q *peer) {
	if q.active != nil {
		m.askFor(q.active, l)
	}
}

// endSearch stops waiting.
func (m *Machine) endSearch(l *log) {
	s := l.seeking
	if s == nil {
		return
	}
	l.seeking = nil
	m.timers.stop(&s.timer)
	if s.want != nil {
		m.forgetWant(s.want)
	}
}

// found says whether what was looked for has come.
func (s *search) found(l *log) bool {
	return l.have >= s.from && (s.want == nil || !s.want.awaiting[s.want.giver])
}
