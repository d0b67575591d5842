package bus_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// A node of TestMesh, a process. It listens to all, and does what the lines of its standard input say. It ends with it.
//
//	link url    connect to another
//	emit        begin to emit
//	hush        emit no more
//	where       say where each log is
//	reach l n…  say when each of these logs is there, or further
//	rest        say what it holds
//
// On its standard output it notes what happens, a line each:
//
//	ready x y   it runs, and these are its addresses
//	whole b     whether it sees all nodes, each with all its links
//	where l n…  the last event of each log that it has recorded, or emitted
//	reached
//	gap …       events are missing
//	odd …       what should not happen
//	rest …
//
// Its record, which outlives it, has a line for each event, "seq log"; for each gap, "from log to reason"; and for the
// begin of each run, "number run".

const (
	meshSize    = 12                    // nodes
	meshDegree  = 3                     // links of each
	meshTimeout = 5 * time.Second       // Config.Timeout
	meshTick    = 40 * time.Millisecond // from one burst of events to the next
	meshBurst   = 7                     // events at most
)

// meshNode is one node, a process.
type meshNode struct {
	*bus.Node
	log *eventLog

	mu      sync.Mutex
	ends    map[string]uint64 // by log, the node's own too
	changed chan struct{}     // closed and replaced with a change of ends
	own     string
	err     error // the first that a handler met
}

func runMeshNode(id *certs.Identity) error {
	log, err := openLog(filepath.Join(os.Getenv("VERBOSE_TEST_DIR"), "record"))
	if err != nil {
		return err
	}
	if err := log.write([]byte(os.Getenv("VERBOSE_TEST_RUN") + " run")); err != nil {
		return err
	}
	m := &meshNode{log: log, ends: make(map[string]uint64), changed: make(chan struct{})}
	if m.Node, err = bus.New(bus.Config{Channel: "mesh", Timeout: meshTimeout, Transports: []bus.Transport{
		quictransport.New(quictransport.Config{Identity: id}), tcptransport.New(tcptransport.Config{Identity: id})}}); err != nil {
		return err
	}
	m.own = logName(m.Origin())
	lifecycle := m.Lifecycle(context.Background())
	watched := make(chan struct{})
	go func() { // ends with the node, and is waited for
		defer close(watched)
		m.watch(lifecycle)
	}()
	if _, err := m.On("mesh", m.handle, bus.OnGap(m.handleGap)); err != nil {
		return err
	}
	var bound []string
	for _, url := range strings.Fields(os.Getenv("VERBOSE_TEST_LISTEN")) {
		addr, err := m.Listen(context.Background(), url)
		if err != nil {
			return err
		}
		scheme, _, _ := strings.Cut(url, "://")
		bound = append(bound, scheme+"://"+addr.String())
	}
	fmt.Println("ready", strings.Join(bound, " "))
	err = errors.Join(m.obey(), m.Close())
	<-watched
	return errors.Join(err, m.err, goleak.Find())
}

// logName is a log in records and notes. Each origin has one lane.
func logName(o bus.Origin) string { return fmt.Sprintf("%s/%d", o.Node, o.Epoch) }

// appendMeshPayload appends the payload of event n of an origin. Its size varies.
func appendMeshPayload(b []byte, log string, n uint64) []byte {
	b = append(strconv.AppendUint(append(b, log...), n, 10), ' ')
	return append(b, bytes.Repeat([]byte{byte(n)}, int(n*n%499))...)
}

// handle records an event.
func (m *meshNode) handle(_ context.Context, e bus.Event) {
	log := logName(e.Origin)
	var err error
	if want := appendMeshPayload(nil, log, e.Seq); !bytes.Equal(e.Payload, want) {
		err = fmt.Errorf("event %d of %s arrived as %q", e.Seq, log, e.Payload)
	}
	m.record(err, log, e.Seq, fmt.Sprint(e.Seq, " ", log))
}

// handleGap records a gap.
func (m *meshNode) handleGap(_ context.Context, g *bus.GapError) {
	log := logName(g.Origin)
	fmt.Println("gap", log, g.From, g.To, g.Reason)
	m.record(nil, log, g.To, fmt.Sprint(g.From, " ", log, " ", g.To, " ", uint8(g.Reason)))
}

// record writes a line, so that it outlives the process, before the event counts as done.
func (m *meshNode) record(err error, log string, end uint64, line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = errors.Join(m.err, err, m.log.write([]byte(line)))
	m.reachedLocked(log, end)
}

func (m *meshNode) reachedLocked(log string, end uint64) {
	m.ends[log] = max(m.ends[log], end)
	close(m.changed)
	m.changed = make(chan struct{})
}

// obey does what it is told, until there is no more.
func (m *meshNode) obey() (err error) {
	hush := func() {}
	defer func() { hush() }()
	for in := bufio.NewScanner(os.Stdin); err == nil && in.Scan(); {
		verb, rest, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "link":
			_, err = m.Connect(rest)
		case "emit":
			hush = m.emit()
		case "hush":
			hush()
			hush = func() {}
		case "where":
			fmt.Println("where" + m.where())
		case "reach":
			m.reach(strings.Fields(rest))
			fmt.Println("reached")
		case "rest":
			fmt.Println("rest", m.rest())
		}
	}
	return err
}

// emit begins to emit, in bursts. What it returns ends that.
func (m *meshNode) emit() (hush func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // hush waits for it
		defer close(ended)
		every := meshTick
		if raceEnabled { // 12 nodes share what processors there are, each ten times slower
			every *= 4
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		var payload []byte
		for n := uint64(0); ; {
			for range 1 + n%meshBurst {
				n++
				payload = appendMeshPayload(payload[:0], m.own, n)
				err := m.EmitBytes(context.Background(), "mesh", payload)
				m.mu.Lock()
				m.err = errors.Join(m.err, err)
				m.reachedLocked(m.own, n)
				m.mu.Unlock()
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (m *meshNode) where() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for log, end := range m.ends {
		fmt.Fprint(&b, " ", log, " ", end)
	}
	return b.String()
}

// reach waits until logs, given by name and number, are there.
func (m *meshNode) reach(goals []string) {
	for i := 0; i+1 < len(goals); i += 2 {
		goal, _ := strconv.ParseUint(goals[i+1], 10, 64)
		for {
			m.mu.Lock()
			there, changed := m.ends[goals[i]] >= goal, m.changed
			m.mu.Unlock()
			if there {
				break
			}
			<-changed
		}
	}
}

// watch notes when the mesh becomes whole, and when it no longer is.
func (m *meshNode) watch(events func(func(bus.LifecycleEvent) bool)) {
	was := false
	for e := range events {
		switch e.Kind {
		case bus.LifecycleForgotten, bus.LifecycleRefused, bus.LifecycleLaggard, bus.LifecycleListenFailed:
			fmt.Println("odd", e)
		}
		if is := m.whole(); is != was {
			fmt.Println("whole", is)
			was = is
		}
	}
}

// whole reports whether the node sees all nodes, what they listen for, and all their links.
func (m *meshNode) whole() bool {
	members := m.Topology().Members
	for _, x := range members {
		if len(x.Neighbours) != meshDegree || len(x.Patterns) == 0 {
			return false
		}
	}
	return len(members) == meshSize
}

// rest is what the node holds: in the process, and in the bus.
func (m *meshNode) rest() string {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s := m.Stats()
	return fmt.Sprintf("%d goroutines, %d KiB heap, %d logs, %d events in %d KiB kept, %d duplicates, %d events reported missing",
		runtime.NumGoroutine(), memory.HeapAlloc>>10, s.Logs, s.Events, s.Bytes>>10, s.Duplicates, s.Reported)
}
