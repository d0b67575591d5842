//go:build unix

package bus_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/certs"
)

var meshSeed = flag.Uint64("mesh-seed", 0, "the links and the kills of the mesh tests; 0 chooses")

const (
	meshSpared = 4 // nodes that are never killed

	// meshOutage is how long a killed node is away at most.
	meshOutage = 1500 * time.Millisecond
)

// TestMesh has twelve processes, linked over QUIC and TCP in cycles, that all emit and all listen, while some are
// killed and started again under their ids.
//
// First one at a time, and the next one only when all have what was emitted until then. A node that was away then goes
// on where it was. After that several at once, and again before they are whole. Whatever is lost with those that are
// killed, each of the others gets every event of every run of every node once, in order, or is told that it misses
// exactly that; and they all get equally far.
func TestMesh(t *testing.T) {
	m := newMesh(t)
	m.killOneByOne(2 * time.Second)
	m.killSeveral(2 * time.Second)
	m.finish()
}

// TestMeshLong does it for a minute.
func TestMeshLong(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for a minute of kills")
	}
	m := newMesh(t)
	for range 4 {
		m.killOneByOne(8 * time.Second)
		m.killSeveral(7 * time.Second)
		m.converge() // what was lost with several is not to be found missing later
	}
	m.finish()
}

// mesh is the nodes, each a process, and what they noted.
type mesh struct {
	t      *testing.T
	random *rand.Rand
	notes  chan note
	nodes  []*meshMember
	strict bool              // at most one node is away, and all others had everything before
	goals  map[string]uint64 // where logs have to get, of those that somebody has
	kills  int
	passed bool // the time of a pause
}

// meshMember is a node of the mesh, in all its runs.
type meshMember struct {
	*endProcess
	name   string
	dir    string
	id     string
	spared bool
	listen string // URLs
	links  []func() string
	strict []bool // by run: everybody else was there, and had all, when it began

	// What the run noted.
	whole   bool
	where   map[string]uint64 // by log; nil until it was asked and has answered
	reached bool
	rest    string
}

func newMesh(t *testing.T) *mesh {
	seed := *meshSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	m := &mesh{t: t, random: rand.New(rand.NewPCG(seed, 0)), notes: make(chan note, 1024), strict: true}
	roots := t.TempDir()
	ca, err := certs.InitCA(roots, "mesh")
	must(t, err)
	for i := range meshSize {
		n := &meshMember{name: fmt.Sprint("node ", i), dir: t.TempDir(), listen: "quic://127.0.0.1:0 tcp://127.0.0.1:0"}
		id, err := ca.Issue(uuid.Nil, n.name)
		must(t, err)
		must(t, id.Save(filepath.Join(n.dir, "mesh.pem")))
		must(t, os.Symlink(filepath.Join(roots, "ca.pem"), filepath.Join(n.dir, "ca.pem")))
		n.id = id.ID().String()
		m.nodes = append(m.nodes, n)
	}
	for _, i := range m.random.Perm(meshSize)[:meshSpared] {
		m.nodes[i].spared = true
	}
	m.plan()
	for _, n := range m.nodes {
		m.start(n)
	}
	m.await("the nodes", func() bool { return m.all(func(n *meshMember) bool { return n.ready != nil }) })
	for _, n := range m.nodes {
		n.listen = strings.Join(n.ready, " ") // the same when it returns
	}
	for _, n := range m.nodes {
		n.join()
	}
	m.await("the mesh", func() bool { return m.all(func(n *meshMember) bool { return n.whole }) })
	for _, n := range m.nodes {
		n.say("emit")
	}
	return m
}

// plan chooses the links: a ring, and one more of each node with a node that is not beside it.
func (m *mesh) plan() {
	link := func(i, j int) {
		ends := []*meshMember{m.nodes[i], m.nodes[j]}
		from := m.random.IntN(2)
		scheme := m.random.IntN(2)
		ends[from].links = append(ends[from].links, func() string { return strings.Fields(ends[1-from].listen)[scheme] })
	}
	for i := range meshSize {
		link(i, (i+1)%meshSize)
	}
	for {
		order := m.random.Perm(meshSize)
		beside := false
		for i := 0; i < meshSize; i += 2 {
			d := (order[i] - order[i+1] + meshSize) % meshSize
			beside = beside || d == 1 || d == meshSize-1
		}
		if beside {
			continue
		}
		for i := 0; i < meshSize; i += 2 {
			link(order[i], order[i+1])
		}
		return
	}
}

// killOneByOne kills nodes, each when all are whole and have what was emitted until then.
func (m *mesh) killOneByOne(d time.Duration) {
	m.converge()
	m.strict = true
	for began := time.Now(); time.Since(began) < d; {
		n := m.victims()[0]
		m.pause(meshOutage / 6) // so that it dies amidst events
		m.kill(n)
		if m.random.IntN(2) == 0 {
			m.pause(meshOutage)
		}
		m.restart(n)
		m.converge()
	}
	m.strict = false
}

// killSeveral kills nodes, several at once, and others before those are whole again.
func (m *mesh) killSeveral(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		dead := m.victims()[:1+m.random.IntN(meshDegree)]
		for _, n := range dead {
			m.kill(n)
		}
		for _, n := range dead {
			m.pause(meshOutage / 3)
			m.restart(n)
		}
		m.pause(meshOutage / 3)
	}
}

// victims are the nodes that may be killed, in any order.
func (m *mesh) victims() []*meshMember {
	list := slices.DeleteFunc(slices.Clone(m.nodes), func(n *meshMember) bool { return n.spared })
	m.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// restart starts a node under its id. What it emits first may be from before it is connected.
func (m *mesh) restart(n *meshMember) {
	m.start(n)
	if m.random.IntN(2) == 0 {
		n.say("emit")
		n.join()
	} else {
		n.join()
		n.say("emit")
	}
}

// join has a node connect to its neighbours.
func (n *meshMember) join() {
	for _, url := range n.links {
		n.say("link " + url())
	}
}

// finish ends the emitting, waits until everybody has everything, ends the nodes, and judges what they recorded.
func (m *mesh) finish() {
	m.converge()
	for _, n := range m.nodes {
		n.say("hush")
	}
	m.converge()
	for _, n := range m.nodes {
		n.say("rest")
	}
	m.await("what they hold", func() bool { return m.all(func(n *meshMember) bool { return n.rest != "" }) })
	for _, n := range m.nodes {
		n.ending = true
		must(m.t, n.input.Close())
	}
	m.await("their end", func() bool { return m.all(func(n *meshMember) bool { return n.gone }) })
	for _, n := range m.nodes {
		must(m.t, n.cmd.Wait())
		m.t.Logf("%s: %s", n.name, n.rest)
	}
	m.judge()
}

// judge judges the records.
func (m *mesh) judge() {
	v := meshVerdict{ends: make(map[string]uint64)}
	for log, end := range m.goals {
		if m.living(log) {
			v.ends[log] = end
		}
	}
	for _, n := range m.nodes {
		runs, err := readMeshRecord(filepath.Join(n.dir, "record"))
		if err != nil {
			m.t.Errorf("%s: %v", n.name, err)
		}
		v.nodes = append(v.nodes, meshWitness{n.id, n.spared, n.strict, runs})
	}
	for _, err := range v.judge() {
		m.t.Error(err)
	}
	m.t.Logf("%d kills; %d events recorded, of %d runs of nodes; %d missing, in gaps",
		m.kills, v.events, len(v.logs), v.missing)
}

// kill kills a node.
func (m *mesh) kill(n *meshMember) {
	m.kills++
	n.ending = true
	must(m.t, n.signal(syscall.SIGKILL))
	m.await("the end of "+n.name, func() bool { return n.gone })
	n.cmd.Wait()
}

// start starts a run of a node.
func (m *mesh) start(n *meshMember) {
	env := []string{"VERBOSE_TEST_DIR=" + n.dir, "VERBOSE_TEST_LISTEN=" + n.listen, fmt.Sprint("VERBOSE_TEST_RUN=", len(n.strict))}
	p, err := startEnd("mesh", env, m.tell)
	must(m.t, err)
	m.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	n.strict = append(n.strict, m.strict)
	n.endProcess, n.whole, n.where, n.reached, n.rest = p, false, nil, false, ""
}

// converge waits until the mesh is whole and everybody has what anybody has by then. Meanwhile the emitting goes on: a
// node that was away sees by newer events that it has the older.
func (m *mesh) converge() {
	m.await("the mesh to be whole", func() bool { return m.all(func(n *meshMember) bool { return n.whole }) })
	for _, n := range m.nodes {
		n.where = nil
		n.say("where")
	}
	m.await("where everybody is", func() bool { return m.all(func(n *meshMember) bool { return n.where != nil }) })
	m.goals = make(map[string]uint64)
	for _, n := range m.nodes {
		for log, end := range n.where {
			m.goals[log] = max(m.goals[log], end)
		}
	}
	for _, n := range m.nodes {
		n.reached = false
		n.say("reach" + m.duties(n))
	}
	m.await("everybody to have everything", func() bool { return m.all(func(n *meshMember) bool { return n.reached }) })
}

// duties are the places where the logs of a node have to get. A run that has not had anything of another that is over
// need not get anything of it.
func (m *mesh) duties(n *meshMember) string {
	var b strings.Builder
	for _, log := range slices.Sorted(maps.Keys(m.goals)) {
		_, begun := n.where[log]
		if own := strings.HasPrefix(log, n.id); !own && (begun || n.spared || m.living(log)) {
			fmt.Fprint(&b, " ", log, " ", m.goals[log])
		}
	}
	return b.String()
}

// living reports whether a log belongs to the last run of its node.
func (m *mesh) living(log string) bool {
	return slices.ContainsFunc(m.nodes, func(n *meshMember) bool { _, own := n.where[log]; return own && strings.HasPrefix(log, n.id) })
}
