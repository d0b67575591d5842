package codec_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func seal(c *codec.Compressor, payload []byte) codec.Compression {
	return build(testLog, 1, event{Topic: "t", Payload: payload}).Seal(c).Compression
}

func TestCompressorModes(t *testing.T) {
	text := earthquakes[:20_000]
	letters := random(20_000) // no repetitions, but few different bytes
	for i := range letters {
		letters[i] = 'a' + letters[i]%16
	}
	limited := codec.NewCompressor(codec.Adaptive)
	limited.SetLinkLimited(true)
	for _, test := range []struct {
		name    string
		c       *codec.Compressor
		payload []byte
		want    codec.Compression
	}{
		{"none", nil, text, codec.CompressionOff},
		{"off", codec.NewCompressor(codec.Off), text, codec.CompressionOff},
		{"unknown", codec.NewCompressor(99), text, codec.CompressionOff},
		{"s2", codec.NewCompressor(codec.S2), text, codec.CompressionS2},
		{"s2 small", codec.NewCompressor(codec.S2), make([]byte, 200), codec.CompressionOff},
		{"s2 random", codec.NewCompressor(codec.S2), random(20_000), codec.CompressionOff},
		{"s2 letters", codec.NewCompressor(codec.S2), letters, codec.CompressionOff},
		{"zstd", codec.NewCompressor(codec.Zstd), text, codec.CompressionZstd},
		{"zstd small", codec.NewCompressor(codec.Zstd), make([]byte, 200), codec.CompressionOff},
		{"zstd random", codec.NewCompressor(codec.Zstd), random(20_000), codec.CompressionOff},
		{"zstd letters", codec.NewCompressor(codec.Zstd), letters, codec.CompressionZstd},
		{"adaptive", codec.NewCompressor(codec.Adaptive), text, codec.CompressionS2},
		{"adaptive, link limited", limited, text, codec.CompressionZstd},
		{"s2 large", codec.NewCompressor(codec.S2), bytes.Repeat(text, 100), codec.CompressionS2},
		{"zstd large", codec.NewCompressor(codec.Zstd), bytes.Repeat(text, 100), codec.CompressionZstd},
	} {
		if got := seal(test.c, test.payload); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// After data that does not compress, Adaptive passes over 1, 2, 4 … 64 batches.
func TestAdaptiveBacksOff(t *testing.T) {
	c := codec.NewCompressor(codec.Adaptive)
	noise, text := random(1000), make([]byte, 1000)
	for _, skips := range []int{1, 2, 4, 8, 16, 32, 64, 64} {
		if seal(c, noise) != codec.CompressionOff {
			t.Fatal("noise was compressed")
		}
		for i := range skips {
			if seal(c, text) != codec.CompressionOff {
				t.Fatalf("batch %d of %d was not passed over", i+1, skips)
			}
		}
	}
	for range 3 {
		if seal(c, text) != codec.CompressionS2 {
			t.Fatal("one success does not end it")
		}
	}
	seal(c, noise)
	c.SetLinkLimited(true)
	if seal(c, text) != codec.CompressionZstd {
		t.Error("zstd is judged by how S2 fared")
	}
	c.SetLinkLimited(false)
	if seal(c, text) != codec.CompressionOff || seal(c, text) != codec.CompressionS2 {
		t.Error("the count begins again at 1 after a success")
	}
}
