package bustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// stream is one end of a stream. The wire's lock guards it.
type stream struct {
	conn, opener            *conn
	twin                    *stream
	in, out                 *pipe
	readUntil, writeUntil   time.Time
	changed                 notice // for both ends' sake: bytes, room, deadlines
	fault                   error  // after a Reset here
	peerReset               error  // after one of the peer, once it has arrived
	resetArrives            time.Time
	announced, over, closed bool
}

var (
	_ bus.Stream    = (*stream)(nil)
	_ bus.TryWriter = (*stream)(nil)
	_ bus.Pusher    = (*stream)(nil)
)

// pipe is one direction of a stream. Nothing moves the bytes in it: each piece has its time of arrival, before
// which the reader does not see it.
type pipe struct {
	pieces []piece
	size   int // bytes that were not read
	first  time.Time
	last   time.Time // of arrival: pieces stay in order
	random *rand.Rand
	fin    bool // nothing follows
	eof    bool // the reader knows
}

type piece struct {
	data    []byte
	arrives time.Time
}

// pieceBytes is what arrives at once.
const pieceBytes = 32 << 10

// failed is why the stream can be used no more, and otherwise when to look again. The lock is held.
func (s *stream) failed(now time.Time) (again time.Time, err error) {
	switch {
	case s.fault != nil:
		return again, s.fault
	case s.conn.ended:
		return again, context.Cause(s.conn.ctx)
	case s.peerReset != nil:
		ok, again := s.arrived(s.resetArrives, now)
		if ok {
			return again, s.peerReset
		}
		return again, nil
	}
	return again, nil
}

// arrived is about what the peer sent.
func (s *stream) arrived(at, now time.Time) (bool, time.Time) {
	return s.conn.wire.link.arrived(s.conn.twin.out, at, now)
}

// Read returns what has arrived.
func (s *stream) Read(p []byte) (int, error) { return s.read(p, &s.readUntil) }

// read is Read with a deadline of its own.
func (s *stream) read(p []byte, until *time.Time) (int, error) {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		changed := w.link.watch()
		now := time.Now()
		next, err := s.failed(now)
		if err != nil {
			return 0, err
		}
		if expired(*until, now) {
			return 0, os.ErrDeadlineExceeded
		}
		n, again := s.take(p, now)
		if n > 0 || len(p) == 0 {
			s.twin.changed.tell()
			return n, nil
		}
		if len(s.in.pieces) == 0 && s.in.fin {
			var ok bool
			if ok, again = s.arrived(s.in.last, now); ok {
				s.in.eof = true
				s.settle()
				return 0, io.EOF
			}
		}
		s.conn.sleep(sooner(sooner(next, again), *until), &s.changed, changed, nil)
	}
}

// Push saves nothing here.
func (s *stream) Push(sink bus.Sink) error {
	ended := make(chan error)
	var readOn func()
	readOn = func() {
		go func() { // Push waits for the last one
			if err := s.push(sink, readOn); err != errReadOn {
				ended <- err
			}
		}()
	}
	readOn()
	return <-ended
}

var errReadOn = errors.New("bustest: another goroutine reads on")

// push is Push up to when another goroutine goes on with it.
func (s *stream) push(sink bus.Sink, readOn func()) error {
	for never := (time.Time{}); ; {
		n, err := s.read(sink.Place(), &never)
		if n > 0 {
			var work bus.Work
			switch work, err = sink.Came(n); {
			case work == nil:
			case err != nil:
				go work(func() {}) // whose sink waits for it
			case !work(readOn):
				return errReadOn
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take moves bytes that have arrived to p. The lock is held.
func (s *stream) take(p []byte, now time.Time) (n int, again time.Time) {
	in := s.in
	for n < len(p) && len(in.pieces) > 0 {
		head := &in.pieces[0]
		var ok bool
		if ok, again = s.arrived(head.arrives, now); !ok {
			break
		}
		k := copy(p[n:], head.data)
		n += k
		in.size -= k
		if head.data = head.data[k:]; len(head.data) == 0 {
			in.pieces[0] = piece{}
			in.pieces = in.pieces[1:]
		}
	}
	return n, again
}

// Write waits for room, 256 KiB in all.
func (s *stream) Write(p []byte) (n int, err error) {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		changed := w.link.watch()
		now := time.Now()
		next, err := s.failed(now)
		switch {
		case err != nil:
			return n, err
		case s.closed:
			return n, errWriteClosed
		case expired(s.writeUntil, now):
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		}
		if room := streamBytes - s.out.size; room > 0 {
			k := min(room, len(p)-n, pieceBytes)
			s.send(p[n:n+k], now)
			n += k
			continue
		}
		s.conn.sleep(sooner(next, s.writeUntil), &s.changed, changed, nil)
	}
}

// TryWrite takes one piece at most.
func (s *stream) TryWrite(p []byte) (ok bool, err error) {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if _, err := s.failed(now); err != nil {
		return false, err
	}
	if s.closed {
		return false, errWriteClosed
	}
	if len(p) > pieceBytes || len(p) > streamBytes-s.out.size {
		return false, nil
	}
	s.send(p, now)
	return true, nil
}

var errWriteClosed = fmt.Errorf("bustest: write after CloseWrite: %w", net.ErrClosed)

// send puts bytes, or the end, on their way. The lock is held.
func (s *stream) send(p []byte, now time.Time) {
	out := s.out
	at := s.conn.wire.link.due(s.conn.out, now, out.random)
	if at.Before(out.last) {
		at = out.last
	}
	out.last = at
	out.size += len(p)
	if tail := len(out.pieces) - 1; tail >= 0 && out.pieces[tail].arrives.Equal(at) && len(out.pieces[tail].data)+len(p) <= pieceBytes {
		out.pieces[tail].data = append(out.pieces[tail].data, p...)
	} else if len(p) > 0 {
		out.pieces = append(out.pieces, piece{append([]byte(nil), p...), at})
	}
	if s.conn == s.opener && !s.announced {
		s.announced, out.first = true, at
		s.conn.twin.incoming = append(s.conn.twin.incoming, s.twin)
		s.conn.twin.changed.tell()
	}
	s.twin.changed.tell()
}

// CloseWrite sends the end.
func (s *stream) CloseWrite() error {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if _, err := s.failed(now); err != nil {
		return err
	}
	if !s.closed {
		s.closed, s.out.fin = true, true
		s.send(nil, now)
	}
	return nil
}

// Reset ends this end at once; the peer learns of it when the news has arrived.
func (s *stream) Reset(code bus.CloseCode) {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.fault != nil || s.conn.ended {
		return
	}
	s.fault = fmt.Errorf("bustest: stream reset here (%s): %w", code, net.ErrClosed)
	s.twin.peerReset = fmt.Errorf("bustest: stream reset by the peer (%s)", code)
	s.twin.resetArrives = w.link.due(s.conn.out, time.Now(), s.out.random)
	s.settle()
	s.changed.tell()
	s.twin.changed.tell()
}

// settle makes room for another stream when this one is over. The lock is held.
func (s *stream) settle() {
	reset := s.fault != nil || s.twin.fault != nil
	if s.over || s.twin.over || !reset && !(s.in.eof && s.out.eof) {
		return
	}
	s.over = true
	s.opener.open--
	s.opener.changed.tell()
}

// SetReadDeadline may be called while Read waits.
func (s *stream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readUntil, t) }

// SetWriteDeadline may be called while Write waits.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeUntil, t) }

func (s *stream) setDeadline(deadline *time.Time, t time.Time) error {
	s.conn.wire.mu.Lock()
	defer s.conn.wire.mu.Unlock()
	*deadline = t
	s.changed.tell()
	return nil
}

func expired(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }
