package codec

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// zstdDecoders are decoders at rest. They hold memory, but no goroutine: those
// belong to streams, and only DecodeAll is used here.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		// The one bound on what a frame may become: the capacity it is given.
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("codec: zstd options: " + err.Error())
	}
	return d
}}

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
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer zstdDecoders.Put(d)
	body, err := d.DecodeAll(p, make([]byte, 0, rawSize))
	if err != nil {
		return nil, malformed("zstd body", 0, "%v", err)
	}
	if len(body) != rawSize {
		return nil, malformed("zstd body", len(p), "%d bytes, %d declared", len(body), rawSize)
	}
	return body, nil
}
