package codec_test

import (
	"fmt"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

// BenchmarkAppend adds 64-byte events, and starts over at 64 KiB. The baseline is
// the copying such a batch cannot do without.
func BenchmarkAppend(b *testing.B) {
	payload := make([]byte, 64)
	b.Run("baseline=copy", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 72<<10)
		for b.Loop() {
			if len(buf) >= 64<<10 {
				buf = buf[:0]
			}
			buf = append(append(buf, 0, 2, 64), payload...)
		}
	})
	for _, topics := range []int{1, 4, 100} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprintf("quake.usgs.%d", i)
			}
			builder := codec.NewBuilder(testLog, 1)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				builder.Append(names[i], codec.EncodingRaw, int64(builder.Next()), nil, payload)
				if i++; i == topics {
					i = 0
				}
				if builder.Size() >= 64<<10 {
					u := builder.Take()
					u.Discard()
				}
			}
		})
	}
}

// earthquakeBatch takes the sample's 91 events.
func earthquakeBatch(builder *codec.Builder, lines [][]byte) codec.Unsealed {
	for i, line := range lines {
		builder.Append("quake.usgs", codec.EncodingJSON, int64(i), nil, line)
	}
	return builder.Take()
}

var modes = []codec.Mode{codec.Off, codec.S2, codec.Zstd}

// BenchmarkSeal builds and seals 64 KiB of earthquakes.
func BenchmarkSeal(b *testing.B) {
	lines := earthquakeLines()
	for _, mode := range modes {
		b.Run(mode.String(), func(b *testing.B) {
			builder, c := codec.NewBuilder(testLog, 1), codec.NewCompressor(mode)
			b.SetBytes(int64(len(earthquakes)))
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				u := earthquakeBatch(builder, lines)
				size = len(u.Seal(c).Bytes())
			}
			b.ReportMetric(float64(len(earthquakes))/float64(size), "ratio")
		})
	}
}

// BenchmarkSealOne builds and seals a batch of one 64-byte event, as an idle bus does.
func BenchmarkSealOne(b *testing.B) {
	payload := make([]byte, 64)
	builder, c := codec.NewBuilder(testLog, 1), codec.NewCompressor(codec.Adaptive)
	b.ReportAllocs()
	for b.Loop() {
		builder.Append("quake.usgs", codec.EncodingRaw, 1, nil, payload)
		builder.Seal(c).Free()
	}
}

// BenchmarkOpen parses, opens and reads 64 KiB of earthquakes, as a receiver does.
func BenchmarkOpen(b *testing.B) {
	for _, mode := range modes {
		b.Run(mode.String(), func(b *testing.B) {
			u := earthquakeBatch(codec.NewBuilder(testLog, 1), earthquakeLines())
			p := u.Seal(codec.NewCompressor(mode)).Bytes()
			b.SetBytes(int64(len(earthquakes)))
			b.ReportAllocs()
			var e codec.Event
			for b.Loop() {
				batch, err := codec.ParseBatch(p, maxRaw)
				if err != nil {
					b.Fatal(err)
				}
				r, err := batch.Open()
				if err != nil {
					b.Fatal(err)
				}
				for r.Next(&e) {
				}
			}
		})
	}
}

// BenchmarkParseBatch is what a relay does with each batch.
func BenchmarkParseBatch(b *testing.B) {
	p := build(testLog, 1, event{Topic: "quake.usgs"}).Seal(nil).Bytes()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.ParseBatch(p, maxRaw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNext reads 64-byte events of a batch that is open.
func BenchmarkNext(b *testing.B) {
	payload := make([]byte, 64)
	builder := codec.NewBuilder(testLog, 1)
	for builder.Size() < 64<<10 {
		builder.Append("quake.usgs", codec.EncodingRaw, int64(builder.Next()), nil, payload)
	}
	batch := builder.Seal(nil)
	r, err := batch.Open()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var e codec.Event
	for b.Loop() {
		if !r.Next(&e) {
			r, _ = batch.Open()
		}
	}
}

func BenchmarkArgs(b *testing.B) {
	for _, enc := range structured {
		b.Run("append/"+enc.String(), func(b *testing.B) {
			b.ReportAllocs()
			var p []byte
			for b.Loop() {
				var err error
				if p, err = codec.AppendArgs(p[:0], enc, "M 5.3 - Sangiang", 5.3, 10); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+enc.String(), func(b *testing.B) {
			p, err := codec.AppendArgs(nil, enc, "M 5.3 - Sangiang", 5.3, 10)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var place string
			var mag float64
			for b.Loop() {
				if err := codec.DecodeArgs(enc, p, &place, &mag); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
