package bus_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/simnet"
)

// Everything at once: three nodes in a triangle, each two linked over both transports, and for half a minute something
// goes wrong every 300 ms. In the end everybody has everything that it listens for, once and in order.
func TestVirtualStorm(t *testing.T) {
	seeds := uint64(5)
	if raceEnabled {
		seeds = 1
	}
	for name, wants := range map[string][3][]int{
		"all":  {{1, 2}, {0, 2}, {0, 1}},
		"next": {{1}, {2}, {0}}, // so that everybody relays what it does not listen for
		"one":  {{}, {}, {0}},
	} {
		for seed := range seeds {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				virtually(t, seed, func(t *testing.T, w *world) { storm(t, w, wants, rand.New(rand.NewPCG(seed, 0))) })
			})
		}
	}
}

// storm has each node listen for the events of some others, by their places.
func storm(t *testing.T, w *world, wants [3][]int, random *rand.Rand) {
	names := []string{"a", "b", "c"}
	var nodes []*bus.Node
	receivers := make(map[[2]int]*receiver)
	for i, name := range names {
		n := w.node(name, timeoutOf(2*time.Second))
		nodes = append(nodes, n)
		for _, j := range wants[i] {
			receivers[[2]int{i, j}] = w.receiveOnly(n, names[j], nil)
		}
	}
	for i, n := range nodes {
		next := nodes[(i+1)%3]
		w.link(n, next, "quic")
		_, err := n.Connect(w.url(next, "tcp"))
		must(t, err)
	}
	w.settled(slices.Collect(maps.Values(receivers))...)
	pass(time.Second)

	const count = 2000
	var emitting sync.WaitGroup
	for i, n := range nodes {
		emitting.Go(func() { w.emit(n, names[i], 1, count, 15*ms, "") })
	}
	w.rage(random, nodes, 30*time.Second)
	emitting.Wait()
	for at, r := range receivers {
		r.exactly(names[at[1]], count, 2*time.Minute)
	}
}

// rage does something to some link every 300 ms, and makes good what it did in the end.
func (w *world) rage(random *rand.Rand, nodes []*bus.Node, span time.Duration) {
	moves := 0
	for end := time.Now().Add(span); time.Now().Before(end); pass(300 * ms) {
		i := random.IntN(3)
		a, b, scheme := nodes[i], nodes[(i+1+random.IntN(2))%3], schemes[random.IntN(2)]
		link := w.between(a, b, scheme)
		switch random.IntN(6) {
		case 0:
			link.Cut()
		case 1:
			link.OneWay().Cut()
		case 2, 3:
			link.Heal()
		case 4:
			link.Set(simnet.Conditions{Delay: time.Duration(random.IntN(60)) * ms, Loss: random.Float64() / 10,
				Reorder: random.Float64() / 5, Duplicate: random.Float64() / 10, Rate: 2_000_000 << random.IntN(6)})
		case 5:
			moves++
			w.members[a].hosts[scheme].Rebind(fmt.Sprintf("10.9.%d.%d", moves/250, 1+moves%250))
		}
	}
	for i, n := range nodes {
		for _, scheme := range schemes {
			link := w.between(n, nodes[(i+1)%3], scheme)
			link.Set(simnet.Conditions{Delay: 20 * ms})
			link.Heal()
			w.members[n].hosts[scheme].Rebind(w.members[n].homes[scheme])
		}
	}
}
