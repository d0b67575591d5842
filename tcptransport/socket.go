package tcptransport

import (
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

// send encrypts and sends frames.
func (s *socket) send(b []byte) error {
	s.wire.gather()
	_, err := s.secure.Write(b)
	if flushErr := s.wire.flush(); err == nil {
		err = flushErr
	}
	return err
}

// closeWrite tells the peer that nothing more comes, by TLS and by TCP.
func (s *socket) closeWrite() {
	for _, layer := range []net.Conn{s.secure, s.wire.Conn} {
		if half, ok := layer.(interface{ CloseWrite() error }); ok {
			half.CloseWrite() // only a courtesy: the peer has the close frame
		}
	}
}

// wire gathers the TLS records of one run of frames, so that they leave in one system call.
// crypto/tls makes one for each record of 16 KiB otherwise.
type wire struct {
	net.Conn

	// mu orders what is sent. Like crypto/tls's own lock for this it is held while
	// the system sends. It is hardly ever waited for: besides the connection's writer, only
	// an alert or an answer to a key update (RFC 8446 section 4.6.3) is ever written.
	mu        sync.Mutex
	gathering bool
	records   []byte
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gathering {
		w.records = append(w.records, p...)
		return len(p), nil
	}
	return w.Conn.Write(p)
}

func (w *wire) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = true
	if w.records == nil {
		w.records = (*gathered.Get().(*[gatheredSize]byte))[:0]
	}
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	_, err := w.Conn.Write(w.records)
	if cap(w.records) == gatheredSize {
		gathered.Put((*[gatheredSize]byte)(w.records[:gatheredSize]))
	}
	w.records = nil
	return err
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
