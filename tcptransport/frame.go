package tcptransport

import (
	"encoding/binary"
	"fmt"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

// kind is what a frame is about. WIRE.md specifies the frames; numbers are in network byte order:
//
//	 0       1       2               4                               8
//	+-------+-------+---------------+-------------------------------+----------
//	| kind  |   0   |    length     |            stream             | payload…
//	+-------+-------+---------------+-------------------------------+----------
type kind uint8

const (
	kindData    kind = iota + 1 // bytes of a stream
	kindFin                     // no more bytes come
	kindReset                   // both directions are abandoned: a close code (4)
	kindWindow                  // more bytes may be sent: how many (4)
	kindStreams                 // more streams may be opened: how many (4)
	kindPing                    // to be answered: anything (8)
	kindPong                    // the answer, with the same bytes
	kindClose                   // the connection ends: a close code (4) and a reason (0 to 256)
)

const (
	headerSize = 8
	// maxData is the most a data frame carries: with its header it fills one TLS record.
	maxData   = 16<<10 - headerSize
	maxReason = refusal.MaxReason
	codeSize  = 4
	tokenSize = 8
	maxSignal = codeSize + maxReason // the most that a frame other than data carries
)

// frameRules are what a frame's length and stream may be.
var frameRules = [...]struct {
	shortest, longest int
	ofStream          bool // otherwise its stream is 0
}{
	kindData:    {1, maxData, true},
	kindFin:     {0, 0, true},
	kindReset:   {codeSize, codeSize, true},
	kindWindow:  {codeSize, codeSize, true},
	kindStreams: {codeSize, codeSize, false},
	kindPing:    {tokenSize, tokenSize, false},
	kindPong:    {tokenSize, tokenSize, false},
	kindClose:   {codeSize, maxSignal, false},
}

type header struct {
	kind   kind
	length int // of the payload
	stream uint32
}

func appendHeader(b []byte, h header) []byte {
	b = append(b, byte(h.kind), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(h.length))
	return binary.BigEndian.AppendUint32(b, h.stream)
}

// appendNumber appends a frame whose payload is one number.
func appendNumber(b []byte, k kind, stream, number uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(b, header{k, codeSize, stream}), number)
}

// appendToken appends a ping or a pong.
func appendToken(b []byte, k kind, token uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, header{k, tokenSize, 0}), token)
}

// appendClose appends a close frame. The reason is at most maxReason long.
func appendClose(b []byte, code bus.CloseCode, reason string) []byte {
	b = appendHeader(b, header{kindClose, codeSize + len(reason), 0})
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, reason...)
}

// parseHeader parses the first headerSize bytes of b. Its error is what the peer did wrong.
func parseHeader(b []byte) (header, error) {
	h := header{kind(b[0]), int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])}
	if h.kind == 0 || int(h.kind) >= len(frameRules) || b[1] != 0 {
		return h, fmt.Errorf("frame of unknown kind %d.%d", b[0], b[1])
	}
	switch rule := frameRules[h.kind]; {
	case h.length < rule.shortest || h.length > rule.longest:
		return h, fmt.Errorf("frame of kind %d with %d bytes", h.kind, h.length)
	case rule.ofStream != (h.stream != 0):
		return h, fmt.Errorf("frame of kind %d on stream %d", h.kind, h.stream)
	}
	return h, nil
}
