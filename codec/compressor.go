package codec

import (
	"sync/atomic"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

const (
	// minCompress is the size in bytes below which a body is left as it is: it
	// fits a packet anyway.
	minCompress = 256
	// maxSkips bounds the batches passed over after attempts that saved nothing.
	maxSkips = 64
	// zstdWindow is how far back zstd looks, in bytes. It sets the memory of an
	// encoder, about twice as much; most batches are smaller.
	zstdWindow = 1 << 18
)

// Compressor compresses the bodies of batches, in one mode, and keeps the memory
// that takes. A body whose compressed form is not at least a sixteenth smaller is
// left as it is.
//
// [Compressor.SetLinkLimited] may be called at any time. Otherwise it is not safe
// for concurrent use. It has no goroutines, and needs no closing. Sealing with a nil
// *Compressor compresses nothing.
type Compressor struct {
	mode        Mode
	linkLimited atomic.Bool
	scratch     []byte
	zstd        *zstd.Encoder // nil until first used

	// How Adaptive fares with each. Text without repetitions gains from zstd alone.
	s2Luck, zstdLuck luck
}

// NewCompressor returns a compressor for one mode. An unknown mode counts as [Off].
func NewCompressor(mode Mode) *Compressor {
	return &Compressor{mode: mode}
}

// SetLinkLimited tells an [Adaptive] compressor whether the network, rather than
// the processor, limits the rate of events now. It takes effect with the next batch.
func (c *Compressor) SetLinkLimited(limited bool) { c.linkLimited.Store(limited) }

// compress returns the compressed body and how it is compressed. What it returns
// is valid until the next call; for [CompressionOff] it is body itself.
func (c *Compressor) compress(body []byte) (Compression, []byte) {
	if c == nil || len(body) < minCompress {
		return CompressionOff, body
	}
	switch c.mode {
	case S2:
		return c.try(CompressionS2, body)
	case Zstd:
		return c.try(CompressionZstd, body)
	case Adaptive:
		with, luck := CompressionS2, &c.s2Luck
		if c.linkLimited.Load() {
			with, luck = CompressionZstd, &c.zstdLuck
		}
		if luck.skip() {
			return CompressionOff, body
		}
		got, p := c.try(with, body)
		luck.note(got != CompressionOff)
		return got, p
	}
	return CompressionOff, body
}

func (c *Compressor) try(with Compression, body []byte) (Compression, []byte) {
	var packed []byte
	switch with {
	case CompressionS2:
		if n := s2.MaxEncodedLen(len(body)); n < 0 {
			return CompressionOff, body
		} else if cap(c.scratch) < n {
			c.scratch = make([]byte, n)
		}
		packed = s2.Encode(c.scratch[:cap(c.scratch)], body)
	case CompressionZstd:
		packed = c.encoder().EncodeAll(body, c.scratch[:0])
	}
	c.scratch = packed[:0]
	if cap(c.scratch) > 4*builderSize {
		c.scratch = nil
	}
	if len(packed) > len(body)-len(body)/16 {
		return CompressionOff, body
	}
	return with, packed
}

func (c *Compressor) encoder() *zstd.Encoder {
	if c.zstd != nil {
		return c.zstd
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithLowerEncoderMem(true),
		// What repeats nothing, such as base64, still gains where the link is the limit.
		zstd.WithAllLitEntropyCompression(true),
		// Batches travel over authenticated connections, which check every byte.
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic("codec: zstd options: " + err.Error())
	}
	c.zstd = e
	return e
}

// luck decides when to try again what has not helped: after 1 batch, then 2, 4 and
// so on up to maxSkips.
type luck struct {
	left int // batches still to be passed over
	next int // how many after the next failure
}

func (l *luck) skip() bool {
	if l.left == 0 {
		return false
	}
	l.left--
	return true
}

func (l *luck) note(helped bool) {
	if helped {
		*l = luck{}
		return
	}
	l.next = min(max(1, 2*l.next), maxSkips)
	l.left = l.next
}
