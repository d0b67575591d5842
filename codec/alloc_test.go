//go:build !race

package codec_test

import (
	"bytes"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

func wantAllocs(t *testing.T, what string, most float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(200, f); got > most {
		t.Errorf("%s: %v allocations, want at most %v", what, got, most)
	}
}

func TestAllocations(t *testing.T) {
	payload := make([]byte, 64)
	headers := []codec.Header{{Key: "trace", Value: "00-4bf92f35"}}
	builder := codec.NewBuilder(testLog, 1)
	builder.Append("quake.usgs", codec.EncodingRaw, 0, nil, payload)
	wantAllocs(t, "Append", 0, func() {
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, payload)
		builder.Append("quake.jma", codec.EncodingRaw, 2, headers, payload)
	})
	small := builder.Seal(nil)
	wantAllocs(t, "Open", 0, func() { _, _ = small.Open() })
	var r codec.Reader
	var e codec.Event
	wantAllocs(t, "Next", 0, func() {
		if !r.Next(&e) {
			r, _ = small.Open()
		}
		for range e.Headers.All() {
		}
		e.Headers.Get("trace")
	})
	wantAllocs(t, "ParseBatch", 1, func() { _, _ = codec.ParseBatch(small.Bytes(), maxRaw) })
	wantAllocs(t, "ParseBatch and Open", 1, func() {
		b, _ := codec.ParseBatch(small.Bytes(), maxRaw)
		_, _ = b.Open()
	})

	// The memory, which has the batch in it, and its bytes; a collection may have emptied the pool of buffers.
	for name, c := range map[string]*codec.Compressor{"off": nil, "s2": codec.NewCompressor(codec.S2), "zstd": codec.NewCompressor(codec.Zstd)} {
		wantAllocs(t, "a small batch, "+name, 2, func() {
			for range 10 {
				builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, payload)
			}
			builder.Seal(c)
		})
	}
	wantAllocs(t, "a small batch that is freed", 0, func() {
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, payload)
		builder.Seal(nil).Free()
	})
	large := make([]byte, 60<<10)
	wantAllocs(t, "a large batch that is held on to", 3, func() {
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, large)
		builder.Seal(nil)
	})
	wantAllocs(t, "a large batch that is freed", 0, func() {
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, large)
		builder.Seal(nil).Free()
	})
	text := bytes.Repeat([]byte("so it goes. "), 5000)
	zstd := codec.NewCompressor(codec.Zstd)
	wantAllocs(t, "a large batch that is compressed, opened and freed", 4, func() { // the first and what it is in, the second, and what opened that
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, text)
		b, _ := codec.ParseBatch(builder.Seal(zstd).Bytes(), maxRaw)
		_, _ = b.Open()
		b.FreeOpened()
	})
}
