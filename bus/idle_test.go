package bus_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/quictransport"
)

// What a peer costs that has nothing to say, at each end, beyond what its connection costs over QUIC.
func TestAnIdlePeerIsSmall(t *testing.T) {
	const (
		pairs          = 40
		mostHeap       = 20 << 10 // 11 when nothing else is about
		mostGoroutines = 3.5      // one in two is the link's of the end that dialled
	)
	w := newNetwork(t)
	bare, bus := w.costOfConns(pairs), w.costOfPeers(pairs)
	heap, goroutines := (bus.heap-bare.heap)/(2*pairs), float64(bus.goroutines-bare.goroutines)/(2*pairs)
	t.Logf("%d KiB of heap and %.1f goroutines, beside %d KiB and %.1f of the connection",
		heap>>10, goroutines, bare.heap/(2*pairs)>>10, float64(bare.goroutines)/(2*pairs))
	if !raceEnabled && (heap > mostHeap || goroutines > mostGoroutines) {
		t.Errorf("an idle peer takes %d KiB and %.1f goroutines, want at most %d and %.1f", heap>>10, goroutines, mostHeap>>10, mostGoroutines)
	}
}

// cost is what something takes that is not garbage.
type cost struct {
	heap       int64
	goroutines int
}

func costNow() cost {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{int64(m.HeapAlloc), runtime.NumGoroutine()}
}

func (c cost) since(before cost) cost {
	return cost{c.heap - before.heap, c.goroutines - before.goroutines}
}

// costOfConns is that of connections with a stream each, and of nothing else.
func (w *network) costOfConns(count int) cost {
	var dial []func() (bus.Conn, error)
	listeners := make([]bus.Listener, count)
	for i := range listeners {
		from, to := w.transport(), w.transport()
		l, err := to.Listen(w.t.Context(), "127.0.0.1:0")
		must(w.t, err)
		listeners[i] = l
		dial = append(dial, func() (bus.Conn, error) { return from.Dial(soon(w.t), l.Addr().String(), to.ID()) })
	}
	before := costNow()
	for i, l := range listeners {
		conn, err := dial[i]()
		must(w.t, err)
		s, err := conn.OpenStream(soon(w.t))
		must(w.t, err)
		_, err = s.Write([]byte{1})
		must(w.t, err)
		_, err = l.Accept(soon(w.t))
		must(w.t, err)
	}
	return costNow().since(before)
}

// costOfPeers is that of nodes being connected.
func (w *network) costOfPeers(count int) cost {
	var nodes []*bus.Node
	var urls []string
	for range count {
		from, to := w.transport(), w.transport()
		a, b := w.node("a", uses(from)), w.node("b", uses(to))
		url := w.listen(b)
		nodes, urls = append(nodes, a), append(urls, url)
	}
	before := costNow()
	for i, a := range nodes {
		w.connect(a, urls[i])
	}
	return costNow().since(before)
}

func uses(t bus.Transport) func(*bus.Config) {
	return func(c *bus.Config) { c.Transports = []bus.Transport{t} }
}

// transport has a socket that no offload's buffers belong to.
func (w *network) transport() *quictransport.Transport {
	t := quictransport.New(quictransport.Config{Identity: w.identity(uuid.Nil, "t"),
		ListenPacket: func(ctx context.Context, addr string) (net.PacketConn, error) {
			conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
			return plainSocket{conn}, err
		}})
	w.t.Cleanup(func() { must(w.t, t.Close()) })
	return t
}

// plainSocket hides what else a UDP socket can do.
type plainSocket struct{ net.PacketConn }

func (plainSocket) SetReadBuffer(int) error  { return nil }
func (plainSocket) SetWriteBuffer(int) error { return nil }
