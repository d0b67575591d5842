package protocol

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/topic"
)

// recordVersion names one version of a node's record.
type recordVersion struct {
	node    uuid.UUID
	epoch   uint64
	version uint64
}

func (v recordVersion) append(b []byte) []byte {
	b = append(b, v.node[:]...)
	b = binary.AppendUvarint(b, v.epoch)
	return binary.AppendUvarint(b, v.version)
}

func (r *reader) recordVersion() recordVersion {
	return recordVersion{node: r.id(), epoch: r.seq(), version: r.seq()}
}

// newer compares two versions of the same node. Those of a run begin at its epoch.
func (v recordVersion) newer(w recordVersion) bool {
	return cmp.Or(cmp.Compare(v.version, w.version), cmp.Compare(v.epoch, w.epoch)) > 0
}

// record is what every node knows of one node: its neighbours and what it
// listens for (§8.1). A version never changes; a newer one replaces it.
type record struct {
	version    recordVersion
	name       string
	neighbours []uuid.UUID
	endpoints  []string // where it can be dialled
	patterns   []string // what it wants: first the live ones, then what it owes others
	live       int      // how many of them its own subscriptions have
	begun      uint64   // the lanes in which it has emitted, a bit each

	place    int     // in the list of all
	stamp    uint64  // our clock when it was stored
	prior    *record // the version before a peer that comes up brought newer ones
	set      *topic.Set[struct{}]
	change   change         // as it was told last
	parent   *peer          // who brought this version first: it gets our echo
	awaiting map[*peer]bool // who has not answered it yet
	flooded  bool           // it went to every path there was: it may be waiting on some
	sought   uint64         // of our own: the version of our patterns in it
	lostAt   time.Duration  // since when the node is out of reach; 0: it is not
	heardAt  time.Duration  // when it was passed on although it was out of reach
}

// says reports whether a record of the same node says the same.
func (r *record) says(x *record) bool {
	return r.name == x.name && r.begun == x.begun && r.live == x.live && slices.Equal(r.neighbours, x.neighbours) &&
		slices.Equal(r.endpoints, x.endpoints) && slices.Equal(r.patterns, x.patterns)
}

// newer compares two records of the same node. Where two say different things under one version, all nodes take the same
// of them: so their node hears of what it did not say, or nobody has it.
func (r *record) newer(x *record) bool {
	if r.version != x.version || r.says(x) {
		return r.version.newer(x.version)
	}
	return bytes.Compare(r.append(nil), x.append(nil)) > 0
}

func (r *record) append(b []byte) []byte {
	return r.appendTail(appendIDs(r.appendHead(b), r.neighbours))
}

// appendHead appends what comes before the neighbours.
func (r *record) appendHead(b []byte) []byte {
	b = r.version.append(b)
	b = binary.AppendUvarint(b, r.begun)
	return appendText(b, r.name)
}

// appendTail appends what comes after them.
func (r *record) appendTail(b []byte) []byte {
	for _, list := range [][]string{r.endpoints, r.patterns[:r.live], r.patterns[r.live:]} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, p := range list {
			b = appendText(b, p)
		}
	}
	return b
}

// parseRecord reads the body of a RECORD frame.
func parseRecord(body []byte) (*record, error) {
	r := reader{b: body}
	rec := r.recordHead()
	rec.neighbours = r.ids(maxNeighbours)
	return rec, r.recordTail(rec)
}

func (r *reader) recordHead() *record {
	return &record{version: r.recordVersion(), begun: r.uvarint(), name: r.text(maxName)}
}

// recordTail reads the rest, and says what was wrong with any of it.
func (r *reader) recordTail(rec *record) error {
	for range r.count(1, maxEndpoints) {
		rec.endpoints = append(rec.endpoints, r.text(maxName))
	}
	for list := range 2 {
		for range r.count(2, maxPatterns) {
			p := r.text(maxName)
			if r.err == nil && topic.ValidatePattern(p) != nil {
				return violation("record: %q is not a pattern", p)
			}
			rec.patterns = append(rec.patterns, p)
		}
		if list == 0 {
			rec.live = len(rec.patterns)
		}
	}
	return r.end("record")
}

// fewPatterns are tried one by one, in less time and room than a set of them takes.
const fewPatterns = 4

// hears says whether a subscription of the record's node, and not only someone
// it owes events, listens for the topic.
func (r *record) hears(name string) bool {
	return slices.ContainsFunc(r.patterns[:r.live], func(p string) bool { return topic.Match(p, name) })
}

// wants says whether the record's node listens for the topic, or is to keep it for
// someone who is away.
func (r *record) wants(name string) bool {
	if len(r.patterns) <= fewPatterns {
		return slices.ContainsFunc(r.patterns, func(p string) bool { return topic.Match(p, name) })
	}
	if r.set == nil {
		r.set = &topic.Set[struct{}]{}
		for _, p := range r.patterns {
			r.set.Add(p, struct{}{})
		}
	}
	return r.set.Any(name)
}

// refreshSoon renews our record at once, or together with what else changes
// within selfPace of the last time.
func (m *Machine) refreshSoon(now time.Duration) {
	if due := m.lastSelf + selfPace; due > now {
		m.timers.lower(&m.selfTimer, due)
		return
	}
	m.refreshSelf(now)
}

// refreshSelf makes a new version of our own record if anything in it changed,
// and floods it.
func (m *Machine) refreshSelf(now time.Duration) {
	m.lastSelf = now
	m.timers.stop(&m.selfTimer)
	var neighbours []uuid.UUID
	var owed []string // to those who are away
	for _, q := range m.peerList {
		if q.active != nil {
			neighbours = append(neighbours, q.id)
		}
		owed = append(owed, q.patterns...)
	}
	patterns := brief(m.patterns)
	live := len(patterns)
	patterns = append(patterns, brief(owed)...)
	begun := m.begun()
	defer m.list()
	if m.self.version.version > m.dispute.above && begun == m.self.begun && slices.Equal(neighbours, m.self.neighbours) && slices.Equal(m.endpoints, m.self.endpoints) &&
		slices.Equal(patterns, m.self.patterns) && live == m.self.live {
		if m.self.sought = m.patternsVersion; m.self.awaiting == nil {
			m.confirm()
		}
		return
	}
	v := m.self.version
	v.version = max(v.version, m.dispute.above) + 1
	m.storeRecord(&record{version: v, name: m.cfg.Name, neighbours: neighbours, endpoints: m.endpoints, patterns: patterns, live: live, begun: begun, sought: m.patternsVersion})
	m.flood(now, m.self, nil)
}

// brief is patterns without what others of them cover, or, where that is too much
// to say, the one that covers everything.
func brief(patterns []string) []string {
	patterns = topic.Minimise(patterns)
	size := 0
	for _, p := range patterns {
		size += len(p)
	}
	if len(patterns) > maxPatterns || size > maxRecordText {
		return []string{">"}
	}
	return patterns
}

// storeRecord puts a new version in the place of the old one.
func (m *Machine) storeRecord(rec *record) {
	id := rec.version.node
	if old := m.records[id]; old != nil {
		m.missing(old, 0)
		rec.place = old.place
		m.recordList[rec.place] = rec
	} else {
		rec.place = len(m.recordList)
		m.recordList = append(m.recordList, rec)
	}
	m.records[id] = rec
	m.clock++
	rec.stamp = m.clock
	m.meet(rec)
	m.chart.draw(rec, m.isPeer(id))
	if id == m.cfg.ID {
		m.self = rec
	}
}

// flood sends a record to every peer but the one it came from, and awaits their
// answers: the propagation of information with feedback of Segall (1983). An answer is
// an echo, or the same or a newer version coming the other way.
func (m *Machine) flood(now time.Duration, rec *record, from *peer) {
	rec.parent = from
	rec.awaiting = make(map[*peer]bool)
	for _, q := range m.peerList {
		if q != from && q.active != nil {
			rec.awaiting[q] = true
		}
	}
	m.forward(rec, from)
	rec.flooded = true
	m.answered(now, rec, nil)
}

// answered takes a peer off those a record awaits; when none is left, whoever
// brought it is answered.
func (m *Machine) answered(now time.Duration, rec *record, q *peer) {
	if rec.awaiting == nil {
		return
	}
	delete(rec.awaiting, q)
	if len(rec.awaiting) > 0 {
		return
	}
	rec.awaiting = nil
	if rec == m.self {
		m.confirm()
		return
	}
	if p := rec.parent.somePath(); p != nil && p.greeted { // it may be part of a snapshot
		m.echo(p, rec.version)
	}
	rec.parent = nil
}

// confirm notes that every node reachable has our record.
func (m *Machine) confirm() {
	m.confirmed = m.self.sought
	m.emit(Event{Kind: EventConfirmed, Version: m.confirmed})
}

func (m *Machine) echo(p *path, v recordVersion) {
	p.echoes = slices.DeleteFunc(p.echoes, func(x recordVersion) bool { return x.node == v.node })
	if len(p.echoes) > 2*(m.cfg.MaxOrigins+1) {
		return // of more nodes than anyone keeps records of
	}
	p.echoes = append(p.echoes, v)
	m.wakeControl(p)
}

// stopAwaiting gives up on the answers of a peer that is gone.
func (m *Machine) stopAwaiting(now time.Duration, q *peer) {
	for _, rec := range slices.Clone(m.recordList) {
		if rec.parent == q {
			rec.parent = nil
		}
		if rec.awaiting[q] {
			m.answered(now, rec, q)
		}
	}
}

func (m *Machine) handleRecord(now time.Duration, p *path, kind byte, body []byte) error {
	rec, err := p.heard.parse(kind, body)
	if err != nil {
		return err
	}
	id := rec.version.node
	if held := m.records[id]; held != nil && held.version == rec.version && slices.Equal(held.neighbours, rec.neighbours) {
		rec.neighbours = held.neighbours // what all paths remember is one list
	}
	p.heard.note(rec)
	if id == m.cfg.ID {
		m.heardSelf(now, p, rec)
		return nil
	}
	old := m.records[id]
	switch {
	case old == nil && len(m.records) > m.cfg.MaxOrigins && id != p.peer.id:
		// Whose record we do not keep may listen for anything.
		if !m.blind {
			m.blind = true
			m.interestChanged(now)
		}
		m.echo(p, rec.version)
		return nil
	case old == nil || rec.newer(old):
		if _, listed := slices.BinarySearchFunc(m.self.neighbours, p.peer.id, compareIDs); !listed && p.peer.active != nil {
			m.refreshSelf(now) // who hears of the record has to know which way it came
		}
		m.storeRecord(rec)
		if old != nil && p.peer.active == nil {
			rec.prior = old.before(p)
		}
		m.outgrow(rec, p.peer)
		m.flood(now, rec, p.peer)
		m.interestChanged(now)
		m.introduceLogs(id)
		if !m.isReachable(id) {
			m.missing(rec, now)
		}
	case old.newer(rec):
		m.queueRecord(p, old) // the peer is behind
	case old.version == rec.version && !m.isReachable(id):
		// Out of reach until now: those behind us may have dropped it, and who it
		// is behind follows. It goes around a ring only once.
		m.answered(now, old, p.peer)
		m.echo(p, old.version)
		if old.heardAt == 0 || now-old.heardAt >= recordGrace/2 {
			old.heardAt = now
			m.forward(old, p.peer)
			if old.lostAt > 0 {
				m.missing(old, now)
			}
		}
	case old.awaiting[p.peer]:
		m.answered(now, old, p.peer)
		m.echo(p, old.version)
	case old.awaiting == nil || old.parent != p.peer:
		m.echo(p, old.version) // it has to hear that we have it
	}
	return nil
}

// forward sends a record on to every peer but the one it came from.
func (m *Machine) forward(rec *record, from *peer) {
	for _, q := range m.peerList {
		if q == from {
			continue
		}
		for _, p := range q.paths {
			if p.greeted {
				m.queueRecord(p, rec)
			}
		}
	}
}

// queueRecord has a record sent on a path. Versions replaced before they went
// are not sent, and do not pile up.
func (m *Machine) queueRecord(p *path, rec *record) {
	if rec.flooded && slices.Contains(p.records, rec) {
		return
	}
	if len(p.records) > 2*len(m.recordList) {
		p.records = slices.DeleteFunc(p.records, func(r *record) bool { return m.records[r.version.node] != r })
	}
	p.records = append(p.records, rec)
	m.wakeControl(p)
}

func (m *Machine) handleEcho(now time.Duration, p *path, body []byte) error {
	r := reader{b: body}
	v := r.recordVersion()
	if err := r.end("echo"); err != nil {
		return err
	}
	if rec := m.records[v.node]; rec != nil && rec.version == v && rec.awaiting[p.peer] {
		m.answered(now, rec, p.peer)
	}
	return nil
}
