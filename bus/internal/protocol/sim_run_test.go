package protocol

import (
	"flag"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simSeed     = flag.Int64("seed", -1, "replay one seed of the simulation, with a trace")
	simSeeds    = flag.Int("seeds", 0, "seeds that a simulation tries, instead of what is usual")
	simFailures = flag.Int("failures", 5, "failing seeds after which the simulation gives up")
)

// topology is a set of links, as pairs of node numbers: who dials, and whom.
type topology struct {
	name  string
	nodes int
	links [][2]int
}

var topologies = []topology{
	{"pair", 2, [][2]int{{0, 1}}},
	{"chain", 4, [][2]int{{1, 0}, {1, 2}, {2, 3}}},
	{"star", 4, [][2]int{{1, 0}, {2, 0}, {3, 0}}},
	{"long", 5, [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}}},
	{"ring", 4, [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 0}}},
	{"diamond", 4, [][2]int{{0, 1}, {0, 2}, {1, 3}, {2, 3}}},
	{"mesh", 4, [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}},
}

// drawTopology picks a graph, or grows a tree and adds some links to it.
func drawTopology(w *world) topology {
	if w.chance(0.7) {
		return pick(w, topologies)
	}
	t := topology{name: "random", nodes: 3 + w.rng.IntN(4)}
	for i := 1; i < t.nodes; i++ {
		t.links = append(t.links, [2]int{i, w.rng.IntN(i)})
	}
	for range w.rng.IntN(4) {
		a, b := w.rng.IntN(t.nodes), w.rng.IntN(t.nodes)
		if a != b && !slices.Contains(t.links, [2]int{a, b}) {
			t.links = append(t.links, [2]int{a, b})
		}
	}
	return t
}

// storm is what happens in one run: where, how much, and what.
type storm struct {
	topology
	small    bool // buffers that overflow while a peer is away
	bulk     bool // batches that fill windows
	churn    bool // interest comes and goes
	restarts bool
	moves    bool // links are added to other nodes while old ones are down
	both     bool // some links are dialled from both sides
	tardy    bool // writers take their time, now and then
	length   time.Duration
}

func (s storm) String() string {
	var b strings.Builder
	b.WriteString(s.name)
	for _, f := range []struct {
		name string
		on   bool
	}{{"small", s.small}, {"bulk", s.bulk}, {"churn", s.churn}, {"restarts", s.restarts}, {"moves", s.moves}, {"both", s.both}, {"tardy", s.tardy}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}

func (s *storm) draw(w *world) {
	*s = storm{
		topology: drawTopology(w),
		small:    w.chance(0.2), bulk: w.chance(0.15), churn: w.chance(0.3), restarts: w.chance(0.25), moves: w.chance(0.3), both: w.chance(0.5), tardy: w.chance(0.3),
		length: w.between(2*time.Second, 25*time.Second),
	}
}

// attempt runs a seed, and returns what it broke.
func attempt(seed uint64, tracef func(string, ...any)) (s storm, frames int, err error) {
	w := newWorld(seed)
	w.tracef = tracef
	defer func() {
		frames = w.frames
		switch p := recover().(type) {
		case nil:
		case simFailure:
			err = fmt.Errorf("%s", p.text)
		default:
			err = fmt.Errorf("at %v: panic: %v\n%s", w.now, p, debug.Stack())
		}
	}()
	s.draw(w)
	s.run(w)
	return s, w.frames, nil
}

// run lets a network come up, weathers the storm, and expects it to come to rest complete.
func (s storm) run(w *world) {
	w.trace("storm: %v", s)
	s.build(w)
	w.settle(20 * time.Second)
	end := w.now + s.length
	s.emitters(w, end)
	s.weather(w, end)
	w.runUntil(end)
	s.clear(w)
	w.settle(90 * time.Second)
	w.runFor(5 * time.Second) // what still goes on at rest: positions told, records forgotten
	w.settle(10 * time.Second)
	w.checkComplete()
	s.checkGaps(w)
	w.checkTrees()
	s.checkQuiet(w)
}

func (s storm) build(w *world) {
	w.lanes, w.tardy = 1+w.rng.IntN(3), s.tardy
	for range s.nodes {
		cfg := simConfig()
		cfg.MaxOrigins = max(cfg.MaxOrigins, 20*s.nodes)
		if s.small {
			cfg.BufferMax = 5 + w.rng.IntN(20)
		}
		if s.bulk {
			cfg.ReceiveBytes = int64(w.rng.IntN(1 << 18))
		}
		var patterns []string
		for range w.rng.IntN(3) {
			patterns = append(patterns, pick(w, []string{">", "a.>", "a.*", "b.x", "*.x", "c.y.z", "c.>"}))
		}
		n := w.addNode(cfg, patterns...)
		if w.chance(0.3) {
			n.consumers = 2
		}
		if w.chance(0.4) {
			most := w.between(0, 300*time.Millisecond)
			n.work = func() time.Duration { return w.between(0, most) }
		}
	}
	for _, l := range s.links {
		w.link(w.nodes[l[0]], w.nodes[l[1]])
		if s.both && w.chance(0.6) && !slices.Contains(s.links, [2]int{l[1], l[0]}) {
			w.link(w.nodes[l[1]], w.nodes[l[0]])
		}
	}
}

// emitters emit from random nodes on random lanes.
func (s storm) emitters(w *world, end time.Duration) {
	var next func()
	next = func() {
		if n := pick(w, w.nodes); n.m != nil {
			if lane := w.rng.IntN(w.lanes); !n.full(lane) {
				var topics []string
				for range 1 + w.rng.IntN(4) {
					topics = append(topics, pick(w, simTopics))
				}
				payload := 8
				if s.bulk {
					payload = w.rng.IntN(12 << 10)
				}
				n.emit(lane, payload, topics...)
			}
		}
		if d := w.between(0, 2*s.length/60); w.now+d < end {
			w.after(d, next)
		}
	}
	w.after(0, next)
}

// weather plans what goes wrong until the end.
func (s storm) weather(w *world, end time.Duration) {
	for range 2 + w.rng.IntN(12) {
		w.plan.add(w.between(w.now, end), func() { s.strike(w) })
	}
}

func (s storm) strike(w *world) {
	n := pick(w, w.nodes)
	switch k := w.rng.IntN(14); {
	case k < 4 && len(w.conns) > 0:
		pick(w, w.conns).cut()
	case k < 6:
		l := pick(w, w.links)
		for _, x := range w.links { // both ways of a link that both sides dial
			if x.from == l.from && x.to == l.to || x.from == l.to && x.to == l.from {
				x.outage(w.between(100*time.Millisecond, 15*time.Second))
			}
		}
	case k < 8 && len(w.conns) > 0:
		pick(w, w.conns).stall(w.rng.IntN(2), w.between(50*time.Millisecond, 8*time.Second))
	case k < 9 && len(w.conns) > 0:
		pick(w, w.conns).mute = true
		w.disturb(2 * simConfig().Timeout)
	case k < 10:
		n.hold()
		w.after(w.between(100*time.Millisecond, 5*time.Second), n.letGo)
	case s.churn && n.m != nil:
		n.setExtra(pick(w, []string{">", "a.y", "b.*", "c.y.>"}))
		if w.chance(0.5) {
			m := n.m
			w.after(w.between(0, 3*time.Second), func() {
				if n.m == m {
					n.setExtra()
				}
			})
		}
	case k < 13 && s.moves && n.m != nil:
		s.move(w, n)
	case s.restarts && n.m != nil:
		n.kill()
		w.after(w.between(10*time.Millisecond, 8*time.Second), n.boot)
	}
}

// move takes a node's links down, or some of them, and joins it to the network elsewhere.
func (s storm) move(w *world, n *simNode) {
	for _, l := range w.links {
		if (l.from == n || l.to == n) && w.chance(0.8) {
			l.outage(w.between(100*time.Millisecond, 15*time.Second))
		}
	}
	to := pick(w, w.nodes)
	linked := slices.ContainsFunc(w.links, func(l *simLink) bool { return l.from == n && l.to == to })
	if to != n && !linked && len(w.links) < 3*len(w.nodes) {
		w.trace("%s: joins %s", n, to)
		w.moved = true
		w.link(n, to)
	}
}

func (l *simLink) outage(d time.Duration) {
	l.down = true
	if l.conn != nil {
		l.conn.cut()
	}
	l.w.after(d, func() { l.down = false })
}

// clear ends the storm.
func (s storm) clear(w *world) {
	w.trace("clear")
	for _, l := range w.links {
		l.down = false
	}
	for _, n := range w.nodes {
		n.letGo()
	}
}

// checkGaps allows no gap where nothing was forced out and nobody died or left. Interest that
// grew while a link was going down makes a node doubt what comes over that link next, and say so
// if nobody else can tell.
func (s storm) checkGaps(w *world) {
	if s.small || s.restarts || s.moves || s.churn {
		return
	}
	for _, n := range w.nodes {
		if n.inbox.gapCount() > 0 {
			w.failf("%s: reported a gap without a reason", n)
		}
	}
}

// checkQuiet expects nothing but keepalives from now on.
func (s storm) checkQuiet(w *world) {
	w.runFor(10 * time.Second) // forgetting of records, and the like
	before, conns := w.frames, len(w.conns)
	const wait = 30 * time.Second
	w.runFor(wait)
	if most := 2 * conns * int(wait/(simConfig().Timeout/3)+3); w.frames-before > most {
		w.failf("%d frames over %d connections in %v at rest, at most %d expected", w.frames-before, conns, wait, most)
	}
}

// A seed has to repeat its run, or a failure could not be looked into.
func TestSimulationRepeats(t *testing.T) {
	play := func(seed uint64) (hash uint64) {
		h := fnv.New64a()
		attempt(seed, func(format string, args ...any) { fmt.Fprintf(h, format, args...) })
		return h.Sum64()
	}
	for seed := range uint64(30) {
		if first, second := play(seed), play(seed); first != second {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

func TestSimulation(t *testing.T) {
	seeds := 3000
	if raceEnabled { // a machine has one goroutine
		seeds = 300
	}
	simulate(t, "TestSimulation", seeds, attempt)
}

// simulate tries as many seeds, or as many as the flag says if it is given, or one.
func simulate(t *testing.T, name string, seeds int, attempt func(uint64, func(string, ...any)) (storm, int, error)) {
	if *simSeed >= 0 {
		s, frames, err := attempt(uint64(*simSeed), t.Logf)
		t.Logf("%v: %d frames", s, frames)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if *simSeeds > 0 {
		seeds = *simSeeds
	}
	var (
		next, frames, failed atomic.Int64
		wg                   sync.WaitGroup
	)
	for range 2 {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < int64(seeds) && failed.Load() < int64(*simFailures); seed = next.Add(1) - 1 {
				s, n, err := attempt(uint64(seed), nil)
				frames.Add(int64(n))
				if err != nil {
					failed.Add(1)
					t.Errorf("seed %d (%v): %v\nreplay: go test ./bus/internal/protocol -run '%s$' -seed %d -v", seed, s, err, name, seed)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds, %d frames", min(next.Load(), int64(seeds)), frames.Load())
}

// What a seed takes, over all networks and for those of three nodes alone.
func BenchmarkSimulation(b *testing.B) {
	for name, nodes := range map[string]int{"all": 0, "three nodes": 3} {
		b.Run(name, func(b *testing.B) {
			seed, frames := uint64(0), 0
			for b.Loop() {
				for seed++; nodes > 0 && nodesOf(seed) != nodes; seed++ {
				}
				_, n, err := attempt(seed, nil)
				if err != nil {
					b.Fatal(err)
				}
				frames += n
			}
			b.ReportMetric(float64(frames)/float64(b.N), "frames/seed")
		})
	}
}

// nodesOf is how many nodes the network of a seed has.
func nodesOf(seed uint64) int {
	var s storm
	s.draw(newWorld(seed))
	return s.nodes
}
