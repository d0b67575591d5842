package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bus"
)

// The rules of transports and listeners.

func idsOnBothSides(t *trial) {
	t.connect()
	switch {
	case t.client.ID() == uuid.Nil || t.client.ID() == t.server.ID():
		t.Errorf("ids %s and %s, want two", t.client.ID(), t.server.ID())
	case t.dialled.Peer() != t.server.ID() || t.arrived.Peer() != t.client.ID():
		t.Errorf("peers %s and %s, want %s and %s", t.dialled.Peer(), t.arrived.Peer(), t.server.ID(), t.client.ID())
	case t.client.Scheme() == "" || t.client.Scheme() != t.server.Scheme():
		t.Errorf("schemes %q and %q", t.client.Scheme(), t.server.Scheme())
	}
	for name, addr := range map[string]net.Addr{
		"Listener.Addr": t.listener.Addr(),
		"LocalAddr":     t.dialled.LocalAddr(), "RemoteAddr": t.dialled.RemoteAddr(),
		"LocalAddr of the accepting side": t.arrived.LocalAddr(), "RemoteAddr of the accepting side": t.arrived.RemoteAddr(),
	} {
		if addr == nil || addr.String() == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if err := t.dialled.Context().Err(); err != nil {
		t.Errorf("the Context of a new connection: %v", err)
	}
	if t.listener.Addr().String() == t.listen(t.server).Addr().String() {
		t.Errorf("two listeners have the address %s", t.listener.Addr())
	}
}

func wrongIDIsRefused(t *trial) {
	accepting := t.start(func() error {
		for {
			c, err := t.listener.Accept(t.ctx)
			if err != nil {
				return err
			}
			<-c.Context().Done() // some transports learn of the refusal only just after
		}
	})
	dial := func(want uuid.UUID) func() (bus.Conn, error) {
		return func() (bus.Conn, error) { return t.client.Dial(t.ctx, t.listener.Addr().String(), want) }
	}
	c, err := await(t, "Dial", dial(uuid.New()))
	t.peerError("Dial with another id", err, bus.CloseWrongID, false)
	if c != nil {
		t.Error("Dial returned a connection with its error")
	}
	accepting.waits(t, "Accept")
	c, err = await(t, "Dial", dial(t.server.ID()))
	t.must(err)
	if c.Peer() != t.server.ID() {
		t.Errorf("the peer is %s, want %s", c.Peer(), t.server.ID())
	}
	t.must(c.CloseWithCode(bus.CloseNormal, ""))
	t.must(t.listener.Close())
	if err := accepting.wait(t, "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

// untrustedIsRefused has a stranger be dialled, and then dial.
func untrustedIsRefused(t *trial) {
	if t.factory.Stranger == nil {
		t.Skip("the factory has no Stranger")
	}
	stranger := t.factory.Stranger(t.TB)
	t.closes(stranger)
	theirs := t.listen(stranger)
	c, err := await(t, "Dial", func() (bus.Conn, error) { return t.client.Dial(t.ctx, theirs.Addr().String(), uuid.Nil) })
	t.peerError("Dial to a stranger", err, bus.CloseUntrusted, false)
	if c != nil {
		t.Error("Dial returned a connection with its error")
	}

	var got bus.Conn
	accepting := t.start(func() (err error) { got, err = t.listener.Accept(t.ctx); return err })
	c, err = await(t, "Dial", func() (bus.Conn, error) { return stranger.Dial(t.ctx, t.listener.Addr().String(), uuid.Nil) })
	if err == nil {
		err = t.gone(c)
	}
	t.peerError("what a stranger learns", err, bus.CloseUntrusted, true)
	accepting.waits(t, "Accept")
	t.dial(t.client, t.listener)
	t.must(accepting.wait(t, "Accept"))
	if got.Peer() != t.client.ID() {
		t.Errorf("%s was accepted, want %s", got.Peer(), t.client.ID())
	}
}

// manyConnections has several dials at once, in both directions.
func manyConnections(t *trial) {
	const each = 6
	third := t.transport()
	theirs := t.listen(t.client)
	var served, g errgroup.Group
	serve := func(l bus.Listener, conns int, peers ...uuid.UUID) {
		for range conns {
			c := t.accept(l)
			if !slices.Contains(peers, c.Peer()) {
				t.Errorf("%s arrived", c.Peer())
			}
			served.Go(func() error {
				s, err := c.AcceptStream(t.ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(s, "%s ", c.Peer())
				_, err = io.Copy(s, s)
				return errors.Join(err, s.CloseWrite())
			})
		}
	}
	call := func(from bus.Transport, to bus.Listener, text string) {
		g.Go(func() error {
			c, err := from.Dial(t.ctx, to.Addr().String(), uuid.Nil)
			if err != nil {
				return err
			}
			s, err := c.OpenStream(t.ctx)
			if err != nil {
				return err
			}
			io.WriteString(s, text)
			s.CloseWrite()
			got, err := io.ReadAll(s)
			if want := from.ID().String() + " " + text; err == nil && string(got) != want {
				err = fmt.Errorf("read %q, want %q", got, want)
			}
			return err
		})
	}
	for i := range each {
		call(t.client, t.listener, fmt.Sprint("from the client ", i))
		call(third, t.listener, fmt.Sprint("from a third ", i))
		call(t.server, theirs, fmt.Sprint("back ", i))
	}
	serve(t.listener, 2*each, t.client.ID(), third.ID())
	serve(theirs, each, t.server.ID())
	t.must(t.start(g.Wait).wait(t, "one of several dials"))
	t.must(t.start(served.Wait).wait(t, "one of several connections"))
}

func dataBeforeAccept(t *trial) {
	// Neither the connection nor its streams are accepted yet.
	text := pattern(0, 8<<10)
	t.dialled = t.dial(t.client, t.listener)
	for range 5 {
		s := t.open(t.dialled)
		t.write(s, text)
		t.must(s.CloseWrite())
	}
	t.pause(settle)
	t.arrived = t.accept(t.listener)
	for range 5 {
		t.pause(settle / 5)
		t.readEOF(t.acceptStream(t.arrived), text)
	}
}

func cancelDial(t *trial) {
	ctx, giveUp := context.WithCancelCause(t.ctx)
	giveUp(errGivenUp)
	_, err := await(t, "Dial", func() (bus.Conn, error) { return t.client.Dial(ctx, t.listener.Addr().String(), uuid.Nil) })
	if !errors.Is(err, errGivenUp) {
		t.Errorf("Dial under a cancelled context: %v, want the context's cause", err)
	}
	t.connect() // whatever the transport starts once is started
	if t.factory.Freezing == nil {
		t.Log("Dial to a silent peer is not tried: the factory has no Freezing")
		return
	}
	frozen, freeze, thaw := t.factory.Freezing(t.TB)
	t.closes(frozen)
	silent := t.listen(frozen)
	before := goleak.IgnoreCurrent()
	freeze()
	defer thaw()
	t.ends("Dial", func(ctx context.Context) error {
		_, err := t.client.Dial(ctx, silent.Addr().String(), uuid.Nil)
		return err
	})
	thaw() // what is left there is not the client's
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines are left after a Dial that was given up: %v", err)
	}
}

func cancelAccept(t *trial) {
	t.ends("Accept", func(ctx context.Context) error {
		_, err := t.listener.Accept(ctx)
		return err
	})
	// What comes later is not lost to a call that was given up.
	t.dialled = t.dial(t.client, t.listener)
	t.pause(settle)
	t.arrived = t.accept(t.listener)
}

var errGivenUp = errors.New("bustest: given up")

// ends holds that a call waits, and returns why its context ended: that it was cancelled, or that its deadline has passed.
func (t *trial) ends(what string, call func(context.Context) error) {
	t.Helper()
	cancelled, giveUp := context.WithCancelCause(t.ctx)
	defer giveUp(nil)
	p := t.start(func() error { return call(cancelled) })
	p.waits(t, what)
	giveUp(errGivenUp)
	began := time.Now()
	if err := p.wait(t, what+" under a cancelled context"); !errors.Is(err, errGivenUp) {
		t.Errorf("%s under a cancelled context: %v, want the context's cause", what, err)
	}
	if late := time.Since(began); late > patience/4 {
		t.Errorf("%s returned %v after its context was cancelled", what, late)
	}
	ctx, cancel := context.WithTimeout(t.ctx, settle)
	defer cancel()
	if err := t.start(func() error { return call(ctx) }).wait(t, what+" after its deadline"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s after its deadline: %v, want context.DeadlineExceeded", what, err)
	}
}

func dialToClosedAddress(t *trial) {
	dial := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.ctx, 10*settle)
		defer cancel()
		began := time.Now()
		c, err := await(t, "Dial to "+what, func() (bus.Conn, error) {
			return t.client.Dial(ctx, t.listener.Addr().String(), uuid.Nil)
		})
		if late := time.Since(began); late > patience/4 {
			t.Errorf("Dial to %s returned after %v, its context ended after %v", what, late, 10*settle)
		}
		if err == nil {
			t.Errorf("Dial to %s gave a connection to %s", what, c.Peer())
		}
	}
	t.must(t.listener.Close())
	dial("a closed listener")
	t.must(t.server.Close())
	dial("a closed transport")
}

func listenerClose(t *trial) {
	opened, accepted := t.streams()
	accepting := t.start(func() error { _, err := t.listener.Accept(t.ctx); return err })
	accepting.waits(t, "Accept")
	t.must(t.start(t.listener.Close).wait(t, "Listener.Close"))
	if err := accepting.wait(t, "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept when the listener is closed: %v, want net.ErrClosed", err)
	}
	_, err := await(t, "Accept", func() (bus.Conn, error) { return t.listener.Accept(t.ctx) })
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the listener is closed: %v, want net.ErrClosed", err)
	}
	t.must(t.start(t.listener.Close).wait(t, "the second Listener.Close"))
	// What was accepted goes on.
	t.passes(opened, accepted)
	t.passes(accepted, opened)
	t.streams()
	text := bytes.Repeat([]byte("more "), 10_000)
	t.write(opened, text)
	t.read(accepted, text)
}
