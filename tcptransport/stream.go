package tcptransport

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// Stream is one stream of a [Conn]. Concurrency is as [bus.Stream] says.
//
// Write returns once the last bytes are in a frame or in a buffer of 16 KiB; it waits while the peer's window or
// the network is full. When the connection ends, bytes that were not read yet are gone.
type Stream struct {
	conn *Conn
	id   uint32 // 0 before its first frame; written with writer.mu and Conn.mu held
	ours bool   // opened here
	in   inflow
	out  outflow // guarded by writer.mu
	done atomic.Uint32
}

var (
	_ bus.Stream      = (*Stream)(nil)
	_ bus.Prioritizer = (*Stream)(nil)
	_ bus.TryWriter   = (*Stream)(nil)
	_ bus.Pusher      = (*Stream)(nil)
)

// The halves of a stream, as bits of Stream.done.
const (
	sent     = 1
	received = 2
)

func newStream(c *Conn, ours bool) *Stream {
	return &Stream{conn: c, ours: ours, in: newInflow(&c.growth), out: newOutflow()}
}

// Read reads what has arrived, and waits for the first byte.
func (s *Stream) Read(p []byte) (int, error) {
	n, grant, drained, err := s.in.read(p, s.conn.rtt.least())
	s.grant(grant)
	if drained {
		s.halfDone(received)
	}
	return n, err
}

// Push hands what arrives to the sink on the goroutine of the connection that reads, which decrypts it to its place.
func (s *Stream) Push(sink bus.Sink) error {
	grant, work := s.in.push(sink, s.conn.rtt.least())
	s.grant(grant)
	if work != nil {
		go work(func() {}) // beside the goroutine that reads; a handler may wait for Push to return, and its sink waits for it
	}
	drained, err := s.in.ended()
	if drained {
		s.halfDone(received)
	}
	return err
}

// grant lets the peer send as much more.
func (s *Stream) grant(n int) {
	if n == 0 {
		return
	}
	s.conn.writer.grant(s, n)
	if s.conn.rtt.stale() {
		s.conn.writer.sendPing()
	}
}

// Write writes all of p, unless it fails.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.writer.write(s, p) }

// TryWrite writes all of p if it fits in what the stream's buffer has left, and nothing otherwise. While nobody else is sending on
// the connection it is encrypted and given to the system by the caller.
func (s *Stream) TryWrite(p []byte) (ok bool, err error) { return s.conn.writer.tryWrite(s, p) }

// CloseWrite ends our direction after the bytes written so far.
func (s *Stream) CloseWrite() error { return s.conn.writer.closeWrite(s) }

// Reset abandons both directions.
func (s *Stream) Reset(code bus.CloseCode) {
	if s.done.Load() == sent|received {
		return
	}
	err := fmt.Errorf("tcptransport: stream reset here (%s): %w", code, net.ErrClosed)
	s.in.fail(err)
	s.conn.writer.reset(s, code, err)
	s.halfDone(sent | received)
}

// SetReadDeadline makes Read fail with an error that is [os.ErrDeadlineExceeded] from t on; zero removes it.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.in.setDeadline(t)
	return nil
}

// SetWriteDeadline makes Write fail with an error that is [os.ErrDeadlineExceeded] from t on; zero removes it.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.conn.writer.setDeadline(s, func(o *outflow) { o.deadline = t })
	return nil
}

// SetPriority orders what this side sends: streams of lower urgency first (0 to 7, 3 by default),
// those of the same urgency in turn.
func (s *Stream) SetPriority(urgency uint8) { s.conn.writer.setPriority(s, urgency) }

// halfDone takes note that halves of the stream are over, and lets go of it after the second.
func (s *Stream) halfDone(half uint32) {
	if before := s.done.Or(half); before != sent|received && before|half == sent|received {
		s.in.end()
		s.conn.forget(s)
	}
}

// wasReset ends the stream as the peer asks.
func (s *Stream) wasReset(code bus.CloseCode) {
	err := fmt.Errorf("tcptransport: stream reset by the peer (%s)", code)
	s.in.fail(err)
	s.conn.writer.fail(s, err)
	s.halfDone(sent | received)
}

// fail ends the stream with its connection.
func (s *Stream) fail(err error) {
	s.in.fail(err)
	s.conn.writer.fail(s, err)
}
