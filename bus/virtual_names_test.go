package bus_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// named is a world whose nodes have IP addresses for names, and a name server.
func named(t *testing.T, test func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config))) {
	t.Helper()
	s := newNameserver(t)
	meshed(t, func(t *testing.T, w *meshWorld) {
		test(t, w, s, func(c *bus.Config) { c.Resolver = s.resolver() })
	})
}

func meshOff(c *bus.Config) { c.Mesh = false }

// A link to a name follows it: each attempt looks it up anew, and addresses that do not answer are passed over.
func TestNameIsFollowed(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		s.set("service.test.", "10.0.0.1")
		first := w.node("10.0.0.1", meshOff)
		n := w.node("client", meshOff, resolve)
		l, err := n.Connect("mem+dns://service.test.:1")
		must(t, err)
		peer, err := l.Ready(soon(t))
		must(t, err)
		if peer.ID() != first.ID() {
			t.Errorf("it leads to %v", peer.ID())
		}
		second := w.node("10.0.0.2", meshOff)
		s.set("service.test.", "10.0.0.8", "10.0.0.9", "10.0.0.2")
		asked := s.questions("service.test.")
		pass(time.Hour)
		if more := s.questions("service.test.") - asked; more > 0 {
			t.Errorf("it was asked for %d times while the link was up", more)
		}
		must(t, first.Close())
		began := time.Now()
		for len(n.Peers()) != 1 || n.Peers()[0].ID() != second.ID() {
			pass(ms)
			if time.Since(began) > 10*time.Second {
				t.Fatal("it does not follow the name")
			}
		}
		t.Logf("it took %v", time.Since(began))
	})
}

// Of several addresses, one that fails is followed by the next at once, and one that does not answer by the next beside
// it. The node's own is passed over, and so are those of peers.
func TestNameWithSeveralAddresses(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		var all []string
		for i := range 8 {
			all = append(all, fmt.Sprintf("10.0.0.%d", i+1))
		}
		s.set("service.test.", all...)
		n := w.node(all[0], meshOff, resolve)
		w.node(all[1], meshOff)
		w.net.Link(all[0], all[2]).Stall()
		w.node(all[3], meshOff)
		w.node(all[2], meshOff)
		for i := range 2 {
			began := time.Now()
			l, err := n.Connect("mem+dns://service.test.:1")
			must(t, err)
			_, err = l.Ready(soon(t))
			must(t, err)
			if took := time.Since(began); took > 300*ms || len(n.Peers()) != i+1 {
				t.Errorf("link %d: %v, %d peers", i+1, took, len(n.Peers()))
			}
		}

		// A third leads to one of the two, and waits, without bothering anybody.
		l, err := n.Connect("mem+dns://service.test.:1")
		must(t, err)
		_, err = l.Ready(soon(t))
		must(t, err)
		pass(time.Minute)
		since := time.Now()
		pass(time.Hour)
		if dials := w.dialled(since, n); len(dials) > 0 || len(n.Peers()) != 2 {
			t.Errorf("dials %v, %d peers", dials, len(n.Peers()))
		}
	})
}

// An expected id picks the node behind a name.
func TestNameWithAnID(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		s.set("service.test.", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		for i := range 3 {
			w.node(fmt.Sprintf("10.0.0.%d", i+1), meshOff)
		}
		n := w.node("client", resolve)
		want := w.nodes["10.0.0.3"].ID()
		l, err := n.Connect(fmt.Sprintf("mem+dns://%s@service.test.:1", want))
		must(t, err)
		peer, err := l.Ready(soon(t))
		must(t, err)
		pass(time.Minute)
		if peer.ID() != want || len(n.Peers()) != 1 {
			t.Errorf("it leads to %v, and there are %d peers", peer.ID(), len(n.Peers()))
		}
	})
}

// SRV records are used by priority, and say the ports.
func TestNameOfAService(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		addresses := map[string]string{"a.test.": "10.0.0.1", "b.test.": "10.0.0.2", "c.test.": "10.0.0.3"}
		for name, address := range addresses {
			s.set(name, address)
			n := w.node(address, meshOff)
			_, err := n.Listen(t.Context(), "mem://"+address+":77")
			must(t, err)
		}
		const url = "mem+srv://_verbose._udp.test."
		s.services["_verbose._udp.test."] = []service{{30, 0, 77, "c.test."}, {10, 0, 77, "a.test."}, {20, 0, 77, "b.test."}, {5, 0, 77, "gone.test."}}
		n := w.node("client", meshOff, resolve)
		_, err := n.Connect(url)
		must(t, err)
		for _, address := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			w.awaitPeer(n, address, 10*time.Second)
			if remote := n.Topology().Members[1].Paths[0].Remote.String(); remote != address+":77" {
				t.Errorf("connected to %s", remote)
			}
			w.close(address)
		}
	})
}

// awaitPeer waits until a node has one peer, which is the one of a name.
func (w *meshWorld) awaitPeer(n *bus.Node, name string, patience time.Duration) {
	w.t.Helper()
	want := w.nodes[name].ID()
	for began := time.Now(); ; pass(ms) {
		peers := n.Peers()
		if len(peers) == 1 && peers[0].ID() == want {
			return
		}
		if time.Since(began) > patience {
			w.t.Fatalf("%d peers, and %s is not the one", len(peers), name)
		}
	}
}

// A name that is not there is asked for again, and why it failed is told.
func TestNameThatFails(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		n := w.node("client", resolve)
		for _, url := range []string{"mem+dns://service.test.:1", "mem+srv://_verbose._udp.test."} {
			stream := n.Lifecycle(soon(t))
			l, err := n.Connect(url)
			must(t, err)
			e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleBackoff && e.URL == url })
			if problem, ok := errors.AsType[*net.DNSError](e.Err); !ok || !problem.IsNotFound {
				t.Errorf("%s: %v", url, e.Err)
			}
			must(t, l.Close())
		}
		l, err := n.Connect("mem+dns://service.test.:1")
		must(t, err)
		pass(time.Minute)
		w.node("10.0.0.1")
		s.set("service.test.", "10.0.0.1")
		_, err = l.Ready(soon(t))
		must(t, err)
	})
}

// Nodes that start at the same time with a name for all of them, and nothing else, become one bus: with one link each they
// would be islands. Some advertise nothing, so that nobody can know of them but by the name.
func TestMeshOfAName(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		const count = 20
		var all []string
		for i := range count {
			all = append(all, fmt.Sprintf("10.0.0.%d", i+1))
		}
		s.set("service.test.", all...)
		for i, address := range all {
			n := w.node(address, resolve, func(c *bus.Config) {
				if i%4 == 0 {
					c.Advertise = []string{memURL("nowhere")}
				}
			})
			_, err := n.Connect("mem+dns://service.test.:1")
			must(t, err)
		}
		w.await(time.Minute, "all are members, and it has three peers", func(n *bus.Node) bool {
			return reaches(count)(n) && hasPeers(3)(n)
		})
		w.logDegrees()
		pass(10 * time.Minute)
		w.logDegrees()
		links := 0
		for _, n := range w.nodes {
			links += len(n.Peers())
		}
		if links > 2*3*count {
			t.Errorf("in the end there are %d links", links/2)
		}

		// The service moves: all but three nodes are replaced.
		for _, address := range all[3:] {
			w.close(address)
		}
		moved := slices.Clone(all[:3])
		for i := range 10 {
			address := fmt.Sprintf("10.0.1.%d", i+1)
			moved = append(moved, address)
			n := w.node(address, resolve)
			_, err := n.Connect("mem+dns://service.test.:1")
			must(t, err)
		}
		s.set("service.test.", moved...)
		w.await(2*time.Minute, "all are members, and it has three peers", func(n *bus.Node) bool {
			return reaches(len(moved))(n) && hasPeers(3)(n)
		})
	})
}

// Islands that know each other by a name alone find together, although none of them lacks peers.
func TestMeshJoinsIslandsOfAName(t *testing.T) {
	named(t, func(t *testing.T, w *meshWorld, s *nameserver, resolve func(*bus.Config)) {
		var all []string
		for i := range 12 {
			all = append(all, fmt.Sprintf("10.0.0.%d", i+1))
			w.node(all[i], resolve)
		}
		for i, address := range all {
			_, err := w.nodes[address].Connect(memURL(all[i/6*6])) // leads the first of each half to itself, which is refused
			must(t, err)
		}
		w.await(time.Minute, "its half is all it reaches, and it has three peers", func(n *bus.Node) bool {
			return reaches(6)(n) && hasPeers(3)(n)
		})
		s.set("service.test.", all...)
		for _, i := range []int{2, 8} {
			_, err := w.nodes[all[i]].Connect("mem+dns://service.test.:1")
			must(t, err)
		}
		w.await(5*time.Minute, "all are members", reaches(12))
	})
}

// What a transport is given to dial: IP addresses, of both versions, and the port of the URL or of the SRV record.
func TestAddressesBehindNames(t *testing.T) {
	s := newNameserver(t)
	s.set("service.test.", "fd00::2", "192.0.2.7")
	s.services["_verbose._udp.test."] = []service{{1, 1, 99, "service.test."}, {2, 1, 98, "other.test."}}
	n, err := bus.New(bus.Config{Transports: []bus.Transport{addresses{"one"}}, Resolver: s.resolver()})
	must(t, err)
	defer n.Close()
	for url, want := range map[string][]string{
		"one+dns://service.test.:77":    {"192.0.2.7:77", "[fd00::2]:77"},
		"one+srv://_verbose._udp.test.": {"192.0.2.7:99", "[fd00::2]:99"},
	} {
		stream := n.Lifecycle(soon(t))
		l, err := n.Connect(url)
		must(t, err)
		e := awaitLifecycle(t, stream, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleBackoff })
		got := strings.Split(e.Err.Error(), "\n")
		slices.Sort(got)
		for i, address := range want {
			want[i] = "one was given " + address
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
		must(t, l.Close())
	}
}

// Which URLs Connect takes for names, and what it says of those that are none.
func TestNamesInURLs(t *testing.T) {
	n, err := bus.New(bus.Config{Transports: []bus.Transport{addresses{"one"}, addresses{"two"}}})
	must(t, err)
	defer n.Close()
	id := uuid.New().String()
	for url, want := range map[string]string{
		"two+dns://service.test:77":             "",
		"two+dns://" + id + "@service.test:77":  "",
		"two+srv://_verbose._udp.test":          "",
		"two+dns://service.test":                "scheme+dns://name:port",
		"two+dns:///run/bus.sock":               "scheme+dns://name:port",
		"two+dns://service.test:77/path":        "scheme+dns://name:port",
		"two+dns://127.0.0.1:77":                "leave out the +dns",
		"two+dns://[::1]:77":                    "leave out the +dns",
		"two+srv://_verbose._udp.test:77":       "have the ports",
		"two+srv://_verbose._udp.test/path":     "have the ports",
		"two+srv://service.test":                "begins with _service._proto",
		"two+srv://":                            "begins with _service._proto",
		"two+srv://somebody@_verbose._udp.test": "node id before the @",
		"two+dns://service.test:77?query":       "scheme://host:port",
		"two+txt://service.test:77":             `no transport for "two+txt"`,
		"three+dns://service.test:77":           `no transport for "three+dns"`,
	} {
		l, err := n.Connect(url)
		switch {
		case want == "" && err == nil:
			must(t, l.Close())
		case want == "" || err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: error %v, want %q", url, err, want)
		}
		if _, err := n.Listen(t.Context(), url); err == nil || want == "" && !strings.Contains(err.Error(), "only Connect does") {
			t.Errorf("%s: listening there: error %v", url, err)
		}
	}
}
