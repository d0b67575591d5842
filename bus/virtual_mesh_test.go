package bus_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// meshWorld is an in-memory network of nodes that look for peers by themselves, in virtual time. It notes every dial.
type meshWorld struct {
	t     *testing.T
	net   *bustest.Network
	nodes map[string]*bus.Node

	mu    sync.Mutex
	dials []attempt
}

// attempt is one of a node to connect.
type attempt struct {
	from *bus.Node
	to   string // URL
	at   time.Time
}

func meshed(t *testing.T, test func(t *testing.T, w *meshWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, &meshWorld{t: t, net: bustest.NewNetwork(1), nodes: make(map[string]*bus.Node)})
	})
}

func meshOn(c *bus.Config) { c.Mesh = true }

// node makes a node with a mesh that listens at the URL mem://name:1.
func (w *meshWorld) node(name string, configure ...func(*bus.Config)) *bus.Node {
	w.t.Helper()
	n := w.net.Node(w.t, name, append([]func(*bus.Config){meshOn}, configure...)...)
	w.watch(n)
	w.nodes[name] = n
	return n
}

func (w *meshWorld) watch(n *bus.Node) {
	stream := n.Lifecycle(context.Background())
	go func() { // ends with the node
		for e := range stream {
			if e.Kind == bus.LifecycleConnect {
				w.mu.Lock()
				w.dials = append(w.dials, attempt{n, e.URL, e.At})
				w.mu.Unlock()
			}
		}
	}()
}

// dialled counts the dials since some time, by URL: those of all nodes, or of some.
func (w *meshWorld) dialled(since time.Time, by ...*bus.Node) map[string]int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	count := make(map[string]int)
	for _, d := range w.dials {
		if !d.at.Before(since) && (len(by) == 0 || slices.Contains(by, d.from)) {
			count[d.to]++
		}
	}
	return count
}

// worst is the most dials within a span since some time: of those to the same address, or of all. Those to one URL do not count.
func (w *meshWorld) worst(span time.Duration, since time.Time, except string, toOne bool) (most int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(w.dials, func(a, b attempt) int { return a.at.Compare(b.at) })
	for i, first := range w.dials {
		if first.at.Before(since) || first.to == except {
			continue
		}
		count := 0
		for _, d := range w.dials[i:] {
			if (d.to == first.to || !toOne && d.to != except) && d.at.Sub(first.at) < span {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

// wantCalm fails the test if since some time a node was dialled by many within a second, or many dialled at the same moment. When a
// node dials is chance: of 30, 11 were seen within 100 ms in one run of hundred, and a crowd is all of them.
func (w *meshWorld) wantCalm(since time.Time, nodes int) {
	w.t.Helper()
	toOne, all := w.worst(time.Second, since, memURL("n0"), true), w.worst(100*ms, since, memURL("n0"), false)
	w.t.Logf("at most, one node was dialled %d times within a second, and all together %d times within 100 ms", toOne, all)
	if toOne > nodes/3 || all > nodes/2 {
		w.t.Errorf("a node was dialled %d times within a second, and all together %d times within 100 ms", toOne, all)
	}
}

func memURL(name string) string { return "mem://" + name + ":1" }

// many makes nodes that know the first one and nothing else.
func (w *meshWorld) many(count int, configure ...func(*bus.Config)) (links []*bus.Link) {
	w.t.Helper()
	for i := range count {
		n := w.node(fmt.Sprint("n", i), configure...)
		if i > 0 {
			l, err := n.Connect(memURL("n0"))
			must(w.t, err)
			links = append(links, l)
		}
	}
	return links
}

// await waits until something is true of every node that is not closed.
func (w *meshWorld) await(patience time.Duration, what string, ok func(n *bus.Node) bool) {
	w.t.Helper()
	for began := time.Now(); ; pass(100 * ms) {
		bad := 0
		for _, n := range w.nodes {
			if !ok(n) {
				bad++
			}
		}
		if bad == 0 {
			return
		}
		if time.Since(began) > patience {
			w.t.Fatalf("%v later, not so of %d nodes: %s", patience, bad, what)
		}
	}
}

func hasPeers(least int) func(*bus.Node) bool {
	return func(n *bus.Node) bool { return len(n.Peers()) >= least }
}

// reaches is whether a node knows so many, itself included.
func reaches(count int) func(*bus.Node) bool {
	return func(n *bus.Node) bool { return len(n.Topology().Members) == count }
}

// close ends a node.
func (w *meshWorld) close(name string) {
	w.t.Helper()
	must(w.t, w.nodes[name].Close())
	delete(w.nodes, name)
}

// Thirty nodes know one. It is enough for each to have three peers, and one can then do without the first. No node is
// dialled by all others at once.
func TestMeshGrowsFromOneMember(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 30
		began := time.Now()
		w.many(count)
		w.await(20*time.Second, "it has three peers, and all are members", func(n *bus.Node) bool {
			return hasPeers(3)(n) && reaches(count)(n)
		})
		t.Logf("it took %v", time.Since(began))
		pass(time.Minute)
		w.logDegrees()
		w.wantCalm(began, count)

		quiet := time.Now()
		pass(10 * time.Minute)
		if dials := w.dialled(quiet); len(dials) > 0 {
			t.Errorf("with peers enough, it dials: %v", dials)
		}

		lost := time.Now()
		w.close("n0")
		w.await(30*time.Second, "all others are members", reaches(count-1))
		w.await(30*time.Second, "it has three peers", hasPeers(3))
		pass(time.Minute)
		w.logDegrees()
		w.wantCalm(lost, count)
		w.await(0, "all others are members", reaches(count-1))
	})
}

func (w *meshWorld) logDegrees() {
	degrees, furthest := make(map[int]int), 0
	for _, n := range w.nodes {
		members := n.Topology().Members
		degrees[len(n.Peers())]++
		furthest = max(furthest, members[len(members)-1].Distance)
	}
	w.t.Logf("nodes by their peers: %v; the furthest is %d links away", degrees, furthest)
}

// cutOffBy is a node that another has no way to but through a third, or "".
func (w *meshWorld) cutOffBy(third, other string) (name string) {
	byID := make(map[uuid.UUID]string)
	for name, n := range w.nodes {
		byID[n.ID()] = name
	}
	reached := map[string]bool{third: true}
	var visit func(name string)
	visit = func(name string) {
		if !reached[name] {
			reached[name] = true
			for _, p := range w.nodes[name].Peers() {
				visit(byID[p.ID()])
			}
		}
	}
	visit(other)
	for name := range w.nodes {
		if !reached[name] {
			return name
		}
	}
	return ""
}

// Links within a mesh carry events as any others do: everybody gets everything, also while the one that all knew first dies.
func TestMeshDelivers(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		w.many(8)
		all := &world{network: &network{t: t}}
		var receivers []*receiver
		for name, n := range w.nodes {
			if name != "n0" && name != "n1" {
				receivers = append(receivers, all.receive(n))
			}
		}
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		if name := w.cutOffBy("n0", "n1"); name != "" { // what n0 alone holds would die with it: about one run in eighty
			_, err := w.nodes["n1"].Connect(memURL(name))
			must(t, err)
			w.await(20*time.Second, "n0 alone joins nobody", func(*bus.Node) bool { return w.cutOffBy("n0", "n1") == "" })
		}
		all.settled(receivers...)
		var emitting sync.WaitGroup
		emitting.Go(func() { all.emit(w.nodes["n1"], "x", 1, 1000, 20*ms, "") })
		pass(5 * time.Second)
		w.close("n0")
		emitting.Wait()
		for _, r := range receivers {
			r.exactly("x", 1000, time.Minute)
		}
	})
}

// Two halves that are cut off from each other find back, also when each has peers enough and nobody has a link
// of their own to the other half.
func TestMeshIslandsHeal(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 12
		links := w.many(count)
		w.await(20*time.Second, "it has three peers, and all are members", func(n *bus.Node) bool {
			return hasPeers(3)(n) && reaches(count)(n)
		})
		for _, l := range links {
			must(t, l.Close())
		}
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		pass(time.Minute)

		w.halves(count, (*bustest.Link).Cut)
		w.await(30*time.Second, "its half is all it reaches", reaches(count/2))
		w.await(30*time.Second, "it has three peers", hasPeers(3))
		pass(10 * time.Minute)
		healed := time.Now()
		w.halves(count, (*bustest.Link).Heal)
		w.await(time.Minute, "all are members", reaches(count))
		t.Logf("it took %v", time.Since(healed))
		w.logDegrees()

		// What is out of reach for long is forgotten.
		w.halves(count, (*bustest.Link).Cut)
		pass(2 * time.Hour)
		quiet := time.Now()
		pass(time.Hour)
		if dials := w.dialled(quiet); len(dials) > 0 {
			t.Errorf("after two hours, it is still dialled: %v", dials)
		}
	})
}

func (w *meshWorld) halves(count int, do func(*bustest.Link)) {
	for i := range count / 2 {
		for j := count / 2; j < count; j++ {
			do(w.net.Link(fmt.Sprint("n", i), fmt.Sprint("n", j)))
		}
	}
}

// A member that is gone is looked for by all together, and not by each.
func TestMeshSearchIsShared(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 40
		links := w.many(count)
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		for _, l := range links {
			must(t, l.Close())
		}
		w.await(30*time.Second, "it has three peers", hasPeers(3))
		closed := time.Now()
		w.close("n7")
		pass(4 * time.Second)
		if dials := w.dialled(closed)[memURL("n7")]; dials > 4 {
			t.Errorf("it left, and was dialled %d times in 4 s", dials)
		}
		pass(time.Minute)
		since := time.Now()
		pass(10 * time.Minute)
		dials := w.dialled(since)
		if got := dials[memURL("n7")]; got < 60 || got > 240 || len(dials) > 1 {
			t.Errorf("dials in ten minutes: %v; want about one in 5 s", dials)
		}
	})
}

// A connection that is lost and comes back soon is not replaced: otherwise each such loss would leave one more.
func TestMeshWaitsForALostPeer(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 10
		w.many(count)
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		pass(time.Minute)
		before := w.peers()
		for i := range count {
			// The second is lost so that there is news meanwhile.
			links := []*bustest.Link{w.lose(fmt.Sprint("n", i)), nil}
			pass(1500 * ms)
			links[1] = w.lose(fmt.Sprint("n", (i+1)%count))
			pass(1500 * ms)
			for _, l := range links {
				l.Heal()
			}
			pass(30 * time.Second)
		}
		if after := w.peers(); !maps.EqualFunc(before, after, slices.Equal) {
			t.Errorf("there were %v, and now %v", before, after)
		}
	})
}

// lose cuts a node off from one of its peers.
func (w *meshWorld) lose(name string) *bustest.Link {
	w.t.Helper()
	peers := w.peers()[name]
	l := w.net.Link(name, peers[len(peers)-1])
	l.Cut()
	return l
}

// peers are those of each node, by names.
func (w *meshWorld) peers() map[string][]string {
	names := make(map[uuid.UUID]string)
	for name, n := range w.nodes {
		names[n.ID()] = name
	}
	all := make(map[string][]string)
	for name, n := range w.nodes {
		for _, p := range n.Peers() {
			all[name] = append(all[name], names[p.ID()])
		}
		slices.Sort(all[name])
	}
	return all
}

// A link between two members that does not come back makes room for another, and is not tried for ever.
func TestMeshReplacesALostPeer(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 10
		links := w.many(count)
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		for _, l := range links {
			must(t, l.Close())
		}
		w.await(30*time.Second, "it has three peers", hasPeers(3))
		peers := w.peers()["n3"]
		for _, name := range peers[:min(len(peers), count-4)] { // three others are left
			w.net.Link("n3", name).Cut()
		}
		w.await(time.Minute, "it has three peers", hasPeers(3))
		pass(10 * time.Minute)
		since := time.Now()
		pass(time.Hour)
		if dials := w.dialled(since); len(dials) > 0 {
			t.Errorf("it still dials: %v", dials)
		}
	})
}

// A node whose first peers leave within moments dials those it heard of, also if it never had the time to look for more.
func TestMeshRemembersWhoWasHereForAMoment(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		const count = 10
		links := w.many(count)
		pass(50 * ms) // less than the pause before a dial
		for _, l := range links {
			must(t, l.Close())
		}
		w.await(30*time.Second, "all are members, and it has three peers", func(n *bus.Node) bool {
			return reaches(count)(n) && hasPeers(3)(n)
		})
	})
}

// A member that can't be dialled is not dialled again and again, although peers are lacking.
func TestMeshBacksOff(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		hidden := func(c *bus.Config) { c.Advertise = []string{memURL("nowhere")} }
		w.node("n0")
		for _, name := range []string{"a", "b"} {
			_, err := w.node(name, hidden).Connect(memURL("n0"))
			must(t, err)
		}
		pass(time.Minute)
		since := time.Now()
		pass(time.Hour)
		if dials := w.dialled(since)[memURL("nowhere")]; dials < 60 || dials > 240 {
			t.Errorf("%d dials in an hour by two nodes, want one in a minute by each", dials)
		}
	})
}

// A node that has MaxPeers looks for nobody, also where others are out of reach.
func TestMeshRespectsMaxPeers(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		links := w.many(8)
		full := w.node("full", func(c *bus.Config) { c.MaxPeers = 3 })
		_, err := full.Connect(memURL("n0"))
		must(t, err)
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		for _, l := range links {
			must(t, l.Close())
		}
		peers := w.peers()["full"]
		w.close(slices.DeleteFunc([]string{"n1", "n2", "n3", "n4"}, func(name string) bool { return slices.Contains(peers, name) })[0])
		w.await(30*time.Second, "it has three peers", hasPeers(3))
		since := time.Now()
		pass(30 * time.Minute)
		if dials := w.dialled(since, full); len(dials) > 0 {
			t.Errorf("it dials %v", dials)
		}
		if dials := w.dialled(since); len(dials) == 0 {
			t.Error("nobody else looks for who is gone")
		}
	})
}

// MeshDegree says how many peers are enough.
func TestConfigMeshDegree(t *testing.T) {
	for _, degree := range []int{1, 5} {
		meshed(t, func(t *testing.T, w *meshWorld) {
			w.many(12, func(c *bus.Config) { c.MeshDegree = degree })
			w.await(20*time.Second, "it has as many peers", hasPeers(degree))
			pass(time.Minute)
			if single := w.peers()["n5"]; degree == 1 && len(single) > 1 {
				t.Errorf("one peer is enough, and it has %v", single)
			}
		})
	}
}

// After Disconnect, nobody is dialled until Connect.
func TestMeshRestsAfterDisconnect(t *testing.T) {
	meshed(t, func(t *testing.T, w *meshWorld) {
		w.many(5)
		n := w.node("shy", func(c *bus.Config) { c.Advertise = []string{memURL("nowhere")} })
		_, err := n.Connect(memURL("n0"))
		must(t, err)
		w.await(20*time.Second, "it has three peers", hasPeers(3))
		for range 10 {
			must(t, n.Disconnect())
			since := time.Now()
			pass(10 * time.Minute)
			if dials := w.dialled(since, n); len(dials) > 0 || len(n.Peers()) > 0 {
				t.Errorf("after Disconnect, it dials %v and has %d peers", dials, len(n.Peers()))
			}
			_, err = n.Connect(memURL("n1"))
			must(t, err)
			w.await(20*time.Second, "it has three peers", hasPeers(3))
		}
	})
}
