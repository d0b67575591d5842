package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/verbose-bus/verbose/codec"
)

var anyEvent = rapid.Custom(func(t *rapid.T) event {
	e := event{
		Topic: rapid.OneOf(
			rapid.SampledFrom([]string{"a", "quake.usgs", "ünï.cödé"}),
			rapid.StringMatching(`[a-z]{1,5}(\.[a-z]{1,5}){0,3}`),
		).Draw(t, "topic"),
		Encoding: rapid.SampledFrom([]codec.Encoding{codec.EncodingRaw, codec.EncodingJSON, codec.EncodingCBOR}).Draw(t, "encoding"),
		Time:     rapid.OneOf(rapid.Int64Range(1e15, 1e15+1e6), rapid.Int64()).Draw(t, "time"),
		Payload:  rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		e.Headers = append(e.Headers, codec.Header{
			Key:   rapid.StringN(0, 20, -1).Draw(t, "key"),
			Value: rapid.StringN(0, 200, -1).Draw(t, "value"),
		})
	}
	return e
})

// What goes in comes out, in every mode, with nothing but the bytes in between.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := codec.LogID{
			Node:  uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "node")),
			Epoch: rapid.Uint64().Draw(t, "epoch"),
			Lane:  rapid.Uint8Range(0, codec.MaxLane).Draw(t, "lane"),
		}
		first := rapid.Uint64Range(1, math.MaxUint64-1000).Draw(t, "first")
		mode := rapid.SampledFrom([]codec.Mode{codec.Adaptive, codec.Off, codec.S2, codec.Zstd}).Draw(t, "mode")
		events := rapid.SliceOfN(anyEvent, 1, 40).Draw(t, "events")

		builder := build(log, first, events...)
		size := builder.Size()
		sealed := builder.Seal(codec.NewCompressor(mode))
		parsed, err := codec.ParseBatch(bytes.Clone(sealed.Bytes()), maxRaw)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed.Bytes()) > size {
			t.Errorf("sealed %d bytes, Size said at most %d", len(sealed.Bytes()), size)
		}
		if diff := cmp.Diff(sealed, parsed, cmpopts.IgnoreUnexported(codec.Batch{})); diff != "" {
			t.Errorf("sealed and parsed headers differ:\n%s", diff)
		}
		if parsed.Log != log || parsed.First != first || parsed.Last()+1 != builder.Next() || parsed.Time != events[0].Time {
			t.Errorf("header is %+v", parsed)
		}
		for _, b := range []*codec.Batch{sealed, parsed} {
			if diff := cmp.Diff(events, read(t, b), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("events differ:\n%s", diff)
			}
		}
	})
}

// header is the header of a batch of one event, to be broken.
type header struct {
	version, lane byte
	epoch, first  []byte
	count, time   []byte
	raw, topics   []byte
	body          string
}

func (h header) bytes() []byte {
	p := append([]byte{h.version, h.lane}, testLog.Node[:]...)
	for _, field := range [][]byte{h.epoch, h.first, h.count, h.time, h.raw, h.topics} {
		p = append(p, field...)
	}
	return append(p, h.body...)
}

// good has one event of topic "t" with an empty payload.
func good() header {
	return header{
		version: 0x10, lane: 3,
		epoch: []byte{7}, first: []byte{1}, count: []byte{1}, time: []byte{2}, raw: []byte{3},
		topics: []byte("\x01\x01t\x01"),
		body:   "\x00\x00\x00",
	}
}

func TestParseBatchRejects(t *testing.T) {
	if _, err := exhaust(t, good().bytes()); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	maxUint64 := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for _, test := range []struct {
		name, want string
		broken     func(*header)
	}{
		{"version 0", "version 0", func(h *header) { h.version = 0x00 }},
		{"version 2", "version 2", func(h *header) { h.version = 0x20 }},
		{"unknown compression", "compression(3)", func(h *header) { h.version = 0x13 }},
		{"lane", "lane 64", func(h *header) { h.lane = 64 }},
		{"epoch not minimal", "epoch is no varint", func(h *header) { h.epoch = []byte{0x87, 0} }},
		{"epoch of 65 bits", "epoch is no varint", func(h *header) { h.epoch = append(bytes.Repeat([]byte{0xff}, 9), 2) }},
		{"first 0", "first is 0", func(h *header) { h.first = []byte{0} }},
		{"first not minimal", "first is no varint", func(h *header) { h.first = []byte{0x81, 0x80, 0} }},
		{"first overflows", "1 events from 18446744073709551615", func(h *header) { h.first = maxUint64 }},
		{"count 0", "0 events", func(h *header) { h.count = []byte{0} }},
		{"count beyond 32 bits", "events from 1", func(h *header) { h.count = []byte{0x80, 0x80, 0x80, 0x80, 0x10} }},
		{"more events than body", "a body of 3 bytes for 2 events", func(h *header) { h.count = []byte{2} }},
		{"body too large", "1048576 allowed", func(h *header) { h.raw = []byte{0x81, 0x80, 0x40} }},
		{"body larger than present", "a body of 4 bytes, 3 present", func(h *header) { h.raw = []byte{4} }},
		{"trailing byte", "a body of 3 bytes, 4 present", func(h *header) { h.body += "x" }},
		{"compressed body not smaller", "compressed to 3", func(h *header) { h.version = 0x11 }},
		{"compressed body empty", "compressed to 0", func(h *header) { h.version, h.body = 0x11, "" }},
		{"no topics", "0 topics", func(h *header) { h.topics = []byte{0} }},
		{"more topics than events", "2 topics for 1 events", func(h *header) { h.topics = []byte("\x02\x01t\x01\x01u\x00") }},
		{"topic count beyond the bytes", "topics for", func(h *header) {
			h.count, h.raw, h.topics, h.body = []byte{200, 1}, []byte{0xd8, 4}, []byte{200, 1}, strings.Repeat("\x00", 10)
		}},
		{"empty topic", `topic ""`, func(h *header) { h.topics = []byte("\x01\x00\x01") }},
		{"topic too long", "topic", func(h *header) {
			h.topics = []byte("\x01\x80\x02" + strings.Repeat("t", 256) + "\x01")
		}},
		{"topic past the end", "cut short", func(h *header) { h.topics = []byte("\x01\x7ft\x01") }},
		{"topic not UTF-8", `topic "\xff"`, func(h *header) { h.topics = []byte("\x01\x01\xff\x01") }},
		{"topic with no events", "0 of 1 events", func(h *header) { h.topics = []byte("\x01\x01t\x00") }},
		{"topic with too many", "2 of 1 events", func(h *header) { h.topics = []byte("\x01\x01t\x02") }},
		{"topics add up to less", "add up to 1 of 2", func(h *header) {
			h.count, h.raw, h.body = []byte{2}, []byte{6}, "\x00\x00\x00\x00\x00\x00"
		}},
		{"topic twice", `"t" twice`, func(h *header) {
			h.count, h.raw, h.body = []byte{2}, []byte{6}, "\x00\x00\x00\x00\x00\x00"
			h.topics = []byte("\x02\x01t\x01\x01t\x01")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := good()
			test.broken(&h)
			_, err := codec.ParseBatch(h.bytes(), 1<<20)
			wantMalformed(t, err, test.want)
		})
	}
}

func TestParseBatchFindsATopicRepeatedAmongMany(t *testing.T) {
	h := good()
	const n = 40
	h.count, h.raw, h.topics = []byte{n}, []byte{3 * n}, []byte{n}
	for i := range n {
		h.topics = append(h.topics, fmt.Sprintf("\x02%02d\x01", i%(n-1))...)
	}
	h.body = strings.Repeat("\x00", 3*n)
	_, err := codec.ParseBatch(h.bytes(), 1<<20)
	wantMalformed(t, err, `"00" twice`)
}

func TestOpenRejects(t *testing.T) {
	headers := func(list string) string { return "\x01\x00" + string(rune(len(list))) + list + "\x00" }
	for _, test := range []struct{ name, want, body string }{
		{"an event too many", "bytes left after 1 events", "\x00\x00\x00\x00\x00\x00"},
		{"a byte too many", "bytes left after 1 events", "\x00\x00\x00\x00"},
		{"no such topic", "no such topic", "\x08\x00\x00"},
		{"first event at another time", "not at the time", "\x00\x02\x00"},
		{"no such encoding", "no such encoding", "\x06\x00\x00"},
		{"meta cut short", "bad meta", "\x80\x80\x80"},
		{"time not minimal", "bad time", "\x00\x80\x00\x00"},
		{"payload past the end", "bad payload length", "\x00\x00\x01"},
		{"payload length of 64 bits", "bad payload length", "\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"headers past the end", "bad headers length", "\x01\x00\x04\x00\x00"},
		{"headers above the limit", "bad headers length", "\x01\x00\x81\x80\x04" + strings.Repeat("\x00", codec.MaxHeaders+9)},
		{"no headers", "bad header count", headers("")},
		{"empty headers", "empty list", headers("\x00")},
		{"more headers than bytes", "more headers than bytes", headers("\x70\x00")},
		{"header past the list", "past the list", headers("\x01\x01k\x09v")},
		{"header without value", "past the list", headers("\x01\x01k")},
		{"bytes after the headers", "bytes left after the last header", headers("\x01\x01k\x01vx")},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := good()
			h.body = test.body
			h.raw = uvarint(uint64(len(test.body)))
			_, err := exhaust(t, h.bytes())
			wantMalformed(t, err, test.want)
		})
	}
}

func TestOpenComparesTopicCounts(t *testing.T) {
	h := good()
	h.count, h.raw, h.topics = []byte{3}, []byte{9}, []byte("\x02\x01t\x01\x01u\x02")
	h.body = "\x00\x00\x00" + "\x00\x00\x00" + "\x08\x00\x00"
	_, err := exhaust(t, h.bytes())
	wantMalformed(t, err, `topic "t": 2 events, 1 declared`)

	h.raw, h.body = []byte{9}, "\x08\x00\x00"+"\x00\x00\x00"+"\x08\x00\x00"
	_, err = exhaust(t, h.bytes())
	wantMalformed(t, err, "event 1 of 3: a topic before")

	h.raw, h.body = []byte{11}, "\x00\x00\x00"+"\x08\x00\x05hello"
	_, err = exhaust(t, h.bytes())
	wantMalformed(t, err, "2 events, 3 declared")
}

// samples are small batches, one for each compression.
func samples() map[string][]byte {
	var events []event
	for i := range 30 {
		events = append(events, event{
			Topic:    []string{"quake.usgs", "quake.jma"}[i%2],
			Encoding: codec.EncodingJSON,
			Time:     1e15 + int64(i),
			Headers:  []codec.Header{{Key: "trace", Value: "00-4bf92f35"}},
			Payload:  []byte(`[{"type":"Feature","mag":1.35}]`),
		})
	}
	return map[string][]byte{
		"one":  build(testLog, 9, events[0]).Seal(nil).Bytes(),
		"off":  build(testLog, 9, events...).Seal(nil).Bytes(),
		"s2":   build(testLog, 9, events...).Seal(codec.NewCompressor(codec.S2)).Bytes(),
		"zstd": build(testLog, 9, events...).Seal(codec.NewCompressor(codec.Zstd)).Bytes(),
	}
}

func TestEveryTruncationIsMalformed(t *testing.T) {
	for name, p := range samples() {
		for n := range p {
			if _, err := exhaust(t, p[:n:n]); err == nil {
				t.Fatalf("%s: %d of %d bytes are a batch", name, n, len(p))
			}
		}
	}
}

func TestNoBitFlipPanics(t *testing.T) {
	for _, p := range samples() {
		for bit := range 8 * len(p) {
			flipped := bytes.Clone(p)
			flipped[bit/8] ^= 1 << (bit % 8)
			_, _ = exhaust(t, flipped)
		}
	}
}

func TestParseBatchMaxRaw(t *testing.T) {
	b := build(testLog, 1, event{Topic: "t", Payload: make([]byte, 1000)}).Seal(codec.NewCompressor(codec.S2))
	if b.Compression != codec.CompressionS2 {
		t.Fatal("not compressed")
	}
	if _, err := codec.ParseBatch(b.Bytes(), b.RawSize); err != nil {
		t.Errorf("a body of just the size allowed: %v", err)
	}
	_, err := codec.ParseBatch(b.Bytes(), b.RawSize-1)
	wantMalformed(t, err, "allowed")
	_, err = codec.ParseBatch(b.Bytes(), -1)
	wantMalformed(t, err, "allowed")
}

func TestWithEpoch(t *testing.T) {
	for name, p := range samples() {
		b, err := codec.ParseBatch(p, 1<<24)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		renewed := b.WithEpoch(b.Log.Epoch + 1<<40)
		if renewed.Log.Epoch != b.Log.Epoch+1<<40 || renewed.Log.Node != b.Log.Node || renewed.Last() != b.Last() {
			t.Errorf("%s: became %+v", name, renewed)
		}
		if again := renewed.WithEpoch(b.Log.Epoch); !bytes.Equal(again.Bytes(), p) {
			t.Errorf("%s: is not what it was", name)
		}
	}
}
