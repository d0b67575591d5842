package bus_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// What hostile neighbours can do to a node, each over every transport, while a stream of events
// goes through that node. Whatever they do, the frame below holds that
//
//   - the stream loses nothing, and the nodes at its ends stay connected;
//   - memory and goroutines stay within bounds;
//   - the node says in its log who it was and what is wrong: in one line, and in one a second if it goes on.
//
// The tests hold the rest: how it ends for the neighbour.

// Bounds of what neighbours may cost a node, above what it needs without them.
const (
	maxHeap       = 64 << 20
	maxGoroutines = 700 // unfinished handshakes are most of them
	maxLeft       = 300 // goroutines when they are gone, but for what waits for a timeout
)

// mischief is one thing to do to a victim.
type mischief struct {
	do     func(v *victim)
	times  int      // how often it offends
	says   []string // what is in the victim's line about it; nil: it says nothing
	late   bool     // the line comes only if the test outlasts a timeout
	victim func(*bus.Config)
	event  int // the size of the stream's events; 64 at zero
}

// victim is a node between the two ends of a stream. It listens over every transport.
type victim struct {
	*network
	target *bus.Node
	addrs  map[string]string // by the transport's scheme
	scheme string            // of the transport that neighbours use
	book   *logBook
	calm   usage // before the mischief
}

var transports = []string{"quic", "tcp"}

// everyTransport runs a test over each transport.
func everyTransport(t *testing.T, test func(t *testing.T, scheme string)) {
	for _, scheme := range transports {
		t.Run(scheme, func(t *testing.T) { test(t, scheme) })
	}
}

// besideAStream does what m says to a node in the middle of a stream of events.
func besideAStream(t *testing.T, scheme string, m mischief) {
	t.Helper()
	v := newVictim(t, scheme, m.victim)
	source, sink := v.node("source"), v.node("sink")
	v.connect(source, v.url())
	v.connect(sink, v.url())
	counts := []*tally{countUp(t, v.target), countUp(t, sink)}
	must(t, source.WaitInterest(soon(t), "x"))
	watch, stopWatch := context.WithCancel(t.Context())
	down := watchPeers(watch, v.target, source.ID(), sink.ID())

	s := startStream(t, source, cmp.Or(m.event, 64))
	for _, c := range counts {
		c.until(100)
	}
	v.calm = measure()
	began := time.Now()
	m.do(v)
	if m.says != nil && !m.late {
		v.book.await(t, m.says)
	}
	v.expectBounds("after")
	v.expectQuiet()
	for _, c := range counts { // it goes on afterwards
		c.until(s.sent() + 100)
	}
	n := s.stop()
	for _, c := range counts {
		c.until(n)
	}
	if s := v.target.Stats(); s.Gaps != 0 || s.Peers < 2 {
		t.Errorf("the victim's stats: %+v", s)
	}
	stopWatch()
	if e := <-down; e != nil {
		t.Errorf("an end of the stream was lost: %v", e)
	}
	must(t, v.target.Close())
	v.book.expect(t, m, int(time.Since(began)/time.Second)+1)
}

func newVictim(t *testing.T, scheme string, configure func(*bus.Config)) *victim {
	t.Helper()
	v := &victim{network: newNetwork(t), scheme: scheme, book: newLogBook(), addrs: make(map[string]string)}
	log := slog.New(slog.NewTextHandler(v.book, nil))
	identity := v.identity(uuid.Nil, "victim")
	v.target = v.nodeAs(identity, func(c *bus.Config) {
		c.Logger = log
		c.Transports = nil
		for _, scheme := range transports {
			c.Transports = append(c.Transports, v.over(scheme).transport(identity, log))
		}
		if configure != nil {
			configure(c)
		}
	})
	for _, scheme := range transports {
		addr, err := v.target.Listen(soon(t), scheme+"://127.0.0.1:0")
		must(t, err)
		v.addrs[scheme] = addr.String()
	}
	return v
}

// over is the same victim, met over a transport.
func (v *victim) over(scheme string) *victim {
	w := *v
	w.scheme = scheme
	return &w
}

func (v *victim) addr() string { return v.addrs[v.scheme] }
func (v *victim) url() string  { return v.scheme + "://" + v.addr() }

// transport makes a transport for a neighbour. The logger may be nil.
func (v *victim) transport(identity *certs.Identity, log *slog.Logger) bus.Transport {
	if v.scheme == "tcp" {
		return tcptransport.New(tcptransport.Config{Identity: identity, Logger: log})
	}
	return quictransport.New(quictransport.Config{Identity: identity, Logger: log})
}

// node makes one that uses that transport.
func (v *victim) node(name string, configure ...func(*bus.Config)) *bus.Node {
	v.t.Helper()
	identity := v.identity(uuid.Nil, name)
	over := func(c *bus.Config) { c.Transports = []bus.Transport{v.transport(identity, nil)} }
	return v.nodeAs(identity, append([]func(*bus.Config){over}, configure...)...)
}

// usage is what the process uses: the neighbours and the ends of the stream are in it, too.
type usage struct {
	heap       int64
	goroutines int
}

func measure() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapAlloc), runtime.NumGoroutine()}
}

// expectBounds compares what is used with what was before.
func (v *victim) expectBounds(when string) {
	v.t.Helper()
	u := measure()
	heap, goroutines := u.heap-v.calm.heap, u.goroutines-v.calm.goroutines
	v.t.Logf("%s: %+d KiB, %+d goroutines", when, heap>>10, goroutines)
	if heap > maxHeap || goroutines > maxGoroutines {
		v.t.Errorf("%s: %d bytes and %d goroutines more than before", when, heap, goroutines)
	}
}

// expectQuiet waits until what the neighbours cost in goroutines is given back.
func (v *victim) expectQuiet() {
	v.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond) // nothing tells of a goroutine's end
	defer tick.Stop()
	for ctx := soon(v.t); runtime.NumGoroutine() > v.calm.goroutines+maxLeft; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			v.t.Fatalf("%d goroutines are left, there were %d before", runtime.NumGoroutine(), v.calm.goroutines)
		}
	}
}

// watchPeers yields the first loss of one of the peers, or nil when ctx ends.
func watchPeers(ctx context.Context, n *bus.Node, peers ...uuid.UUID) <-chan error {
	stream := n.Lifecycle(ctx)
	lost := make(chan error, 1)
	go func() { // ends with ctx
		defer close(lost)
		for e := range stream {
			if e.Kind == bus.LifecyclePeerDown && slices.Contains(peers, e.Peer) {
				lost <- cmp.Or(e.Err, errors.New("closed"))
				return
			}
		}
	}()
	return lost
}

// stream emits events at a steady pace until it is stopped.
type stream struct {
	done, ended chan struct{}
	mu          sync.Mutex
	n           uint64
}

func startStream(t *testing.T, n *bus.Node, size int) *stream {
	s := &stream{done: make(chan struct{}), ended: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	go func() { // stop waits for it
		defer close(s.ended)
		defer cancel()
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		payload := make([]byte, size)
		rand.Read(payload[8:]) // does not compress
		for {
			for range 8 {
				binary.BigEndian.PutUint64(payload, s.sent()+1)
				if err := n.EmitBytes(ctx, "x", payload); err != nil {
					t.Error(err)
					return
				}
				s.mu.Lock()
				s.n++
				s.mu.Unlock()
			}
			select {
			case <-pace.C:
			case <-s.done:
				return
			}
		}
	}()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *stream) sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// stop returns how many events were emitted.
func (s *stream) stop() uint64 {
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	<-s.ended
	return s.sent()
}

// tally holds that a node gets the events of a stream once and in order, and keeps none.
type tally struct {
	t       *testing.T
	mu      sync.Mutex
	last    uint64
	changed chan struct{}
}

func countUp(t *testing.T, n *bus.Node) *tally {
	t.Helper()
	c := &tally{t: t, changed: make(chan struct{}, 1)}
	sub, err := n.On("x", func(_ context.Context, e bus.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if got := binary.BigEndian.Uint64(e.Payload); got != c.last+1 {
			t.Errorf("event %d after %d", got, c.last)
		}
		c.last++
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}, bus.OnGap(func(_ context.Context, g *bus.GapError) { t.Error(g) }))
	must(t, err)
	must(t, sub.Ready(soon(t)))
	return c
}

// until waits for an event. One goroutine may wait.
func (c *tally) until(n uint64) {
	c.t.Helper()
	for ctx := soon(c.t); ; {
		c.mu.Lock()
		last := c.last
		c.mu.Unlock()
		if last >= n {
			return
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			c.t.Fatalf("%d events of %d", last, n)
		}
	}
}

// logBook is a log that a test can read while it is written.
type logBook struct {
	mu    sync.Mutex
	lines []string
	wrote chan struct{}
}

func newLogBook() *logBook { return &logBook{wrote: make(chan struct{}, 1)} }

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *logBook) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// await waits for a line with all the parts.
func (l *logBook) await(t *testing.T, parts []string) {
	t.Helper()
	for ctx := soon(t); !slices.ContainsFunc(l.read(), func(line string) bool { return hasAll(line, parts) }); {
		select {
		case <-l.wrote:
		case <-ctx.Done():
			t.Fatalf("no line in the log with %q:\n%s", parts, strings.Join(l.read(), ""))
		}
	}
}

// expect holds that every line is about m, and that there are not too many.
func (l *logBook) expect(t *testing.T, m mischief, seconds int) {
	t.Helper()
	lines := l.read()
	for i, line := range lines {
		if m.says == nil || !hasAll(line, m.says) || i >= min(m.times, seconds) {
			t.Errorf("line %d for %d offences in %d s, each to say %q:\n%s", i+1, m.times, seconds, m.says, line)
		}
	}
}

func hasAll(line string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
}
