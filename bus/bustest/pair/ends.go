package pair

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// Gone waits for the end of a connection and returns its cause.
func Gone(t testing.TB, c bus.Conn) error {
	t.Helper()
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-time.After(Patience):
		t.Fatal("the connection is still there")
		return nil
	}
}

// WantPeerError returns the *[bus.PeerError] that an error has to be.
func WantPeerError(t testing.TB, err error, code bus.CloseCode, remote bool) *bus.PeerError {
	t.Helper()
	got, ok := errors.AsType[*bus.PeerError](err)
	if !ok {
		t.Fatalf("error %v (%T), want a *bus.PeerError", err, err)
	}
	if got.Code != code || got.Remote != remote {
		t.Fatalf("%q: code %s remote %t, want %s %t", err, got.Code, got.Remote, code, remote)
	}
	return got
}

// OneWay is the loop of a benchmark: it writes 64 KiB at a time, and in the end looks whether all of it has arrived.
func OneWay(b *testing.B, w io.Writer, r io.Reader, closeWrite func() error) {
	b.Helper()
	const size = 64 << 10
	received := make(chan int64, 1)
	go func() { // ends with what it reads; OneWay waits for it
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, size))
		received <- n
	}()
	chunk := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	var sent int64
	for b.Loop() {
		n, err := w.Write(chunk)
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(n)
	}
	if err := closeWrite(); err != nil {
		b.Fatal(err)
	}
	if n := <-received; n != sent {
		b.Fatalf("%d bytes of %d arrived", n, sent)
	}
}
