package bustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// linked is two transports, "a" and "b", and a connection that a dialled, in virtual time.
type linked struct {
	*testing.T
	network          *Network
	a, b             bus.Transport
	listener         bus.Listener
	dialled, arrived bus.Conn
	link             *Link
}

func inBubble(t *testing.T, seed uint64, body func(l *linked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &linked{T: t, network: NewNetwork(seed)}
		l.a, l.b, l.link = l.network.Transport("a"), l.network.Transport("b"), l.network.Link("a", "b")
		defer l.a.Close()
		defer l.b.Close()
		var err error
		l.listener, err = l.b.Listen(t.Context(), "b:7777")
		l.must(err)
		l.connect()
		body(l)
	})
}

func (l *linked) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *linked) dial() (bus.Conn, error) { return l.a.Dial(l.Context(), "b:7777", l.b.ID()) }

func (l *linked) connect() {
	l.Helper()
	var err error
	l.dialled, err = l.dial()
	l.must(err)
	l.arrived, err = l.listener.Accept(l.Context())
	l.must(err)
}

func (l *linked) stream(from, to bus.Conn) (opened, accepted bus.Stream) {
	l.Helper()
	opened, err := from.OpenStream(l.Context())
	l.must(err)
	l.send(opened, "!")
	accepted, err = to.AcceptStream(l.Context())
	l.must(err)
	l.want(accepted, "!")
	return opened, accepted
}

func (l *linked) send(s bus.Stream, text string) {
	l.Helper()
	_, err := io.WriteString(s, text)
	l.must(err)
}

func (l *linked) want(s bus.Stream, text string) {
	l.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
		l.Fatalf("read %q, %v, want %q", got, err, text)
	}
}

// silent holds that nothing arrives for a minute.
func (l *linked) silent(s bus.Stream) {
	l.Helper()
	s.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		l.Fatalf("read %d bytes, %v, want silence", n, err)
	}
	s.SetReadDeadline(time.Time{})
}

// takes measures a call in virtual time.
func (l *linked) takes(want time.Duration, what string, call func()) {
	l.Helper()
	began := time.Now()
	call()
	if took := time.Since(began); took != want {
		l.Errorf("%s took %v, want %v", what, took, want)
	}
}

func TestDelay(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		there, back := l.stream(l.dialled, l.arrived)
		l.takes(0, "a message without delay", func() { l.send(there, "x"); l.want(back, "x") })
		l.link.Delay(20 * time.Millisecond)
		l.link.OneWay().Delay(50 * time.Millisecond)
		l.takes(50*time.Millisecond, "a message there", func() { l.send(there, "x"); l.want(back, "x") })
		l.takes(20*time.Millisecond, "a message back", func() { l.send(back, "x"); l.want(there, "x") })
		l.takes(70*time.Millisecond, "a dial", func() { l.connect() })
		l.takes(50*time.Millisecond, "a stream", func() { l.stream(l.dialled, l.arrived) })
		// What is on its way keeps its delay, and its place.
		l.send(there, "slow")
		l.link.Delay(0)
		l.takes(50*time.Millisecond, "a message behind a slow one", func() { l.send(there, "fast"); l.want(back, "slowfast") })
		l.link.OneWay().Delay(50 * time.Millisecond)
		l.takes(50*time.Millisecond, "a close", func() {
			l.must(l.dialled.CloseWithCode(bus.CloseFull, "no more"))
			<-l.arrived.Context().Done()
		})
	})
}

func TestJitterComesFromTheSeed(t *testing.T) {
	// The arrival times of 200 messages on two streams.
	times := func(seed uint64) (list string) {
		inBubble(t, seed, func(l *linked) {
			l.link.Delay(10 * time.Millisecond)
			l.link.Jitter(10 * time.Millisecond)
			one, first := l.stream(l.dialled, l.arrived)
			two, second := l.stream(l.dialled, l.arrived)
			began := time.Now()
			for i := range 100 {
				l.send(one, fmt.Sprintf("%03d", i))
				l.send(two, fmt.Sprintf("%03d", i))
				time.Sleep(time.Millisecond)
				l.want(first, fmt.Sprintf("%03d", i)) // in order
				l.want(second, fmt.Sprintf("%03d", i))
				list += fmt.Sprint(time.Since(began), " ")
			}
			if took := time.Since(began); took < time.Second || took > 2*time.Second {
				l.Errorf("100 messages took %v, want 10 to 20 ms each", took)
			}
		})
		return list
	}
	first, again, other := times(1), times(1), times(2)
	if first != again {
		t.Error("the same seed gave other delays")
	}
	if first == other {
		t.Error("another seed gave the same delays")
	}
}

func TestCutAndHeal(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		_, accepted := l.stream(l.dialled, l.arrived)
		l.link.Delay(time.Second)
		dialling := make(chan error, 1)
		go func() { _, err := l.dial(); dialling <- err }()
		synctest.Wait()
		l.takes(0, "a cut", func() {
			l.link.Cut()
			for _, c := range []bus.Conn{l.dialled, l.arrived} {
				<-c.Context().Done()
				if peer, ok := errors.AsType[*bus.PeerError](context.Cause(c.Context())); ok {
					l.Errorf("a cut gave the close code %s", peer.Code)
				}
			}
			if _, err := accepted.Read(make([]byte, 1)); err == nil || err == io.EOF {
				l.Errorf("read: %v", err)
			}
			if err := <-dialling; !errors.Is(err, errUnreachable) {
				l.Errorf("the dial under way: %v", err)
			}
			if _, err := l.dial(); !errors.Is(err, errUnreachable) {
				l.Errorf("dial: %v", err)
			}
		})
		// Other links are as they were.
		c, err := l.network.Transport("c").Dial(l.Context(), "b:7777", uuid.Nil)
		l.must(err)
		l.must(c.CloseWithCode(bus.CloseNormal, ""))
		l.link.Heal()
		l.connect()
	})
}

func TestReset(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		l.link.Reset()
		for _, c := range []bus.Conn{l.dialled, l.arrived} {
			<-c.Context().Done()
		}
		l.connect()
		l.stream(l.arrived, l.dialled)
	})
}

func TestStallAndResume(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		opened, accepted := l.stream(l.dialled, l.arrived)
		other, theirs := l.stream(l.dialled, l.arrived)
		l.send(opened, "arrived")
		time.Sleep(time.Millisecond)
		l.link.Stall()
		l.link.Stall() // is still the first
		l.want(accepted, "arrived")
		l.send(opened, "held back")
		l.send(accepted, "held back")
		l.silent(accepted)
		l.silent(opened)
		// A writer fills the window, a dial waits, and so does the news of a reset and a close.
		opened.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := opened.Write(make([]byte, tooMuch)); n > streamBytes || !errors.Is(err, os.ErrDeadlineExceeded) {
			l.Errorf("%d bytes written, %v", n, err)
		}
		type result struct {
			conn bus.Conn
			err  error
		}
		dialled := make(chan result, 1)
		go func() { c, err := l.dial(); dialled <- result{c, err} }()
		other.Reset(bus.CloseNormal)
		l.silent(theirs)
		select {
		case r := <-dialled:
			l.Errorf("dial returned: %v", r.err)
		default:
		}
		l.takes(0, "what was held back", func() {
			l.link.Resume()
			l.want(accepted, "held back")
			l.want(opened, "held back")
			if r := <-dialled; r.err != nil {
				l.Error(r.err)
			}
			if _, err := theirs.Read(make([]byte, 1)); err == nil || err == io.EOF {
				l.Errorf("read after a reset: %v", err)
			}
		})
		l.link.Stall()
		l.must(l.dialled.CloseWithCode(bus.CloseFull, "no more"))
		time.Sleep(time.Minute)
		if err := context.Cause(l.arrived.Context()); err != nil {
			l.Errorf("a close came over a link that stalls: %v", err)
		}
		l.link.Resume()
		<-l.arrived.Context().Done()
		if peer, ok := errors.AsType[*bus.PeerError](context.Cause(l.arrived.Context())); !ok || peer.Code != bus.CloseFull {
			l.Errorf("the cause is %v", context.Cause(l.arrived.Context()))
		}
	})
}

func TestOneWayStall(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		opened, accepted := l.stream(l.dialled, l.arrived)
		for _, test := range []struct {
			from, to    string
			heard, mute bus.Stream
		}{{"a", "b", accepted, opened}, {"b", "a", opened, accepted}} {
			l.network.Link(test.from, test.to).OneWay().Stall()
			l.send(test.heard, "x")
			l.want(test.mute, "x")
			l.send(test.mute, "x")
			l.silent(test.heard)
			l.network.Link(test.from, test.to).OneWay().Resume()
			l.want(test.heard, "x")
		}
	})
}

func TestAddressesAndNames(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		for _, addr := range []string{"b:7777", ":7777", "a:1", "nowhere", "b:http", "b:70000"} {
			if ln, err := l.b.Listen(l.Context(), addr); err == nil {
				l.Errorf("listen on %s gave %s", addr, ln.Addr())
			}
		}
		for _, addr := range []string{"b:1", "c:7777", "nowhere", "b:http"} {
			if _, err := l.a.Dial(l.Context(), addr, uuid.Nil); err == nil {
				l.Errorf("dial to %s succeeded", addr)
			}
		}
		l.must(l.listener.Close())
		ln, err := l.network.Transport("b").Listen(l.Context(), ":7777") // a restart
		l.must(err)
		if _, err := l.dial(); err != nil || ln.Addr().String() != "b:7777" {
			l.Errorf("listening on %s, dial: %v", ln.Addr(), err)
		}
		l.must(ln.Close())
	})
	id := uuid.New()
	if got := NewNetwork(1).Transport(id.String()).ID(); got != id {
		t.Errorf("the transport of %s has the id %s", id, got)
	}
	if NewNetwork(1).Transport("a").ID() != NewNetwork(2).Transport("a").ID() {
		t.Error("a name has two ids")
	}
	defer func() {
		if recover() == nil {
			t.Error("a name that fits no URL was taken")
		}
	}()
	NewNetwork(1).Transport("a:b")
}

// A dial that comes at the very moment of listening meets nobody, or somebody who knows where they are.
func TestDialWhileListening(t *testing.T) {
	network := NewNetwork(1)
	a, b := network.Transport("a"), network.Transport("b")
	var dialling sync.WaitGroup
	dialling.Go(func() {
		for {
			c, err := a.Dial(t.Context(), "b:1", uuid.Nil)
			if err != nil {
				continue
			}
			if got := c.RemoteAddr().String(); got != "b:1" {
				t.Errorf("dialled %s", got)
			}
			return
		}
	})
	if _, err := b.Listen(t.Context(), ":1"); err != nil {
		t.Fatal(err)
	}
	dialling.Wait()
	for _, side := range []bus.Transport{a, b} {
		if err := side.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBacklogIsBounded(t *testing.T) {
	inBubble(t, 1, func(l *linked) {
		for i := range maxBacklog {
			if _, err := l.dial(); err != nil {
				l.Fatalf("dial %d: %v", i, err)
			}
		}
		if _, err := l.dial(); err == nil {
			l.Error("a full listener took another connection")
		}
		for range maxBacklog {
			_, err := l.listener.Accept(l.Context())
			l.must(err)
		}
		l.connect()
	})
}
