package codec_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/verbose-bus/verbose/codec"
)

// Programs that use batches may be tested in bubbles, one after the other: none may keep another's channels.
func TestBatchesOpenInEveryBubble(t *testing.T) {
	text := bytes.Repeat([]byte("so it goes. "), 200)
	b := codec.NewBuilder(testLog, 1)
	b.Append("a", codec.EncodingRaw, 0, nil, text)
	sealed := b.Seal(codec.NewCompressor(codec.Zstd))
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			batch, err := codec.ParseBatch(sealed.Bytes(), 2*len(text))
			if err != nil {
				t.Fatal(err)
			}
			if batch.Compression != codec.CompressionZstd {
				t.Fatal("the batch is not compressed")
			}
			if _, err := batch.Open(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
