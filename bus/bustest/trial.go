package bustest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bus"
)

const (
	// patience is how long a call may take that has to return. It is that of a busy machine.
	patience = 20 * time.Second
	// settle is how long a call is given to begin, and to return where it has to wait.
	settle = 30 * time.Millisecond
	// quiet is a timeout that a busy machine does not reach by itself.
	quiet = time.Second
)

// trial is a rule that is being tried. Its helpers end it when a call takes too long or fails.
type trial struct {
	testing.TB
	factory Factory
	ctx     context.Context // ends with the rule

	client, server   bus.Transport
	listener         bus.Listener // of the server
	dialled, arrived bus.Conn     // after connect
}

// try runs the rule, and looks for goroutines once its transports are closed.
func (r rule) try(tb testing.TB, f Factory) {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		if tb.Failed() {
			return // what hangs has been said
		}
		if err := goleak.Find(before); err != nil {
			tb.Errorf("goroutines are left after Transport.Close: %v", err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	t := &trial{TB: tb, factory: f, ctx: ctx}
	t.client, t.server = t.transport(), t.transport()
	t.listener = t.listen(t.server)
	r.hold(t)
}

// transport makes one that is closed with the rule.
func (t *trial) transport() bus.Transport {
	t.Helper()
	tr := t.factory.New(t.TB)
	t.closes(tr)
	return tr
}

// closes has a transport closed with the rule.
func (t *trial) closes(tr bus.Transport) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		if err := t.start(tr.Close).wait(t, "Transport.Close"); err != nil {
			t.Errorf("Transport.Close: %v", err)
		}
	})
}

func (t *trial) listen(tr bus.Transport) bus.Listener {
	t.Helper()
	l, err := await(t, "Listen", func() (bus.Listener, error) { return tr.Listen(t.ctx, t.factory.Listen) })
	t.must(err)
	return l
}

// connect has the client dial the server.
func (t *trial) connect() {
	t.Helper()
	t.dialled = t.dial(t.client, t.listener)
	t.arrived = t.accept(t.listener)
}

func (t *trial) dial(from bus.Transport, to bus.Listener) bus.Conn {
	t.Helper()
	c, err := await(t, "Dial", func() (bus.Conn, error) { return from.Dial(t.ctx, to.Addr().String(), uuid.Nil) })
	t.must(err)
	return c
}

func (t *trial) accept(l bus.Listener) bus.Conn {
	t.Helper()
	c, err := await(t, "Accept", func() (bus.Conn, error) { return l.Accept(t.ctx) })
	t.must(err)
	return c
}

func (t *trial) open(c bus.Conn) bus.Stream {
	t.Helper()
	s, err := await(t, "OpenStream", func() (bus.Stream, error) { return c.OpenStream(t.ctx) })
	t.must(err)
	return s
}

func (t *trial) acceptStream(c bus.Conn) bus.Stream {
	t.Helper()
	s, err := await(t, "AcceptStream", func() (bus.Stream, error) { return c.AcceptStream(t.ctx) })
	t.must(err)
	return s
}

// streams connects once, and opens a stream. One byte makes it known to the peer.
func (t *trial) streams() (opened, accepted bus.Stream) {
	t.Helper()
	if t.dialled == nil {
		t.connect()
	}
	return t.streamsOn(t.dialled, t.arrived)
}

func (t *trial) streamsOn(from, to bus.Conn) (opened, accepted bus.Stream) {
	t.Helper()
	opened = t.open(from)
	t.write(opened, []byte{1})
	accepted = t.acceptStream(to)
	t.read(accepted, []byte{1})
	return opened, accepted
}

// passes holds that bytes get from one end of a stream to the other.
func (t *trial) passes(from, to bus.Stream) {
	t.Helper()
	t.write(from, []byte("and on"))
	t.read(to, []byte("and on"))
}

func (t *trial) write(s bus.Stream, p []byte) {
	t.Helper()
	n, err := await(t, "Write", func() (int, error) { return s.Write(p) })
	if n != len(p) || err != nil {
		t.Fatalf("Write took %d of %d bytes: %v", n, len(p), err)
	}
}

// read reads as many bytes as are wanted, and compares.
func (t *trial) read(s bus.Stream, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := await(t, "Read", func() (int, error) { return io.ReadFull(s, got) })
	if err != nil {
		t.Fatalf("Read gave %d bytes of %d: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Read gave other bytes than were written: %.40q, want %.40q", got, want)
	}
}

// readEOF reads to the end of a stream, and compares.
func (t *trial) readEOF(s bus.Stream, want []byte) {
	t.Helper()
	t.read(s, want)
	n, err := await(t, "Read", func() (int, error) { return s.Read(make([]byte, 1)) })
	if n != 0 || err != io.EOF {
		t.Fatalf("Read after the last byte: %d bytes, %v, want io.EOF", n, err)
	}
}

// gone waits for the end of a connection and returns its cause.
func (t *trial) gone(c bus.Conn) error {
	t.Helper()
	select {
	case <-c.Context().Done():
	case <-time.After(patience):
		t.Fatalf("the connection's Context is not done after %v", patience)
	}
	cause := context.Cause(c.Context())
	if cause == nil {
		t.Fatal("the connection's Context has no cause")
	}
	return cause
}

func (t *trial) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pause lets time pass for something that must not happen, or has to begin.
func (t *trial) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// pending is a call that has not returned yet.
type pending chan error

// start runs a call beside the rule; wait, or the end of the transports, ends it.
func (t *trial) start(call func() error) pending {
	p := make(pending, 1)
	go func() { p <- call() }()
	return p
}

// wait returns what the call returned.
func (p pending) wait(t *trial, what string) error {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-p:
		return err
	case <-timer.C:
		t.Fatalf("%s has not returned after %v", what, patience)
		return nil
	}
}

// waits holds that the call does not return yet.
func (p pending) waits(t *trial, what string) {
	t.Helper()
	t.pause(settle)
	select {
	case err := <-p:
		t.Fatalf("%s returned (%v), and has to wait", what, err)
	default:
	}
}

// await runs a call that has to return.
func await[T any](t *trial, what string, call func() (T, error)) (T, error) {
	t.Helper()
	var value T
	err := t.start(func() (err error) { value, err = call(); return err }).wait(t, what)
	return value, err
}

// startRead reads one byte, startWrite writes more than any stream holds, beside the rule.
func (t *trial) startRead(s bus.Stream) pending {
	return t.start(func() error { _, err := s.Read(make([]byte, 1)); return err })
}

func (t *trial) startWrite(s bus.Stream) pending {
	return t.start(func() error { _, err := s.Write(make([]byte, tooMuch)); return err })
}

// broken holds that an error is that of a stream which did not come to its end.
func (t *trial) broken(what string, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("%s succeeded, want an error", what)
	case errors.Is(err, io.EOF):
		t.Fatalf("%s: %v, which only the peer's CloseWrite may give", what, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Fatalf("%s: %v, and there was no deadline", what, err)
	}
}

// peerError holds that an error is a close with a code.
func (t *trial) peerError(what string, err error, code bus.CloseCode, remote bool) *bus.PeerError {
	t.Helper()
	peer, ok := errors.AsType[*bus.PeerError](err)
	if !ok {
		t.Fatalf("%s: %v (%T), want a *bus.PeerError", what, err, err)
	}
	if peer.Code != code || peer.Remote != remote {
		t.Fatalf("%s: %v: code %s, remote %t, want %s, %t", what, err, peer.Code, peer.Remote, code, remote)
	}
	return peer
}

// pattern is n bytes that are other ones at each offset of a stream.
func pattern(offset, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		at := uint32(offset + i)
		p[i] = byte(at ^ at>>8 ^ at>>16)
	}
	return p
}
