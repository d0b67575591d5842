package protocol

import (
	"testing"
	"time"
)

// lie floods a record that the node made up in the name of another.
func (n *simNode) lie(rec *record) {
	n.m.storeRecord(rec)
	n.m.flood(n.w.now, rec, nil)
	n.pump()
}

// inTheMiddle is an honest relay with a victim, another node and a liar around it. Whoever relays dials.
func inTheMiddle(w *world) (relay, victim, other, liar *simNode) {
	relay, victim = w.addNode(simConfig()), w.addNode(simConfig(), "a.>")
	other, liar = w.addNode(simConfig()), w.addNode(simConfig())
	for _, n := range []*simNode{victim, other, liar} {
		w.link(relay, n)
	}
	w.rest(5 * time.Second)
	return relay, victim, other, liar
}

// A record that a member made up in the name of another harms that for no longer than the flood that replaces it.
func TestRecordOfAnotherIsReplacedByTheTruth(t *testing.T) {
	for name, lie := range map[string]func(v recordVersion) *record{
		"later version": func(v recordVersion) *record { v.version += 1 << 40; return &record{version: v} },
		"last version":  func(v recordVersion) *record { v.version = mostVersion - 1; return &record{version: v} },
		"next version": func(v recordVersion) *record {
			v.version++
			return &record{version: v, patterns: []string{"b"}, live: 1}
		},
		"later epoch":     func(v recordVersion) *record { v.epoch++; v.version++; return &record{version: v} },
		"earlier epoch":   func(v recordVersion) *record { v.epoch--; v.version++; return &record{version: v} },
		"far later epoch": func(v recordVersion) *record { v.epoch, v.version = 1<<60, 1<<60; return &record{version: v} },
	} {
		t.Run(name, func(t *testing.T) {
			scene(t, func(w *world) {
				relay, victim, other, liar := inTheMiddle(w)
				liar.lie(lie(victim.m.self.version))
				w.runFor(time.Second)
				other.emitMany(5, "a.x")
				w.rest(5 * time.Second)
				victim.want(other.log(0), "1-5")
				for v := victim.setExtra("c"); victim.m.Confirmed() < v; w.runFor(time.Millisecond) {
					w.expect(w.now < 20*time.Second, "never confirmed")
				}
				victim.emitMany(3, "b.x")
				w.rest(5 * time.Second)
				for _, n := range w.nodes {
					w.expect(len(n.saw(EventClose)) == 0, "%s closed %+v", n, n.saw(EventClose))
					w.expect(len(n.m.records[victim.id].patterns) == 2, "%s has %+v", n, n.m.records[victim.id])
				}
				w.expect(relay.m.logs[victim.log(0)].have == 3, "the victim is not heard")
			})
		})
	}
}

// Both made the same version, and each node has what came first.
func TestVersionOfAnothersMakingIsNotTakenForAnAnswer(t *testing.T) {
	for _, name := range []string{"", "z"} { // one is less than what is true, the other more
		scene(t, func(w *world) {
			_, victim, other, liar := inTheMiddle(w)
			v := victim.m.self.version
			v.version++
			liar.lie(&record{version: v, name: name})
			victim.setExtra("b.>")
			w.rest(5 * time.Second)
			other.emitMany(2, "b.x")
			w.rest(5 * time.Second)
			victim.want(other.log(0), "1-2")
		})
	}
}

// Two runs of a node that have no neighbour in common: the older cannot know whether what it is told of the newer is
// true, but leaves it its record soon enough, and says so.
func TestOlderRunElsewhereGivesWay(t *testing.T) {
	scene(t, func(w *world) {
		a, b, o := w.addNode(simConfig()), w.addNode(simConfig(), "a.>"), w.addNode(simConfig())
		w.link(a, b)
		w.link(a, o)
		w.rest(5 * time.Second)
		newer := w.twin(b, b.cfg.Epoch+simRun/2)
		newer.patterns = []string{"b.>"}
		newer.setExtra()
		w.connect(newer, o, 99, 1)
		w.runFor(time.Minute)
		told := len(b.saw(EventDisputed))
		w.expect(told > 1 && told < 10, "the older run claimed its record %d times in a minute", told)
		for _, n := range []*simNode{a, o} {
			r := n.m.records[b.id]
			w.expect(r.version == newer.m.self.version && r.patterns[0] == "b.>", "%s has %+v", n, r)
		}
		w.expect(newer.m.Confirmed() == newer.m.patternsVersion, "the newer run is not confirmed")
		o.emitMany(2, "b.x")
		w.runFor(500 * time.Millisecond)
		newer.want(o.log(0), "1-2")
		before := len(b.saw(EventDisputed))
		w.runFor(time.Hour)
		w.expect(len(b.saw(EventDisputed))-before < 8, "the older run goes on and on: %d times", len(b.saw(EventDisputed)))
	})
}

// Numbers end somewhere. There a node is told of what it cannot replace, and goes on.
func TestLastOfAllRecordsStands(t *testing.T) {
	scene(t, func(w *world) {
		_, victim, _, liar := inTheMiddle(w)
		liar.lie(&record{version: recordVersion{victim.id, victim.cfg.Epoch, epochSlack - 1}})
		w.runFor(10 * time.Second)
		for _, n := range w.nodes {
			w.expect(len(n.saw(EventClose)) == 0, "%s closed %+v", n, n.saw(EventClose))
		}
		w.expect(len(victim.saw(EventDisputed)) == 1, "told of %+v", victim.saw(EventDisputed))
	})
}

// The log of a run whose record was disputed is still the one of a run that is alive, also after a while.
func TestDisputedRunIsStillAlive(t *testing.T) {
	scene(t, func(w *world) {
		_, victim, other, liar := inTheMiddle(w)
		liar.lie(&record{version: recordVersion{victim.id, victim.cfg.Epoch + 1, 1 << 60}})
		w.rest(5 * time.Second)
		other.setExtra("b.>")
		w.rest(5 * time.Second)
		victim.emitMany(3, "b.x")
		w.rest(5 * time.Second)
		w.runFor(simConfig().maxAge() + time.Minute)
		victim.emitMany(3, "b.x")
		w.rest(5 * time.Second)
		other.want(victim.log(0), "1-6")
		w.expect(len(other.saw(EventGap)) == 0, "ends: %+v", other.saw(EventGap))
	})
}
