package codec_test

import (
	"bytes"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

func TestMemoryFits(t *testing.T) {
	if m := codec.NewMemory(codec.MaxMemory + 1); m != nil {
		t.Errorf("%d bytes are in a memory of %d", codec.MaxMemory+1, len(m.Bytes()))
	}
	for _, n := range []int{0, 1, 72, 144, 145, 1100, 30 << 10, 36 << 10, 64 << 10, 72 << 10, 72<<10 + 1, 1 << 20, 16 << 20, codec.MaxMemory} {
		m := codec.NewMemory(n)
		if m == nil || len(m.Bytes()) < n || len(m.Bytes()) > max(144, 2*n) {
			t.Errorf("no memory for %d bytes, or one that wastes most of it", n)
			continue
		}
		m.Free()
	}
}

// large is a batch with a payload that gets a memory.
func large(t *testing.T, payload []byte, c *codec.Compressor) *codec.Batch {
	t.Helper()
	b := codec.NewBuilder(testLog, 1)
	b.Append("a", codec.EncodingRaw, 0, nil, payload)
	return b.Seal(c)
}

// payloadOf is that of a batch's only event.
func payloadOf(t *testing.T, b *codec.Batch) []byte {
	t.Helper()
	r, err := b.Open()
	var e codec.Event
	if err != nil || !r.Next(&e) {
		t.Fatal(err)
	}
	return e.Payload
}

// A batch is what it was for as long as it has a holder, whatever others are made meanwhile.
func TestBatchIsHeld(t *testing.T) {
	for _, c := range []*codec.Compressor{nil, codec.NewCompressor(codec.S2), codec.NewCompressor(codec.Zstd)} {
		for _, size := range []int{100, 50 << 10, 64 << 10, 300 << 10} {
			want := bytes.Repeat([]byte("0123456789"), size/10)
			b := large(t, want, c)
			b.Retain()
			b.Free()
			got := payloadOf(t, b)
			for range 10 {
				other := large(t, bytes.Repeat([]byte("x"), size), c)
				payloadOf(t, other)
				other.FreeOpened()
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("a batch of %d bytes has changed", size)
			}
			b.FreeOpened()
			if b.Bytes() != nil || b.Topics != nil {
				t.Error("a batch without a holder can still be looked at")
			}
		}
	}
}

// A batch is open to its other holders when one that has opened it is done.
func TestFreeOpenedLeavesTheBatchToOthers(t *testing.T) {
	want := bytes.Repeat([]byte("so it goes. "), 5000)
	b := large(t, want, codec.NewCompressor(codec.Zstd))
	b.Retain()
	before := payloadOf(t, b)
	b.FreeOpened()
	if got := payloadOf(t, b); !bytes.Equal(got, want) || !bytes.Equal(before, want) {
		t.Error("the events of a batch that has a holder have changed")
	}
}

func TestFreedTooOften(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a batch can be freed twice")
		}
	}()
	b := large(t, make([]byte, 100), nil)
	b.Free()
	b.Free()
}

// What a builder holds between batches does not grow with the largest event that it ever had, and a batch larger than any memory is
// as good as others.
func TestHugeBatches(t *testing.T) {
	for _, size := range []int{codec.MaxMemory - 2000, codec.MaxMemory, codec.MaxMemory + 5000} {
		want := bytes.Repeat([]byte("y"), size)
		b := large(t, want, nil)
		if !bytes.Equal(payloadOf(t, b), want) {
			t.Errorf("a payload of %d bytes is another", size)
		}
		b.FreeOpened()
	}
}
