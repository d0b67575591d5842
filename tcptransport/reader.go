package tcptransport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

// reader parses what the peer sends. One goroutine at a time uses it.
type reader struct {
	conn   *Conn
	into   *chunk  // what the connection reads into
	end    int     // of what has been read into it
	stream *Stream // of the data frame that is being read; nil if it is of no interest
	left   int     // how much of that frame is still to come
	bulk   bool    // what was last read of a frame's data was long

	works []bus.Work // that sinks have left
	err   error      // why there is nothing more to read
}

// bulkSize is from how many bytes on a frame is worth a read of its own. After such a one the next header is read by itself, so
// that the data behind it is read to its place.
const bulkSize = 4 << 10

// errReadOn is the end of a goroutine that reads when another has begun to.
var errReadOn = errors.New("tcptransport: another goroutine reads on")

// run reads until the connection breaks, or the peer does, or either is closed. It never waits for the application: what arrives has its
// place within the windows, and when what a sink leaves to be done takes long, readOn has another goroutine call run.
func (r *reader) run(readOn func()) error {
	if r.into == nil {
		r.into = newChunk()
	}
	for r.work(readOn) {
		if r.err != nil {
			chunks.Put(r.into)
			return r.err
		}
		r.err = r.read()
	}
	return errReadOn
}

// read reads once.
func (r *reader) read() error {
	place, straight := r.place()
	n, err := r.conn.socket.secure.Read(place)
	if n == 0 {
		return err
	}
	r.conn.heard()
	if straight {
		r.left -= n
		r.bulk = n >= bulkSize
		r.gave(r.stream.in.came(n, r.conn.rtt.least()))
	} else if wrong := r.consume(n); wrong != nil {
		return wrong
	}
	return err
}

// work does what sinks have left. It reports false if another goroutine has begun to read meanwhile.
func (r *reader) work(readOn func()) bool {
	for len(r.works) > 0 {
		work := r.works[0]
		r.works = r.works[:copy(r.works, r.works[1:])]
		if !work(readOn) {
			return false
		}
	}
	return true
}

// gave takes note of what giving bytes to r.stream has led to.
func (r *reader) gave(grant int, work bus.Work) {
	r.stream.grant(grant)
	if work != nil {
		r.works = append(r.works, work)
	}
}

// place is where to read to: the rest of a data frame to where it stays, if there is such a place.
func (r *reader) place() (p []byte, straight bool) {
	if r.left > 0 && r.end == 0 && r.stream != nil {
		if p = r.stream.in.place(r.left); p != nil {
			return p, true
		}
	}
	if r.bulk && r.left == 0 && r.end < headerSize {
		return r.into.data[r.end:headerSize], false
	}
	return r.into.data[r.end:], false
}

// consume handles what was read, n bytes of it just now, and keeps an unfinished frame at its end: less than
// headerSize + maxSignal.
func (r *reader) consume(n int) error {
	r.end += n
	rest, err := r.parse(r.into.data[:r.end])
	r.end = copy(r.into.data[:], rest)
	return err
}

// parse handles the frames that b begins with, and returns what is left of it. It ends where r.into ends.
func (r *reader) parse(b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			if r.stream != nil {
				r.deliver(b, n)
			}
			r.left -= n
			b = b[n:]
			continue
		}
		if len(b) < headerSize {
			break
		}
		h, err := parseHeader(b)
		if err != nil {
			return nil, violation(err.Error())
		}
		if h.kind == kindData {
			if err := r.beginData(h); err != nil {
				return nil, err
			}
			b = b[headerSize:]
			continue
		}
		end := headerSize + h.length
		if len(b) < end {
			break
		}
		if err := r.handle(h, b[headerSize:end]); err != nil {
			return nil, err
		}
		b = b[end:]
	}
	return b, nil
}

// deliver puts the first n bytes of b into the stream. Where they are most of a chunk and the last of what was read,
// the stream gets the chunk itself.
func (r *reader) deliver(b []byte, n int) {
	s, rtt := r.stream, r.conn.rtt.least()
	r.bulk = n >= bulkSize
	if n < len(b) || n < chunkSize/2 {
		r.gave(s.in.put(b[:n], rtt))
		return
	}
	r.into.r, r.into.w = r.end-n, r.end
	r.gave(s.in.give(r.into, rtt))
	r.into, r.end = newChunk(), 0
}

func (r *reader) beginData(h header) error {
	s, err := r.conn.streamFor(h)
	if err != nil {
		return err
	}
	if s != nil {
		if wrong := s.in.expect(h.length); wrong != "" {
			return violation(wrong)
		}
	}
	r.stream, r.left = s, h.length
	return nil
}

// handle handles a frame other than data. Its payload has the right length.
func (r *reader) handle(h header, payload []byte) error {
	c := r.conn
	number := uint32(0)
	if h.length >= codeSize {
		number = binary.BigEndian.Uint32(payload)
	}
	switch h.kind {
	case kindFin, kindReset, kindWindow:
		s, err := c.streamFor(h)
		if s == nil || err != nil {
			return err
		}
		return handleStream(s, h, number)
	case kindStreams:
		if !c.allowStreams(number) {
			return violation(fmt.Sprintf("%d more streams allowed", number))
		}
	case kindPing:
		c.writer.sendPong(binary.BigEndian.Uint64(payload))
	case kindPong:
		c.rtt.pong(binary.BigEndian.Uint64(payload))
	case kindClose:
		return &bus.PeerError{Code: bus.CloseCode(number), Peer: c.peer, Remote: true,
			Reason: refusal.Reason(string(payload[codeSize:])), Err: errPeerClosed}
	}
	return nil
}

func handleStream(s *Stream, h header, number uint32) error {
	switch h.kind {
	case kindFin:
		drained, wrong := s.in.finish()
		if wrong != "" {
			return violation(wrong)
		}
		if drained {
			s.halfDone(received)
		}
	case kindReset:
		s.wasReset(bus.CloseCode(number))
	case kindWindow:
		if !s.conn.writer.allow(s, number) {
			return violation("a window without bounds")
		}
	}
	return nil
}

// violation is the end of a connection whose peer broke the rules of the frames.
func violation(what string) error {
	return &bus.PeerError{Code: bus.CloseViolation, Reason: what, Err: errViolation}
}
