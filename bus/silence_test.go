package bus_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/quictransport"
)

// lossy is a socket whose packets can be made to vanish, in one direction or both.
type lossy struct {
	*net.UDPConn
	in, out *atomic.Bool
}

func (l lossy) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := l.UDPConn.ReadFrom(p)
		if err != nil || !l.in.Load() {
			return n, addr, err
		}
	}
}

func (l lossy) WriteTo(p []byte, addr net.Addr) (int, error) {
	if l.out.Load() {
		return len(p), nil
	}
	return l.UDPConn.WriteTo(p, addr)
}

// plain hides that it is a UDP socket: only the methods above are used.
type plain struct{ net.PacketConn }

func (plain) SetReadBuffer(int) error  { return nil }
func (plain) SetWriteBuffer(int) error { return nil }

// lossyNode is a node behind such a socket.
func (w *network) lossyNode(name string, configure func(*bus.Config)) (n *bus.Node, in, out *atomic.Bool) {
	in, out = new(atomic.Bool), new(atomic.Bool)
	identity := w.identity(uuid.Nil, name)
	n = w.nodeAs(identity, func(c *bus.Config) {
		c.Transports = []bus.Transport{quictransport.New(quictransport.Config{Identity: identity,
			ListenPacket: func(ctx context.Context, addr string) (net.PacketConn, error) {
				local, err := net.ResolveUDPAddr("udp", addr)
				if err != nil {
					return nil, err
				}
				c, err := net.ListenUDP("udp", local)
				return plain{lossy{c, in, out}}, err
			}})}
		configure(c)
	})
	return n, in, out
}

// Silence in both directions, or in either, ends the connection on both sides after Timeout. What was
// emitted meanwhile arrives once, in order, when it is over.
func TestConfigTimeout(t *testing.T) {
	for name, direction := range map[string][2]bool{"both": {true, true}, "in": {true, false}, "out": {false, true}} {
		t.Run(name, func(t *testing.T) {
			const timeout = 500 * time.Millisecond
			brief := func(c *bus.Config) { c.Timeout = timeout }
			w := newNetwork(t)
			server := w.node("server", brief)
			client, in, out := w.lossyNode("client", brief)
			inbox := collect(t, server, ">")
			w.connect(client, w.listen(server))
			send(t, client, "x", numbers(1, 10)...)
			inbox.want(numbers(1, 10)...)

			streams := []func(func(bus.LifecycleEvent) bool){server.Lifecycle(soon(t)), client.Lifecycle(soon(t))}
			in.Store(direction[0])
			out.Store(direction[1])
			began := time.Now()
			send(t, client, "x", numbers(11, 20)...)
			for _, s := range streams {
				down := awaitLifecycle(t, s, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecyclePeerDown })
				var peer *bus.PeerError
				if !errors.As(down.Err, &peer) || peer.Code != bus.CloseTimeout {
					t.Errorf("the peer went down with %v", down.Err)
				}
			}
			if took := time.Since(began); took < timeout/2 {
				t.Errorf("noticed after %v, before the timeout", took)
			}
			in.Store(false)
			out.Store(false)
			send(t, client, "x", numbers(21, 30)...)
			inbox.want(numbers(1, 30)...)
		})
	}
}

// A peer with a longer timeout keeps one with a shorter alive.
func TestUnequalTimeouts(t *testing.T) {
	w := newNetwork(t)
	a := w.node("a", func(c *bus.Config) { c.Timeout = 150 * time.Millisecond })
	b := w.node("b")
	stream := a.Lifecycle(soon(t))
	w.chain(a, b)
	in := collect(t, a, "x")
	must(t, in.sub.Ready(soon(t)))
	calm := time.After(time.Second)
	down := make(chan bus.LifecycleEvent, 1)
	go func() {
		for e := range stream {
			if e.Kind == bus.LifecyclePeerDown {
				down <- e
				return
			}
		}
	}()
	select {
	case e := <-down:
		t.Fatalf("an idle link fell: %v", e)
	case <-calm:
	}
	send(t, b, "x", "1")
	in.want("1")
}

// What needs no hurry waits for AckInterval, and no longer: word of events that the peer
// does not want, and that nothing follows. It is by that word that the peer learns of the log.
func TestConfigAckInterval(t *testing.T) {
	for _, interval := range []time.Duration{20 * time.Millisecond, time.Hour} {
		w := newNetwork(t)
		a := w.node("a", func(c *bus.Config) { c.AckInterval = interval })
		b := w.node("b")
		in := collect(t, b, "x")
		w.chain(a, b)
		must(t, in.sub.Ready(soon(t)))
		before := b.Stats().Logs
		send(t, a, "unheard", "1")
		must(t, a.Drain(soon(t)))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		told := false
		for !told && ctx.Err() == nil {
			b.Peers()[0].Ping(ctx)
			told = b.Stats().Logs > before
		}
		cancel()
		if told != (interval < time.Second) {
			t.Errorf("interval %v: told: %v", interval, told)
		}
	}
}
