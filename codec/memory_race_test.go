//go:build race

package codec_test

import (
	"bytes"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

// Under the race detector, who looks at a batch that nobody holds finds out, whatever its size.
func TestFreedBatchIsSpoiled(t *testing.T) {
	for _, c := range []*codec.Compressor{nil, codec.NewCompressor(codec.Zstd)} {
		for _, size := range []int{10, 50 << 10, 300 << 10} {
			b := large(t, bytes.Repeat([]byte("x"), size), c)
			p := payloadOf(t, b)
			b.Free()
			if !bytes.Equal(p, bytes.Repeat([]byte{0xdb}, size)) {
				t.Errorf("%d bytes are left as they were", size)
			}
		}
	}
}
