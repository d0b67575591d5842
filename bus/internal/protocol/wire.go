package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// Version is the protocol version spoken, and the only one accepted so far.
const Version = 1

// The kinds of frames (§4). A frame is its length as a uvarint, its kind and its body.
// A kind with the ignorable bit that a node does not know is skipped; another
// is a violation.
const (
	frameHello  byte = 0x01
	frameRecord byte = 0x02
	frameEcho   byte = 0x03
	frameVector byte = 0x04
	frameReady  byte = 0x05
	frameGraft  byte = 0x06
	framePrune  byte = 0x07
	frameWant   byte = 0x08
	frameReport byte = 0x09
	framePing   byte = 0x0a
	framePong   byte = 0x0b
	frameBye    byte = 0x0c
	frameKnown  byte = 0x0d
	frameNone   byte = 0x0e
	frameChange byte = 0x0f

	frameOpen   byte = 0x20
	frameStart  byte = 0x21
	frameBatch  byte = 0x22
	frameSkip   byte = 0x23
	frameAbsent byte = 0x24
	frameFin    byte = 0x25
	frameJudged byte = 0x26
	frameGive   byte = 0x27

	ignorable byte = 0x80
)

// CloseError ends a path: the peer, or this node, has to be told code and
// reason.
type CloseError struct {
	Code   Code
	Reason string
}

func (e *CloseError) Error() string { return fmt.Sprintf("protocol: code %d: %s", e.Code, e.Reason) }

func violation(format string, args ...any) error {
	return &CloseError{CodeViolation, fmt.Sprintf(format, args...)}
}

// errShort is what a reader that ran past its input reports; callers turn it
// into a violation that names the frame.
var errShort = errors.New("frame too short")

// reader takes fields off a frame's body. After the first failure every field
// is zero and err is set, so a parser checks once, at its end.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// seq is a uvarint that can be added to another without overflow.
func (r *reader) seq() uint64 {
	v := r.uvarint()
	if v >= epochSlack {
		r.fail(errors.New("number out of range"))
		return 0
	}
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShort)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) id() (id uuid.UUID) {
	if len(r.b) < len(id) {
		r.fail(errShort)
		return id
	}
	copy(id[:], r.b)
	r.b = r.b[len(id):]
	return id
}

// ids is a list of them that has to ascend.
func (r *reader) ids(limit int) []uuid.UUID {
	list := make([]uuid.UUID, r.count(16, limit))
	for i := range list {
		list[i] = r.id()
		if i > 0 && compareIDs(list[i-1], list[i]) >= 0 {
			r.fail(errors.New("ids that do not ascend"))
			return nil
		}
	}
	return list
}

func (r *reader) text(limit int) string {
	n := r.uvarint()
	if n > uint64(limit) {
		r.fail(fmt.Errorf("text of %d bytes, at most %d are allowed", n, limit))
		return ""
	}
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// count is the number of items to come, each at least size bytes long: a
// declared count never makes us allocate more than the frame could hold.
func (r *reader) count(size, limit int) int {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)/size) {
		r.fail(fmt.Errorf("%d items declared", n))
		return 0
	}
	return int(n)
}

func (r *reader) log() (id codec.LogID) {
	id.Node = r.id()
	id.Epoch = r.seq()
	id.Lane = r.byte()
	if id.Lane >= maxLanes {
		r.fail(fmt.Errorf("lane %d", id.Lane))
	}
	return id
}

// end reports the first failure, or bytes left over.
func (r *reader) end(frame string) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return violation("%s: %v", frame, r.err)
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendIDs(b []byte, list []uuid.UUID) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, id := range list {
		b = append(b, id[:]...)
	}
	return b
}

func appendLog(b []byte, id codec.LogID) []byte {
	b = append(b, id.Node[:]...)
	b = binary.AppendUvarint(b, id.Epoch)
	return append(b, id.Lane)
}

// appendFrame appends a frame whose body is short enough to be built first.
func appendFrame(b []byte, kind byte, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(body))+1)
	b = append(b, kind)
	return append(b, body...)
}
