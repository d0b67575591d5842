package codec

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// mostDecoding is how many goroutines decompress zstd at the same time; others wait for them.
const mostDecoding = 4

// zstdDecoder is made here, and not when it is first used: it has a channel, and one that was made in a bubble of testing/synctest
// can't be used in the next. It holds no goroutine, for those belong to streams, and only DecodeAll is used here.
var zstdDecoder = newZstdDecoder()

func newZstdDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(mostDecoding),
		zstd.WithDecoderLowmem(true),
		// The one bound on what a frame may become: the capacity it is given.
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("codec: zstd options: " + err.Error())
	}
	return d
}

// decompress returns rawSize bytes, and the memory that they are in, or an error wrapping
// [ErrMalformed] where p does not decompress to exactly that. What p itself says of
// its size is compared before anything is allocated.
func decompress(c Compression, p []byte, rawSize int) ([]byte, *Memory, error) {
	declared, into := zstdSize, zstdInto
	if c == CompressionS2 {
		declared, into = s2Size, s2Into
	}
	if n, err := declared(p); err != nil || n != uint64(rawSize) {
		return nil, nil, malformed(c.String()+" body", 0, "declares %d bytes, the header %d (%v)", n, rawSize, err)
	}
	m := NewMemory(rawSize)
	var room []byte
	if m != nil {
		room = m.Bytes()[:rawSize:rawSize]
	} else {
		room = make([]byte, rawSize)
	}
	body, err := into(room, p)
	if err == nil && len(body) != rawSize {
		err = fmt.Errorf("%d bytes, %d declared", len(body), rawSize)
	}
	if err != nil {
		return nil, nil, malformed(c.String()+" body", 0, "%v", err)
	}
	return body, m, nil
}

func s2Size(p []byte) (uint64, error) {
	n, err := s2.DecodedLen(p)
	return uint64(n), err
}

func s2Into(room, p []byte) ([]byte, error) { return s2.Decode(room, p) }

func zstdSize(p []byte) (uint64, error) {
	var frame zstd.Header
	if err := frame.Decode(p); err != nil {
		return 0, err
	}
	if frame.Skippable || !frame.HasFCS || frame.DictionaryID != 0 || !endsWith(p, &frame) {
		return 0, errors.New("not one frame of a known size without a dictionary")
	}
	return frame.FrameContentSize, nil
}

// endsWith says whether p ends where the frame does that it begins with, by the heads of its blocks (RFC 8878, section 3.1.1.2).
func endsWith(p []byte, frame *zstd.Header) bool {
	const (
		headSize  = 3
		repeated  = 1 // the type of a block that is one byte, so many times
		sumSize   = 4
		typeShift = 1
		typeMask  = 3
		sizeShift = 3
	)
	at := frame.HeaderSize
	for last := false; !last; {
		if at+headSize > len(p) {
			return false
		}
		head := int(p[at]) | int(p[at+1])<<8 | int(p[at+2])<<16
		size := head >> sizeShift
		if head>>typeShift&typeMask == repeated {
			size = 1
		}
		at += headSize + size
		last = head&1 != 0
	}
	if frame.HasCheckSum {
		at += sumSize
	}
	return at == len(p)
}

func zstdInto(room, p []byte) ([]byte, error) { return zstdDecoder.DecodeAll(p, room[:0]) }
