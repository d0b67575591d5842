//go:build unix

package bus_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus/bustest/proxy"
	"github.com/verbose-bus/verbose/certs"
)

var enduranceSeed = flag.Uint64("seed", 0, "the faults of the endurance test; 0 chooses")

// ordeal is what a run of the endurance test goes through.
type ordeal struct {
	events int // a multiple of noteEvery
	cuts   int
	stops  int // of each side
	kills  int // of each side
}

// TestEndurance has two processes, and a proxy between them that harms their connection, while each is stopped and killed.
func TestEndurance(t *testing.T) {
	endure(t, ordeal{events: 20_000, cuts: 10, stops: 1, kills: 1})
}

// TestLongEndurance does it with a million real-size events and 200 cuts, over each transport. It takes two minutes.
func TestLongEndurance(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for a million events")
	}
	endure(t, ordeal{events: 1_000_000, cuts: 200, stops: 5, kills: 5})
}

func endure(t *testing.T, o ordeal) {
	for _, scheme := range []string{"tcp", "quic"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting
			e := newEndurance(t, o, scheme)
			e.run()
			e.compare()
		})
	}
}

// A faultyLink is the proxy of a transport.
type faultyLink interface {
	Addr() string
	Redirect(target string)
	Strike(f proxy.Fault, after int, struck func())
	Mend()
	Close()
}

// endurance is one run.
type endurance struct {
	ordeal
	t      *testing.T
	dir    string
	scheme string
	random *rand.Rand
	// spacing is how many events there are from a step of the plan to the next; window is how many the emitter may be
	// ahead of the receiver, and so how many may pass during a step.
	spacing, window int
	link            faultyLink
	faults          []proxy.Fault // of the transport

	notes             chan note
	emitter, receiver *endProcess
	at                int  // the last event handled, as far as noted
	granted           int  // the last event that the emitter may emit
	holding           bool // no more is granted

	began    time.Time
	took     time.Duration
	restarts []restart
	starts   []int
	struck   map[proxy.Fault]int
	resumed  []time.Duration // from when the emitter could connect again to the next event
	peaks    map[string]int  // bytes, by role
}

func newEndurance(t *testing.T, o ordeal, scheme string) *endurance {
	seed := *enduranceSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	e := &endurance{ordeal: o, t: t, dir: t.TempDir(), scheme: scheme, random: rand.New(rand.NewPCG(seed, 0)),
		notes:  make(chan note, 1024),
		struck: make(map[proxy.Fault]int), peaks: make(map[string]int)}
	ca, err := certs.InitCA(e.dir, "endurance")
	must(t, err)
	for _, role := range []string{"emitter", "receiver"} {
		id, err := ca.Issue(uuid.Nil, role)
		must(t, err)
		must(t, id.Save(filepath.Join(e.dir, role+".pem")))
	}
	e.receiver = e.start("receiver")
	if scheme == "tcp" {
		e.link, err = proxy.NewTCP(e.receiver.ready[0])
		e.faults = []proxy.Fault{proxy.End, proxy.Reset, proxy.Stall, proxy.Hole, proxy.HalfHole}
	} else {
		e.link, err = proxy.NewUDP(e.receiver.ready[0])
		e.faults = []proxy.Fault{proxy.Rebind, proxy.Stall, proxy.Hole, proxy.HalfHole}
	}
	must(t, err)
	t.Cleanup(e.link.Close)
	e.emitter = e.start("emitter")
	return e
}

// run goes through the ordeal, in three parts: cuts and stops alone, then the receiver is killed, and then the emitter.
func (e *endurance) run() {
	plan := e.plan()
	e.spacing = e.events * 9 / 10 / len(plan)
	e.window = min(e.spacing/2, enduranceWindow)
	e.began = time.Now()
	e.grant()
	for i, step := range plan {
		e.handled(i*e.spacing + e.random.IntN(e.spacing) + 1)
		step()
	}
	e.handled(e.events)
	e.took = time.Since(e.began)
	e.end("emitter", e.emitter)
	e.end("receiver", e.receiver)
}

func (e *endurance) plan() (steps []func()) {
	cut := func() { e.cut(e.faults[e.random.IntN(len(e.faults))], e.bytesToCut()) }
	few := slices.Repeat([]func(){cut}, e.cuts/5)
	for _, part := range [][]func(){
		slices.Concat(few, few, few, slices.Repeat([]func(){e.stopEmitter, e.stopReceiver}, e.stops)),
		slices.Concat(few, slices.Repeat([]func(){e.killReceiver}, e.kills)),
		slices.Concat(few, slices.Repeat([]func(){e.killEmitter}, e.kills)),
	} {
		e.random.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		steps = append(steps, part...)
	}
	return steps
}

// handled waits until events up to n are handled.
func (e *endurance) handled(n int) {
	e.await(fmt.Sprint("event ", n), func() bool { return e.at >= n })
}

// bytesToCut is at what byte to cut next: in the middle of the flow, or soon.
func (e *endurance) bytesToCut() int {
	if e.random.IntN(2) == 0 {
		return e.random.IntN(2_000)
	}
	return e.random.IntN(50_000)
}

// cut has the connection suffer a fault, and waits until events arrive again.
func (e *endurance) cut(f proxy.Fault, after int) {
	ups, downs := e.emitter.ups, e.emitter.downs
	at := e.strike(f, after)
	switch f {
	case proxy.Rebind:
		e.progress()
		return
	case proxy.Stall: // for shorter or longer than the node's patience
		e.pause("the stall", time.Duration(e.random.Int64N(int64(enduranceTimeout*3/2))))
		e.link.Mend()
		e.progress()
		return
	case proxy.Hole, proxy.HalfHole:
		noticed := e.await(f.String()+" to be noticed", func() bool { return e.emitter.downs > downs || e.emitter.ups > ups })
		e.link.Mend()
		if e.scheme == "quic" { // over TCP new connections were let through all the time
			at = noticed
		}
	}
	if e.scheme == "tcp" && e.random.IntN(4) == 0 { // and in the handshake that follows
		e.cut([]proxy.Fault{proxy.End, proxy.Reset}[e.random.IntN(2)], e.random.IntN(3_000))
		return
	}
	e.awaitResumed(ups, at)
}

// strike begins a fault amidst events. The emitter goes on for a window.
func (e *endurance) strike(f proxy.Fault, after int) time.Time {
	e.holding = false
	e.grant()
	e.link.Strike(f, after, func() { e.tell(note{text: "struck"}) })
	at := e.awaitNote(f.String(), "struck")
	e.struck[f]++
	e.holding = true
	return at
}

func (e *endurance) total() (cuts int) {
	for _, n := range e.struck {
		cuts += n
	}
	return cuts
}

// awaitResumed waits until the emitter has another path, and events have arrived since.
func (e *endurance) awaitResumed(ups int, since time.Time) {
	e.await("a new path", func() bool { return e.emitter.ups > ups })
	e.resumed = append(e.resumed, e.progress().Sub(since))
}

// progress has the emitter go on, and waits for what comes of it.
func (e *endurance) progress() time.Time {
	at := e.at
	e.holding = false
	e.grant()
	return e.await("more events", func() bool { return e.at > at })
}

func (e *endurance) stopEmitter()  { e.stop(e.emitter, e.receiver) }
func (e *endurance) stopReceiver() { e.stop(e.receiver, e.emitter) }

// stop stops a process until the other has noticed.
func (e *endurance) stop(p, other *endProcess) {
	ups, downs := e.emitter.ups, other.downs
	e.holding = true
	must(e.t, p.signal(syscall.SIGSTOP))
	e.await("the stop to be noticed", func() bool { return other.downs > downs })
	must(e.t, p.signal(syscall.SIGCONT))
	e.awaitResumed(ups, time.Now())
}

// killReceiver kills the receiver some time after a moment at which it was done with everything, sometimes while events
// wait in it for their handler, and starts it again.
func (e *endurance) killReceiver() {
	e.holding = true
	e.await("what was granted", func() bool { return e.at >= e.granted })
	dones := e.emitter.dones
	e.emitter.say("drain")
	e.await("the emitter to drain", func() bool { return e.emitter.dones > dones })
	done := e.emitter.done
	e.progress()
	e.handled(e.at + e.random.IntN(e.window))
	if e.random.IntN(2) == 0 {
		e.receiver.say("hold")
		e.pause("the receiver to fill", time.Duration(e.random.Int64N(int64(enduranceTimeout/4))))
	}

	e.holding = true
	ups := e.emitter.ups
	e.kill("receiver", e.receiver)
	killed := time.Now()
	e.receiver = e.start("receiver")
	e.link.Redirect(e.receiver.ready[0])
	offset, err := strconv.ParseInt(e.receiver.ready[1], 10, 64)
	must(e.t, err)
	e.restarts = append(e.restarts, restart{offset, done})
	e.awaitResumed(ups, killed)
}

// killEmitter kills the emitter, sometimes while what it emits gets nowhere, and starts it again as a new origin.
func (e *endurance) killEmitter() {
	if e.random.IntN(2) == 0 {
		e.strike(proxy.Hole, e.bytesToCut())
	}
	e.kill("emitter", e.emitter)
	e.link.Mend()
	killed := time.Now()
	e.emitter = e.start("emitter")
	first, err := strconv.Atoi(e.emitter.ready[0])
	must(e.t, err)
	e.starts = append(e.starts, first)
	e.at = max(e.at, first-1) // what is lost with the emitter does not count as on its way
	e.granted = first - 1
	e.awaitResumed(0, killed)
}

// start starts a process and waits until it is ready.
func (e *endurance) start(role string) *endProcess {
	env := []string{"VERBOSE_TEST_DIR=" + e.dir, "VERBOSE_TEST_SCHEME=" + e.scheme}
	if e.link != nil {
		env = append(env, "VERBOSE_TEST_ADDR="+e.link.Addr())
	}
	p, err := startEnd(role, env, e.tell)
	must(e.t, err)
	e.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	e.await("the "+role, func() bool { return p.ready != nil })
	return p
}

func (e *endurance) kill(role string, p *endProcess) {
	e.peaks[role] = max(e.peaks[role], p.peak())
	p.ending = true
	must(e.t, p.signal(syscall.SIGKILL))
	e.await("the end of the "+role, func() bool { return p.gone })
	p.cmd.Wait()
}

// end has a process end in order.
func (e *endurance) end(role string, p *endProcess) {
	e.peaks[role] = max(e.peaks[role], p.peak())
	p.ending = true
	must(e.t, p.input.Close())
	e.await("the end of the "+role, func() bool { return p.gone })
	must(e.t, p.cmd.Wait())
}

// grant lets the emitter go on until it is a window ahead of the receiver.
func (e *endurance) grant() {
	upto := min(e.at+e.window, e.events) &^ (noteEvery - 1)
	if e.holding || upto < e.granted+e.window/16 && upto < e.events || upto <= e.granted {
		return
	}
	e.granted = upto
	e.emitter.say(strconv.Itoa(upto))
}

// compare compares the logs, line by line, and reports.
func (e *endurance) compare() {
	emitted, err := os.Open(filepath.Join(e.dir, "emitter.log"))
	must(e.t, err)
	defer emitted.Close()
	handled, err := os.Open(filepath.Join(e.dir, "receiver.log"))
	must(e.t, err)
	defer handled.Close()
	c, err := compareLogs(emitted, handled, e.restarts, e.starts)
	if err != nil {
		e.t.Error(err)
	}
	if err == nil && c.lines != e.events {
		e.t.Errorf("%d events were emitted, want %d", c.lines, e.events)
	}
	for role, size := range e.peaks {
		if size > enduranceMemory && !raceEnabled {
			e.t.Errorf("the %s had %d MiB resident", role, size>>20)
		}
	}
	slices.Sort(e.resumed)
	e.t.Logf("%d events in %v: %.0f events/s", e.events, e.took.Round(time.Millisecond), float64(e.events)/e.took.Seconds())
	e.t.Logf("%d cuts %v, %d stops of each side; resumed after p50 %v, max %v", e.total(), e.struck, e.stops,
		e.resumed[len(e.resumed)/2].Round(time.Millisecond), e.resumed[len(e.resumed)-1].Round(time.Millisecond))
	e.t.Logf("lines repeated after each kill of the receiver: %v; lost with each killed emitter: %v", c.repeated, c.lost)
	e.t.Logf("peak memory: emitter %d MiB, receiver %d MiB", e.peaks["emitter"]>>20, e.peaks["receiver"]>>20)
}

// enduranceMemory bounds the resident memory of a process, in bytes: the 64 MiB that a node keeps for others and
// what it has received of them, each as often as the garbage collector lets it grow.
const enduranceMemory = 512 << 20
