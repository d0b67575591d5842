package codec

import (
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

// decompress returns a new slice of rawSize bytes, or an error wrapping
// [ErrMalformed] where p does not decompress to exactly that. What p itself says of
// its size is compared before anything is allocated.
func decompress(c Compression, p []byte, rawSize int) ([]byte, error) {
	if c == CompressionS2 {
		return decompressS2(p, rawSize)
	}
	return decompressZstd(p, rawSize)
}

func decompressS2(p []byte, rawSize int) ([]byte, error) {
	if n, err := s2.DecodedLen(p); err != nil || n != rawSize {
		return nil, malformed("s2 body", 0, "declares %d bytes, the header %d (%v)", n, rawSize, err)
	}
	body, err := s2.Decode(make([]byte, rawSize), p)
	if err != nil {
		return nil, malformed("s2 body", 0, "%v", err)
	}
	return body, nil
}

func decompressZstd(p []byte, rawSize int) ([]byte, error) {
	var frame zstd.Header
	if err := frame.Decode(p); err != nil {
		return nil, malformed("zstd body", 0, "%v", err)
	}
	if frame.Skippable || !frame.HasFCS || frame.FrameContentSize != uint64(rawSize) || frame.DictionaryID != 0 {
		return nil, malformed("zstd body", 0, "declares %d bytes, the header %d", frame.FrameContentSize, rawSize)
	}
	body, err := zstdDecoder.DecodeAll(p, make([]byte, 0, rawSize))
	if err != nil {
		return nil, malformed("zstd body", 0, "%v", err)
	}
	if len(body) != rawSize {
		return nil, malformed("zstd body", len(p), "%d bytes, %d declared", len(body), rawSize)
	}
	return body, nil
}
