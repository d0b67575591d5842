package quictransport

import (
	"time"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
)

// Stream is one QUIC stream with its errors translated. Concurrency is as [bus.Stream] says.
//
// Write returns once the last bytes are in packets or in a small buffer; it waits while the peer's window or
// the network is full. When the connection ends, bytes that were not read yet are gone.
type Stream struct {
	quic *quic.Stream
	conn *Conn
}

var (
	_ bus.Stream      = (*Stream)(nil)
	_ bus.Prioritizer = (*Stream)(nil)
	_ bus.TryWriter   = (*Stream)(nil)
)

// Read reads what has arrived, and waits for the first byte.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.quic.Read(p)
	return n, s.conn.translate(err)
}

// Write writes all of p, unless it fails.
func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.quic.Write(p)
	return n, s.conn.translate(err)
}

// TryWrite writes all of p if the peer's windows have room for it, and nothing otherwise. What the network has no room for yet
// is copied.
func (s *Stream) TryWrite(p []byte) (ok bool, err error) {
	err = s.quic.TryWriteAll(p)
	if err == quic.ErrWouldBlock {
		return false, nil
	}
	return err == nil, s.conn.translate(err)
}

// CloseWrite ends our direction after the bytes written so far.
func (s *Stream) CloseWrite() error { return s.conn.translate(s.quic.Close()) }

// Reset abandons both directions.
func (s *Stream) Reset(code bus.CloseCode) {
	s.quic.CancelRead(quic.StreamErrorCode(code))
	s.quic.CancelWrite(quic.StreamErrorCode(code))
}

// SetReadDeadline makes Read fail with an error that is [os.ErrDeadlineExceeded] from t on; zero removes it.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.quic.SetReadDeadline(t) }

// SetWriteDeadline makes Write fail with an error that is [os.ErrDeadlineExceeded] from t on; zero removes it.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.quic.SetWriteDeadline(t) }

// SetPriority orders what this side sends: streams of lower urgency first (0 to 7, 3 by default),
// those of the same urgency in turn.
func (s *Stream) SetPriority(urgency uint8) { s.quic.SetPriority(int8(min(urgency, 7)), true) }
