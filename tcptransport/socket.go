package tcptransport

import (
	"errors"
	"net"
	"sync"
	"time"
)

// socket is what a connection sends and receives on: secure is the TLS connection
// over wire, which is over the system's socket.
type socket struct {
	secure net.Conn
	wire   *wire
}

// send encrypts and sends frames, behind what trySend left.
func (s *socket) send(b []byte) error {
	if len(b) == 0 {
		return s.wire.flush()
	}
	s.wire.gather()
	_, err := s.secure.Write(b)
	if flushErr := s.wire.flush(); err == nil {
		err = flushErr
	}
	return err
}

// canTry reports whether trySend is possible here.
func (s *socket) canTry() bool { return s.wire.attempt.possible() }

// trySend encrypts frames and sends what the system takes at once. It reports false if there is more, or an error: the next send has both.
func (s *socket) trySend(b []byte) (all bool) {
	s.wire.gather()
	_, err := s.secure.Write(b)
	return s.wire.tryFlush() && err == nil
}

// closeWrite tells the peer that nothing more comes, by TLS and by TCP. It is only a courtesy: the peer has the close frame.
func (s *socket) closeWrite() {
	closeHalf(s.secure)
	s.wire.flush()
	closeHalf(s.wire.Conn)
}

func closeHalf(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// wire gathers the TLS records of one run of frames, so that they leave in one system call.
// crypto/tls makes one for each record of 16 KiB otherwise.
//
// Besides the connection's writer, crypto/tls itself writes now and then: an alert, or an answer to a key update (RFC 8446 section
// 4.6.3). It holds a lock meanwhile that an emitter needs to send, so once the handshake is over it asks the system for no more than that
// takes at once: the rest is kept for the writer.
//
// While the writer itself waits for the system, in flush, crypto/tls waits for the writer, and with it the goroutine that reads. This ends when
// the peer reads; or when nothing was heard of it for the connection's timeout, for nothing is read, and lingerTimeout
// later. No emitter waits: it leaves what it has to a writer that is sending.
type wire struct {
	net.Conn
	attempt attempt // to send without waiting
	kept    func()  // called when something is kept for the writer; nil in the handshake, which waits

	mu        sync.Mutex // orders what is sent; the writer holds it while the system sends
	gathering bool
	records   []byte // gathered or kept, and not sent yet; a part of buffer
	buffer    *[gatheredSize]byte
}

// mostKept is what crypto/tls may have to write while the system takes nothing: far more answers than an honest peer asks for.
const mostKept = 2 * gatheredSize

var errUnread = errors.New("tcptransport: the peer has us write and does not read")

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn}
	w.attempt.prepare(conn)
	return w
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.kept == nil:
		return w.Conn.Write(p)
	case !w.gathering && len(w.records)+len(p) > mostKept:
		return 0, errUnread
	}
	w.open()
	w.records = append(w.records, p...)
	if !w.gathering && !w.trySend() {
		w.kept()
	}
	return len(p), nil
}

// gather has what is written wait until it is flushed, behind what an attempt left.
func (w *wire) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = true
	w.open()
}

// open makes room for records. mu is held.
func (w *wire) open() {
	if w.buffer == nil {
		w.buffer = gathered.Get().(*[gatheredSize]byte)
		w.records = w.buffer[:0]
	}
}

// flush sends what was gathered or kept.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	if w.buffer == nil {
		return nil
	}
	_, err := w.Conn.Write(w.records)
	w.records = nil
	w.release()
	return err
}

// tryFlush is flush as far as it need not wait. It reports whether nothing is left.
func (w *wire) tryFlush() (all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	return w.trySend()
}

// trySend sends what the system takes at once. mu is held.
func (w *wire) trySend() (all bool) {
	w.records = w.records[w.attempt.send(w.records):]
	return w.release()
}

// release lets go of the buffer if nothing is left in it. mu is held.
func (w *wire) release() bool {
	if len(w.records) > 0 {
		return false
	}
	gathered.Put(w.buffer)
	w.records, w.buffer = nil, nil
	return true
}

// gatheredSize is enough for the records of a run, and some that others write meanwhile.
const gatheredSize = runSize + 4<<10

var gathered = sync.Pool{New: func() any { return new([gatheredSize]byte) }}

// prepare sets a socket's options as far as the system has them: a peer that is gone is noticed after
// timeout at the latest. Without Nagle's delay (the default of package net) small writes leave at once.
func prepare(conn net.Conn, timeout time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	// The connection works without them, and its own pings notice a silent peer too.
	tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     max(timeout/2, time.Second),
		Interval: max(timeout/8, time.Second),
		Count:    4,
	})
	if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { setOptions(fd, timeout) })
	}
}
