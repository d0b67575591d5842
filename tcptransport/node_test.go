package tcptransport_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/proxy"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// Whole nodes over this transport.

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// node makes a node with the given transports of one identity.
func node(t *testing.T, ca *certs.CA, schemes ...string) *bus.Node {
	t.Helper()
	id, err := ca.Issue(uuid.Nil, "")
	must(t, err)
	var transports []bus.Transport
	for _, scheme := range schemes {
		switch scheme {
		case "tcp":
			transports = append(transports, tcptransport.New(tcptransport.Config{Identity: id}))
		case "unix":
			transports = append(transports, tcptransport.NewUnix(tcptransport.Config{Identity: id}))
		case "quic":
			transports = append(transports, quictransport.New(quictransport.Config{Identity: id}))
		}
	}
	n, err := bus.New(bus.Config{Transports: transports})
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	return n
}

func listen(t *testing.T, n *bus.Node, scheme string) (addr string) {
	t.Helper()
	a, err := n.Listen(soon(t), scheme+"://127.0.0.1:0")
	must(t, err)
	return a.String()
}

func connect(t *testing.T, n *bus.Node, url string) {
	t.Helper()
	l, err := n.Connect(url)
	must(t, err)
	_, err = l.Ready(soon(t))
	must(t, err)
}

// counter checks that a node gets the numbers 1, 2, 3… as events.
type counter struct {
	mu      sync.Mutex
	last    uint64
	changed chan struct{}
}

func count(t *testing.T, n *bus.Node) *counter {
	t.Helper()
	c := &counter{changed: make(chan struct{}, 1)}
	_, err := n.On("n", func(_ context.Context, e bus.Event) {
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
	return c
}

// until waits until all events up to one have arrived.
func (c *counter) until(t *testing.T, n uint64) {
	t.Helper()
	for ctx := soon(t); ; {
		c.mu.Lock()
		last := c.last
		c.mu.Unlock()
		if last >= n {
			return
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			t.Fatalf("%d events of %d", last, n)
		}
	}
}

// emit emits numbers until stop is closed, and returns the last.
func emit(t *testing.T, n *bus.Node, stop <-chan struct{}) (last uint64) {
	t.Helper()
	payload := make([]byte, 200)
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return last
		case <-tick.C:
		}
		last++
		binary.BigEndian.PutUint64(payload, last)
		must(t, n.EmitBytes(context.Background(), "n", payload))
	}
}

// cutUp has a proxy cut a connection at random bytes, some with a reset and some with an end, some in the middle of a
// frame, a record or the handshake.
func cutUp(p *proxy.TCP, random *rand.Rand, cuts int) {
	for i := range cuts {
		after := random.IntN(60_000)
		if i%2 == 1 {
			after = random.IntN(4_000) // most of them in the handshake that follows a cut
		}
		fault := []proxy.Fault{proxy.End, proxy.Reset}[random.IntN(2)]
		struck := make(chan struct{})
		p.Strike(fault, after, func() { close(struck) })
		<-struck
	}
}

// TestCutAtAnyByte holds that every event arrives once and in order, at whatever bytes the connection is cut.
func TestCutAtAnyByte(t *testing.T) {
	cuts := 100
	if testing.Short() {
		cuts = 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ca, err := certs.NewCA("test")
	must(t, err)
	a, b := node(t, ca, "tcp"), node(t, ca, "tcp")
	got := count(t, b)
	p, err := proxy.NewTCP(listen(t, b, "tcp"))
	must(t, err)
	defer p.Close()
	connect(t, a, "tcp://"+p.Addr())
	must(t, a.WaitInterest(soon(t), "n"))
	uncut := make(chan struct{})
	go func() { // ends when emit does
		defer close(uncut)
		cutUp(p, rand.New(rand.NewPCG(seed, 0)), cuts)
	}()
	last := emit(t, a, uncut)
	got.until(t, last)
	t.Logf("%d events over %d cuts", last, cuts)
	must(t, a.Close())
	must(t, b.Close())
}

// TestRelayJoinsTransports has a relay with both transports between a node that has QUIC and one that has TCP.
func TestRelayJoinsTransports(t *testing.T) {
	ca, err := certs.NewCA("test")
	must(t, err)
	wan, relay, lan := node(t, ca, "quic"), node(t, ca, "quic", "tcp"), node(t, ca, "tcp")
	there, back := count(t, lan), count(t, wan)
	connect(t, wan, listen(t, relay, "quic")) // no scheme: the first transport
	connect(t, lan, "tcp://"+listen(t, relay, "tcp"))
	for _, way := range []struct {
		from *bus.Node
		to   *counter
	}{{wan, there}, {lan, back}} {
		must(t, way.from.WaitInterest(soon(t), "n"))
		stop := make(chan struct{})
		time.AfterFunc(200*time.Millisecond, func() { close(stop) })
		last := emit(t, way.from, stop)
		way.to.until(t, last)
	}
}

// TestOneNodeOverBoth has two nodes that both transports join, of which one is cut: nothing is lost or comes twice.
func TestOneNodeOverBoth(t *testing.T) {
	ca, err := certs.NewCA("test")
	must(t, err)
	a, b := node(t, ca, "tcp", "quic"), node(t, ca, "tcp", "quic")
	got := count(t, b)
	link, err := a.Connect("tcp://" + listen(t, b, "tcp"))
	must(t, err)
	_, err = link.Ready(soon(t))
	must(t, err)
	other, err := a.Connect("quic://" + listen(t, b, "quic"))
	must(t, err)
	must(t, a.WaitInterest(soon(t), "n"))
	stop := make(chan struct{})
	time.AfterFunc(150*time.Millisecond, func() {
		if err := link.Close(); err != nil {
			t.Error(err)
		}
		time.AfterFunc(150*time.Millisecond, func() { close(stop) })
	})
	last := emit(t, a, stop)
	got.until(t, last)
	_, err = other.Ready(soon(t))
	must(t, err)
}

// TestUnixURL joins two nodes by a path, one of which knows whom it wants there.
func TestUnixURL(t *testing.T) {
	ca, err := certs.NewCA("test")
	must(t, err)
	a, b := node(t, ca, "quic", "unix"), node(t, ca, "unix")
	path := filepath.Join(t.TempDir(), "bus.sock")
	addr, err := b.Listen(soon(t), path) // no scheme: the first transport
	must(t, err)
	if addr.String() != path {
		t.Errorf("listens on %s, want %s", addr, path)
	}
	got := count(t, b)
	connect(t, a, "unix://"+b.ID().String()+"@"+path)
	must(t, a.WaitInterest(soon(t), "n"))
	stop := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	last := emit(t, a, stop)
	got.until(t, last)
}
