package bustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bus"
)

// The rules of the streams of a connection, and of its end.

func eightyStreams(t *trial) {
	t.connect()
	type ends struct{ opened, accepted bus.Stream }
	var all []ends
	for range 80 {
		for _, from := range []bus.Conn{t.dialled, t.arrived} {
			to := t.arrived
			if from == to {
				to = t.dialled
			}
			opened, accepted := t.streamsOn(from, to)
			all = append(all, ends{opened, accepted})
		}
	}
	for _, s := range all {
		t.passes(s.opened, s.accepted)
		t.passes(s.accepted, s.opened)
	}
}

func streamsInAnyOrder(t *trial) {
	t.connect()
	const count, size = 64, 8 << 10
	for i := range count {
		s := t.open(t.dialled)
		t.write(s, pattern(i, size))
		t.must(s.CloseWrite())
	}
	accepted := make([]bus.Stream, count)
	for range count {
		s := t.acceptStream(t.arrived)
		first := make([]byte, 1)
		if _, err := await(t, "Read", func() (int, error) { return io.ReadFull(s, first) }); err != nil {
			t.Fatal(err)
		}
		if i := int(first[0]); i >= count || accepted[i] != nil {
			t.Fatalf("a stream begins with %d", i)
		}
		accepted[first[0]] = s
	}
	for i := count - 1; i >= 0; i-- {
		t.readEOF(accepted[i], pattern(i, size)[1:])
	}
}

// fill opens streams until the peer allows no more. A transport may allow any number.
func (t *trial) fill() (opened []bus.Stream, full bool) {
	t.Helper()
	for range 1000 {
		ctx, cancel := context.WithTimeout(t.ctx, 10*settle)
		s, err := await(t, "OpenStream", func() (bus.Stream, error) { return t.dialled.OpenStream(ctx) })
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && len(opened) >= 80 {
			return opened, true
		}
		t.must(err)
		opened = append(opened, s)
	}
	return opened, false
}

func cancelOpenStream(t *trial) {
	t.connect()
	if _, full := t.fill(); !full {
		t.Skip("OpenStream does not wait with 1,000 streams open")
	}
	t.ends("OpenStream", func(ctx context.Context) error {
		_, err := t.dialled.OpenStream(ctx)
		return err
	})
}

func cancelAcceptStream(t *trial) {
	t.connect()
	for _, c := range []bus.Conn{t.dialled, t.arrived} {
		t.ends("AcceptStream", func(ctx context.Context) error {
			_, err := c.AcceptStream(ctx)
			return err
		})
	}
	// What comes later is not lost to a call that was given up.
	opened := t.open(t.dialled)
	t.write(opened, []byte("x"))
	t.pause(settle)
	t.read(t.acceptStream(t.arrived), []byte("x"))
}

func endedStreamMakesRoom(t *trial) {
	t.connect()
	opened, full := t.fill()
	next := t.start(func() error { _, err := t.dialled.OpenStream(t.ctx); return err })
	if full {
		next.waits(t, "OpenStream")
	}
	t.write(opened[0], []byte("x"))
	t.must(opened[0].CloseWrite())
	accepted := t.acceptStream(t.arrived)
	t.readEOF(accepted, []byte("x"))
	t.must(accepted.CloseWrite())
	t.readEOF(opened[0], nil)
	t.must(next.wait(t, "OpenStream after a stream has ended"))
}

// concurrentUse does at once what the contract allows to be done at once. What it finds is most often found by -race.
func concurrentUse(t *trial) {
	t.connect()
	const workers, size = 6, 512 << 10
	var g, echoes errgroup.Group
	for _, c := range []bus.Conn{t.dialled, t.arrived} {
		for w := range workers {
			g.Go(func() error { return useStream(t.ctx, c, w, size) })
			echoes.Go(func() error {
				s, err := c.AcceptStream(t.ctx)
				if err != nil {
					return err
				}
				_, err = io.CopyN(s, s, size)
				if err != nil {
					return fmt.Errorf("echo: %w", err)
				}
				return nil
			})
		}
	}
	t.must(t.start(g.Wait).wait(t, "using streams concurrently"))
	t.must(t.start(echoes.Wait).wait(t, "using streams concurrently"))
	var closing errgroup.Group
	for i := range 4 {
		for _, c := range []bus.Conn{t.dialled, t.arrived} {
			closing.Go(func() error { return c.CloseWithCode(bus.CloseCode(i), "one of several") })
		}
	}
	t.must(t.start(closing.Wait).wait(t, "CloseWithCode"))
	for _, c := range []bus.Conn{t.dialled, t.arrived} {
		if _, ok := errors.AsType[*bus.PeerError](t.gone(c)); !ok {
			t.Errorf("the cause is %v, want a *bus.PeerError", t.gone(c))
		}
	}
}

// useStream sends and gets back, with a writer and a reader at once, and others that move the deadlines
// and at the end reset.
func useStream(ctx context.Context, c bus.Conn, worker, size int) error {
	s, err := c.OpenStream(ctx)
	if err != nil {
		return err
	}
	var g, moving errgroup.Group
	done := make(chan struct{})
	for range 2 {
		moving.Go(func() error {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				later := time.Now().Add(time.Hour)
				if err := errors.Join(s.SetReadDeadline(later), s.SetWriteDeadline(later)); err != nil {
					return err
				}
				if c.Peer() == uuid.Nil || c.LocalAddr() == nil || c.RemoteAddr() == nil || c.Context().Err() != nil {
					return errors.New("the connection is not itself while it is used")
				}
				select {
				case <-done:
					s.Reset(bus.CloseNormal)
					return nil
				case <-tick.C:
				}
			}
		})
	}
	g.Go(func() error {
		for sent := 0; sent < size; {
			n := min(10_000, size-sent)
			if _, err := s.Write(pattern(worker+sent, n)); err != nil {
				return err
			}
			sent += n
		}
		return nil
	})
	g.Go(func() error {
		got := make([]byte, size)
		if _, err := io.ReadFull(s, got); err != nil {
			return err
		}
		if string(got) != string(pattern(worker, size)) {
			return errors.New("other bytes came back")
		}
		return nil
	})
	err = g.Wait()
	close(done)
	return errors.Join(err, moving.Wait())
}

func closeCodesArrive(t *trial) {
	codes := []bus.CloseCode{4_000_000_000}
	for code := bus.CloseNormal; code <= bus.CloseTooSlow; code++ {
		codes = append(codes, code)
	}
	for i, code := range codes {
		t.connect()
		closes, learns, closer := t.arrived, t.dialled, t.server
		if i%2 == 1 {
			closes, learns, closer = t.dialled, t.arrived, t.client
		}
		reason := fmt.Sprintf("reason %d, wörtlich", code)
		t.must(t.start(func() error { return closes.CloseWithCode(code, reason) }).wait(t, "CloseWithCode"))
		for _, side := range []struct {
			conn   bus.Conn
			remote bool
		}{{closes, false}, {learns, true}} {
			what := fmt.Sprintf("the cause of the Context, remote %t", side.remote)
			peer := t.peerError(what, t.gone(side.conn), code, side.remote)
			if peer.Reason != reason {
				t.Errorf("%s: reason %q, want %q", what, peer.Reason, reason)
			}
			if side.remote && peer.Peer != closer.ID() {
				t.Errorf("%s: closed by %s, want %s", what, peer.Peer, closer.ID())
			}
		}
	}
	t.connect()
	long := strings.Repeat("a long reason ", 10_000)
	t.must(t.start(func() error { return t.arrived.CloseWithCode(bus.CloseFull, long) }).wait(t, "CloseWithCode"))
	peer := t.peerError("the cause after a long reason", t.gone(t.dialled), bus.CloseFull, true)
	if !strings.HasPrefix(long, peer.Reason) {
		t.Errorf("the reason %.80q is not the beginning of what was given", peer.Reason)
	}
}

// busy has a call of each kind wait on one side of a connection, and returns them.
func (t *trial) busy(c bus.Conn, s ...bus.Stream) map[string]pending {
	t.Helper()
	calls := map[string]pending{
		"Read":         t.startRead(s[0]),
		"Write":        t.startWrite(s[1]),
		"AcceptStream": t.start(func() error { _, err := c.AcceptStream(t.ctx); return err }),
	}
	for what, p := range calls {
		p.waits(t, what)
	}
	return calls
}

// over holds that what waited has ended, and what is new fails, for the same reason as the connection.
func (t *trial) over(c bus.Conn, calls map[string]pending, s bus.Stream) {
	t.Helper()
	cause := t.gone(c)
	closed, coded := errors.AsType[*bus.PeerError](cause)
	fails := func(what string, p pending) {
		t.Helper()
		err := p.wait(t, what)
		t.broken(what, err)
		if coded {
			t.peerError(what, err, closed.Code, closed.Remote)
		}
	}
	for what, p := range calls {
		fails(what+" when the connection ends", p)
	}
	calls = map[string]pending{
		"OpenStream":   t.start(func() error { _, err := c.OpenStream(t.ctx); return err }),
		"AcceptStream": t.start(func() error { _, err := c.AcceptStream(t.ctx); return err }),
		"Write":        t.startWrite(s),
		"Read":         t.start(func() error { _, err := s.Read(make([]byte, 1)); return err }),
	}
	for what, p := range calls {
		fails(what+" after the end of the connection", p)
	}
}

func closeEndsTheConnection(t *trial) {
	opened1, accepted1 := t.streams()
	opened2, accepted2 := t.streams()
	here, there := t.busy(t.dialled, opened1, opened2), t.busy(t.arrived, accepted1, accepted2)
	t.must(t.start(func() error { return t.dialled.CloseWithCode(bus.CloseFull, "enough") }).wait(t, "CloseWithCode"))
	if t.dialled.Context().Err() == nil {
		t.Error("the Context is not done when CloseWithCode has returned")
	}
	t.over(t.dialled, here, opened1)
	t.closedHere("the cause of the Context", t.gone(t.dialled))
	t.over(t.arrived, there, accepted1)
	// Others go on.
	t.dialled = nil
	t.passes(t.streams())
}

func closeTwice(t *trial) {
	t.connect()
	t.must(t.dialled.CloseWithCode(bus.CloseFull, "first"))
	t.peerError("the cause at the peer", t.gone(t.arrived), bus.CloseFull, true)
	for _, c := range []bus.Conn{t.dialled, t.arrived, t.dialled} {
		if err := t.start(func() error { return c.CloseWithCode(bus.CloseInternal, "second") }).wait(t, "the second CloseWithCode"); err != nil {
			t.Errorf("the second CloseWithCode: %v", err)
		}
	}
	t.pause(settle)
	for _, side := range []struct {
		conn   bus.Conn
		remote bool
	}{{t.dialled, false}, {t.arrived, true}} {
		peer := t.peerError("the cause after the second close", t.gone(side.conn), bus.CloseFull, side.remote)
		if peer.Reason != "first" {
			t.Errorf("the reason is %q, want that of the first close", peer.Reason)
		}
	}
}

func peerVanishes(t *trial) {
	opened1, accepted1 := t.streams()
	opened2, accepted2 := t.streams()
	here, there := t.busy(t.dialled, opened1, opened2), t.busy(t.arrived, accepted1, accepted2)
	t.must(t.start(t.server.Close).wait(t, "Transport.Close"))
	t.over(t.dialled, here, opened1)
	t.over(t.arrived, there, accepted1)
}

func transportClose(t *trial) {
	opened, _ := t.streams()
	unaccepted := t.dial(t.client, t.listener)
	reading := t.startRead(opened)
	reading.waits(t, "Read")
	theirs := t.listen(t.client)
	accepting := t.start(func() error { _, err := theirs.Accept(t.ctx); return err })
	accepting.waits(t, "Accept")
	t.must(t.start(t.client.Close).wait(t, "Transport.Close"))
	if err := accepting.wait(t, "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept when the transport is closed: %v, want net.ErrClosed", err)
	}
	t.broken("Read when the transport is closed", reading.wait(t, "Read"))
	t.gone(t.dialled)
	t.gone(t.arrived)
	t.gone(unaccepted)
	for what, call := range map[string]func() error{
		"Dial":   func() error { _, err := t.client.Dial(t.ctx, t.listener.Addr().String(), uuid.Nil); return err },
		"Listen": func() error { _, err := t.client.Listen(t.ctx, t.factory.Listen); return err },
	} {
		if err := t.start(call).wait(t, what); err == nil {
			t.Errorf("%s on a closed transport succeeded", what)
		}
	}
	t.must(t.start(t.client.Close).wait(t, "the second Transport.Close"))
	// A transport that closes with a connection nobody accepted ends that, too.
	third := t.transport()
	waiting := t.dial(third, t.listener)
	t.must(t.start(t.server.Close).wait(t, "Transport.Close"))
	t.gone(waiting)
}

// noGoroutineLeft holds that a connection takes its goroutines with it, long before its transport is closed.
func noGoroutineLeft(t *trial) {
	t.passes(t.streams()) // whatever the transport starts once is started
	before := goleak.IgnoreCurrent()
	for range 3 {
		t.dialled = nil
		opened, accepted := t.streams()
		t.passes(opened, accepted)
		t.passes(t.streams())
		opened.Reset(bus.CloseNormal)
		t.must(t.arrived.CloseWithCode(bus.CloseNormal, ""))
		t.gone(t.dialled)
		t.must(t.dialled.CloseWithCode(bus.CloseNormal, ""))
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines are left after the end of their connections: %v", err)
	}
}
