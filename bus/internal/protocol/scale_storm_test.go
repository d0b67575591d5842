package protocol

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
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
func TestLargeSimulation(t *testing.T) { largeSimulation(t, 10) }

func TestLargeSimulationLong(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for 50 storms over large networks, and more with -seeds")
	}
	largeSimulation(t, 50)
}

// largeSimulation tries as many seeds, or as many as the flag says if it is given.
func largeSimulation(t *testing.T, seeds int64) {
	if *simSeed >= 0 {
		s, frames, err := attemptLarge(uint64(*simSeed), t.Logf)
		t.Logf("%v: %d frames", s, frames)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if flag.Lookup("seeds").DefValue != flag.Lookup("seeds").Value.String() {
		seeds = int64(*simSeeds)
	}
	var (
		next, frames, failed atomic.Int64
		wg                   sync.WaitGroup
	)
	for range 2 {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < seeds && failed.Load() < int64(*simFailures); seed = next.Add(1) - 1 {
				s, n, err := attemptLarge(uint64(seed), nil)
				frames.Add(int64(n))
				if err != nil {
					failed.Add(1)
					t.Errorf("seed %d (%v): %v\nreplay: go test ./bus/internal/protocol -run 'TestLargeSimulation$' -seed %d -v", seed, s, err, seed)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds, %d frames", min(next.Load(), seeds), frames.Load())
}
