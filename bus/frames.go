package bus

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/verbose-bus/verbose/codec"
)

// What a frameSink takes in ahead: heads and small frames. What is longer arrives where it stays. Every peer has a control
// stream, and an idle one nothing else.
const (
	dataAhead    = 4 << 10
	controlAhead = 1 << 10
)

// mostReused is up to how many bytes a frameSink keeps of a body, for the next one.
const mostReused = 64 << 10

// frameSink takes frames out of a stream as its bytes arrive (PROTOCOL.md §4), and hands each to handle. It is the stream's
// [Sink].
type frameSink struct {
	handle frameHandler
	limit  int    // of a frame
	keeps  bool   // handle keeps the body; otherwise it is only lent
	lease  *lease // of the goroutine that calls Came, or nil

	ahead   []byte        // what arrives here begins with a frame
	have    int           // bytes in ahead
	kind    byte          // of the frame whose body arrives by itself
	body    []byte        // as far as it has arrived, with room for some of the rest
	missing int           // bytes of the body
	memory  *codec.Memory // that body is in, if it is in one
	longest int           // of the bodies that came by themselves
}

// frameHandler gets a frame, and, if it keeps the body, the memory that this is in, or nil.
type frameHandler func(kind byte, body []byte, memory *codec.Memory) error

func newFrameSink(limit, ahead int, keeps bool, handle frameHandler) *frameSink {
	return &frameSink{handle: handle, limit: limit, keeps: keeps, ahead: make([]byte, ahead)}
}

// Place is where the next bytes go.
func (f *frameSink) Place() []byte {
	if f.missing > 0 {
		return f.body[len(f.body):min(cap(f.body), len(f.body)+f.missing)]
	}
	return f.ahead[f.have:]
}

// Came handles what n more bytes complete.
func (f *frameSink) Came(n int) (Work, error) {
	err := f.came(n)
	return f.lease.pending(), err
}

func (f *frameSink) came(n int) error {
	if f.missing == 0 {
		f.have += n
		return f.takeFrames()
	}
	f.body, f.missing = f.body[:len(f.body)+n], f.missing-n
	if f.missing == 0 {
		return f.finishBody()
	}
	if len(f.body) == cap(f.body) {
		f.body = append(make([]byte, 0, len(f.body)+f.room(len(f.body))), f.body...)
	}
	return nil
}

// takeFrames handles the frames that have arrived in ahead, and begins the one of which only a part has.
func (f *frameSink) takeFrames() error {
	rest := f.ahead[:f.have]
	for len(rest) > 0 {
		n, k := binary.Uvarint(rest)
		switch {
		case k < 0:
			return &PeerError{Code: CloseViolation, Reason: "the length of a frame overflows"}
		case k > 0 && (n == 0 || n > uint64(f.limit)):
			return &PeerError{Code: CloseViolation, Reason: fmt.Sprintf("a frame of %d bytes, at most %d are allowed", n, f.limit)}
		}
		if k == 0 || k == len(rest) {
			break // its head is not there yet
		}
		kind, here, size := rest[k], rest[k+1:], int(n)-1
		if size > len(here) {
			f.beginBody(kind, size, here)
			f.have = 0
			return nil
		}
		rest = here[size:]
		if err := f.handleHere(kind, here[:size]); err != nil {
			return err
		}
	}
	f.have = copy(f.ahead, rest)
	return nil
}

// handleHere handles a frame that is in ahead.
func (f *frameSink) handleHere(kind byte, body []byte) error {
	if !f.keeps {
		return f.handle(kind, body, nil)
	}
	memory := codec.NewMemory(len(body)) // ahead is far smaller than the largest
	return f.handle(kind, append(memory.Bytes()[:0], body...), memory)
}

// beginBody has a body arrive by itself, of which a part is here already.
func (f *frameSink) beginBody(kind byte, size int, here []byte) {
	f.kind, f.missing = kind, size
	room := f.room(0)
	if f.keeps && room == size {
		f.memory = codec.NewMemory(size)
	}
	if f.memory != nil {
		f.body = f.memory.Bytes()
	} else if cap(f.body) < room {
		f.body = make([]byte, 0, room)
	}
	f.body, f.missing = append(f.body[:0], here...), size-len(here)
}

// room is how much to make for what is missing, behind what has come: a length that a peer only declares costs no more
// memory than frames that it has sent.
func (f *frameSink) room(came int) int { return min(f.missing, max(256<<10, f.longest)+came) }

func (f *frameSink) finishBody() error {
	body, memory := f.body, f.memory
	f.longest, f.memory = max(f.longest, len(body)), nil
	if f.keeps || cap(body) > mostReused {
		f.body = nil
	}
	return f.handle(f.kind, body, memory)
}

// partial says whether a frame has begun that is not complete.
func (f *frameSink) partial() bool { return f.have > 0 || f.missing > 0 }

// readFrames hands the frames of a stream to the sink until the stream ends or something fails. A connection that was lost
// ends no stream in order, and no stream ends inside a frame. It is errReadOn once readOn was called: another goroutine does the same.
func readFrames(s Stream, f *frameSink, readOn func()) error {
	err := push(s, f, readOn)
	if err != errReadOn && f.partial() && (err == nil || err == io.ErrUnexpectedEOF) {
		return errCutShort()
	}
	return err
}

func errCutShort() error {
	return &PeerError{Code: CloseViolation, Reason: "a stream ended inside a frame", Err: io.ErrUnexpectedEOF}
}

var errReadOn = errors.New("bus: another goroutine reads on")

// push is what [Pusher] does, for every stream. Where there is none, it reads by itself, and is errReadOn once readOn was called.
func push(s Stream, sink Sink, readOn func()) error {
	if p, ok := s.(Pusher); ok {
		return p.Push(sink)
	}
	for {
		n, err := s.Read(sink.Place())
		if n > 0 {
			work, wrong := sink.Came(n)
			switch end := cmp.Or(wrong, err); {
			case work == nil:
			case end != nil:
				go work(func() {}) // whose sink waits for it: this goroutine has to report the end
			case !work(readOn):
				return errReadOn
			}
			if wrong != nil {
				return wrong
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
