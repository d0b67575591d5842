package protocol

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"testing"
)

// drawLarge grows a tree of 3 to 60 nodes and adds links to it: few, or as many as nodes. Small ones are
// more frequent, for what goes wrong there is easier to read.
func drawLarge(w *world) topology {
	t := topology{name: "large", nodes: 3 + w.rng.IntN(1+w.rng.IntN(58))}
	for i := 1; i < t.nodes; i++ {
		t.links = append(t.links, [2]int{i, w.rng.IntN(i)})
	}
	for range w.rng.IntN(1 + t.nodes) {
		a, b := w.rng.IntN(t.nodes), w.rng.IntN(t.nodes)
		if a != b && !slices.Contains(t.links, [2]int{a, b}) {
			t.links = append(t.links, [2]int{a, b})
		}
	}
	t.name = fmt.Sprintf("%d nodes, %d links", t.nodes, len(t.links))
	return t
}

// attemptLarge is [attempt] on a large network.
func attemptLarge(seed uint64, tracef func(string, ...any)) (s storm, frames int, err error) {
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
	s.topology = drawLarge(w)
	s.run(w)
	return s, w.frames, nil
}

// Storms over networks of up to 60 nodes, with all that [TestSimulation] holds the small ones to.
func TestLargeSimulation(t *testing.T) { simulate(t, "TestLargeSimulation", 20, attemptLarge) }

func TestLargeSimulationLong(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1, and -timeout 1h, for 10,000 storms over large networks: a quarter of an hour")
	}
	simulate(t, "TestLargeSimulation", 10000, attemptLarge)
}
