package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// TestHostileSlow has neighbours that take their time, side by side: strangers in the handshake, members that
// do not introduce themselves or do it a byte at a time, and one that does, reads nothing and falls
// silent. It waits for the victim's timeouts.
func TestHostileSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for timeouts")
	}
	t.Parallel()
	says := []string{"remote=127.0.0.1:", "closed here", "timeout"}
	brief := func(c *bus.Config) { c.Timeout = 3 * time.Second }
	besideAStream(t, "quic", mischief{times: 16, says: says, victim: brief, do: func(v *victim) {
		var all sync.WaitGroup
		defer all.Wait()
		v.over("tcp").slowStrangers(&all)
		v.muteStrangers()
		for _, scheme := range transports {
			v := v.over(scheme)
			v.slowMembers(&all)
			r := v.rogue(v.identity(uuid.Nil, "silent"))
			r.say(r.control, r.greeting(">"))
			all.Go(func() { r.expectClosed(bus.CloseTimeout, "") })
		}
		for _, scheme := range transports { // each has its line of those that did not finish their handshake
			v.book.await(t, append([]string{"transport=" + scheme}, unfinished...))
		}
	}})
}

// A member has HelloTimeout for all that comes before it is a peer: its control stream is waited for in the same time.
func TestHelloTimeoutBeginsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		network.Node(t, "victim")
		slow := network.Transport("slow")
		defer slow.Close()
		began := time.Now()
		conn, err := slow.Dial(t.Context(), "victim:1", uuid.Nil)
		must(t, err)
		pass(6 * time.Second)
		control, err := conn.OpenStream(t.Context())
		must(t, err)
		_, err = control.Write([]byte{9}) // of a frame
		must(t, err)
		<-conn.Context().Done()
		var peer *bus.PeerError
		if cause := context.Cause(conn.Context()); !errors.As(cause, &peer) || peer.Code != bus.CloseHelloTimeout || !peer.Remote {
			t.Errorf("closed with %v", cause)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// slowMembers say as much of a hello and then wait, or get to it slowly.
func (v *victim) slowMembers(all *sync.WaitGroup) {
	for _, bytes := range []func(r *rogue) []byte{
		func(*rogue) []byte { return nil }, // not even a stream
		func(r *rogue) []byte { return r.hello()[:1] },
		func(r *rogue) []byte { return r.hello() }, // and no READY
	} {
		r := v.rogue(v.identity(uuid.Nil, "slow"))
		r.say(r.control, bytes(r))
		all.Go(func() { r.expectClosed(bus.CloseHelloTimeout, "") })
	}
	r := v.rogue(v.identity(uuid.Nil, "slower"))
	all.Go(func() {
		trickle(r.hello(), r.conn.Context().Done(), func(p []byte) { r.say(r.control, p) })
		r.expectClosed(bus.CloseHelloTimeout, "")
	})
}

// slowStrangers do the same with the handshake of TLS. They are cut off.
func (v *victim) slowStrangers(all *sync.WaitGroup) {
	begin := []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3} // of a hello
	for _, bytes := range [][]byte{nil, begin, append(begin, make([]byte, 200)...)} {
		c := v.dialTCP()
		over := make(chan struct{})
		all.Go(func() { trickle(bytes, over, func(p []byte) { c.Write(p) }) })
		all.Go(func() {
			defer c.Close()
			defer close(over)
			v.expectEnd(c)
		})
	}
}

// muteStrangers begin a handshake of QUIC, and say nothing more.
func (v *victim) muteStrangers() {
	c := v.dialUDP()
	defer c.Close()
	for _, p := range clientHellos(v.t, 3) {
		c.Write(p)
	}
}

// trickle says a byte at a time, until done.
func trickle(b []byte, done <-chan struct{}, say func([]byte)) {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for i := range b {
		select {
		case <-pace.C:
			say(b[i : i+1])
		case <-done:
			return
		}
	}
}
