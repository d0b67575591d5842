//go:build unix

package tcptransport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// newSending is a connection without goroutines, and without TLS, on a socket of the system's. What it sends arrives at there.
func newSending(t *testing.T) (f *frames, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); arrived.Close() })
	w := newWire(here)
	return &frames{newConn(socket{w, w}, uuid.Nil, nil, false, time.Minute)}, arrived.(*net.TCPConn)
}

// woken reports whether the goroutine that sends was told to.
func (f *frames) woken() bool {
	select {
	case <-f.writer.wake:
		return true
	default:
		return false
	}
}

// arrives reads frames of one stream, and returns what is in them.
func arrives(t *testing.T, there net.Conn, stream uint32, n int) (got []byte) {
	t.Helper()
	there.SetReadDeadline(time.Now().Add(pair.Patience))
	for head := make([]byte, headerSize); len(got) < n; {
		if _, err := io.ReadFull(there, head); err != nil {
			t.Fatal(err)
		}
		h, err := parseHeader(head)
		if err != nil || h.kind != kindData || h.stream != stream {
			t.Fatalf("%+v, %v", h, err)
		}
		body := make([]byte, h.length)
		if _, err := io.ReadFull(there, body); err != nil {
			t.Fatal(err)
		}
		got = append(got, body...)
	}
	return got
}

// TestTryWriteWakesNobody holds that a few bytes are given to the system by who has them, while nobody else sends, and that the
// goroutine is left what is more than that.
func TestTryWriteWakesNobody(t *testing.T) {
	f, there := newSending(t)
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.TryWrite([]byte("apple")); !ok || err != nil || f.woken() {
		t.Fatal(ok, err, "or the goroutine was woken")
	}
	if got := arrives(t, there, s.id, 5); string(got) != "apple" {
		t.Errorf("%q", got)
	}
	f.writer.sending.Lock() // somebody sends
	if ok, err := s.TryWrite([]byte("pear")); !ok || err != nil || !f.woken() {
		t.Fatal(ok, err, "or the goroutine was not woken")
	}
	f.writer.sending.Unlock()
	if run := f.run(t); len(run) != 1 || run[0].length != 4 {
		t.Errorf("%+v", run)
	}
	bulk := f.openWith(t, 0, 3*runSize)
	if !f.woken() {
		t.Fatal("the goroutine was not woken for bulk")
	}
	if ok, err := s.TryWrite([]byte("plum")); !ok || err != nil || !f.woken() {
		t.Fatal(ok, err, "or the goroutine was not woken for what is left of the bulk")
	}
	if bulk.out.pending() == 0 {
		t.Error("an emitter sent all of somebody else's bulk")
	}
}

// TestTryWriteToAFullSystem holds that what the system does not take is kept, is sent before all that follows, whoever sends
// that, and that nothing more is tried meanwhile.
func TestTryWriteToAFullSystem(t *testing.T) {
	f, there := newSending(t)
	f.socket.wire.Conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	there.SetReadBuffer(8 << 10)
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	s.out.window = 1 << 30
	var sent []byte
	for !f.writer.left {
		p := bytes.Repeat([]byte{byte(len(sent) / 1000)}, 1000)
		if ok, err := s.TryWrite(p); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if sent = append(sent, p...); len(sent) > 64<<20 {
			t.Fatal("the system takes everything")
		}
	}
	if !f.woken() {
		t.Fatal("the goroutine was not woken")
	}
	held := len(f.socket.wire.records)
	if ok, err := s.TryWrite([]byte("more")); !ok || err != nil || !f.woken() || len(f.socket.wire.records) != held {
		t.Fatal(ok, err, "or more was tried")
	}
	// What crypto/tls writes by itself is kept as well.
	alert := append(appendHeader(nil, header{kindData, 5, s.id}), "alert"...)
	if _, err := f.socket.wire.Write(alert); err != nil || !f.woken() {
		t.Fatal(err, "or the goroutine was not woken")
	}
	done := make(chan error, 1)
	go func() { // of the test, which waits for it
		var err error
		for more := true; err == nil && more; {
			b, _ := f.writer.gather(make([]byte, 0, runSize))
			more = len(b) > 0
			err = f.socket.send(b)
		}
		done <- err
	}()
	sent = append(sent, "alertmore"...)
	if got := arrives(t, there, s.id, len(sent)); !bytes.Equal(got, sent) {
		t.Error("what arrived is not what was sent")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w := f.socket.wire; w.buffer != nil || w.records != nil {
		t.Error("a connection that has nothing to send keeps a buffer")
	}
}

// TestWhereNothingCanBeTried holds that on a connection which is not the system's all is left to the goroutine.
func TestWhereNothingCanBeTried(t *testing.T) {
	f := newFrames(t)
	if _, err := f.socket.wire.Write([]byte("alert")); err != nil || !f.woken() || string(f.socket.wire.records) != "alert" {
		t.Errorf("%v, %q is kept, or the goroutine was not woken", err, f.socket.wire.records)
	}
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.TryWrite([]byte("apple")); !ok || err != nil || !f.woken() {
		t.Error(ok, err, "or the goroutine was not woken")
	}
}

// TestAnswersThatNobodyReads holds that a peer which asks for answers and reads none makes nothing wait, and is given up before
// that is much memory.
func TestAnswersThatNobodyReads(t *testing.T) {
	f, there := newSending(t)
	f.socket.wire.Conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	there.SetReadBuffer(8 << 10)
	answer, err := make([]byte, 1000), error(nil)
	for n := 0; err == nil; n += len(answer) {
		if _, err = f.socket.wire.Write(answer); n > 64<<20 {
			t.Fatal("the system takes everything")
		}
	}
	if err != errUnread || len(f.socket.wire.records) > mostKept || len(f.socket.wire.records) < mostKept/2 {
		t.Errorf("%v, with %d bytes kept", err, len(f.socket.wire.records))
	}
}

// TestTryWriteAllocatesNothing is the budget of an event that comes alone.
func TestTryWriteAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool drop things")
	}
	f, there := newSending(t)
	s, err := f.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64)
	back := make([]byte, headerSize+len(p))
	if n := testing.AllocsPerRun(1000, func() {
		if ok, err := s.TryWrite(p); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := io.ReadFull(there, back); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
