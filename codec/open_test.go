package codec_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/verbose-bus/verbose/codec"
)

func uvarint(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func wantMalformed(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, codec.ErrMalformed) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error is %v, want malformed and %q", err, text)
	}
}

// packed is a batch of one event whose body is as given, said to be raw bytes long.
func packed(c codec.Compression, raw int, body []byte) []byte {
	h := good()
	h.version |= byte(c)
	h.raw, h.body = uvarint(uint64(raw)), string(body)
	return h.bytes()
}

// eventOf is the body of one event with a payload of n zeros.
func eventOf(n int) []byte {
	p := append([]byte{0, 0}, uvarint(uint64(n))...)
	return append(p, make([]byte, n)...)
}

func TestOpenHoldsBodiesToTheirSize(t *testing.T) {
	const n = 100_000
	body := eventOf(n)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var stream strings.Builder // a frame without its content size
	w, err := zstd.NewWriter(&stream, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for p := body; len(p) > 0; p = p[len(p)/2+1:] {
		_, _ = w.Write(p[:len(p)/2+1])
		_ = w.Flush()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	asS2, asZstd := s2.Encode(nil, body), enc.EncodeAll(body, nil)
	twice := enc.EncodeAll(body, enc.EncodeAll(body, nil))
	const skippable = "\x50\x2a\x4d\x18\x01\x00\x00\x00x"
	blocks := eventOf(800_000) // text, zeros, and what can't be compressed
	copy(blocks[10:], strings.Repeat("so it goes. ", 20_000))
	_, _ = rand.NewChaCha8([32]byte{}).Read(blocks[500_000:])

	for _, test := range []struct {
		name string
		c    codec.Compression
		raw  int
		body []byte
		want string // "" means good
	}{
		{"s2", codec.CompressionS2, len(body), asS2, ""},
		{"s2 grows past what is declared", codec.CompressionS2, len(body) - 1, asS2, "declares"},
		{"s2 ends before", codec.CompressionS2, len(body) + 1, asS2, "declares"},
		{"s2 lies", codec.CompressionS2, 1000, append(uvarint(1000), asS2[3:]...), "corrupt"},
		{"s2 garbage", codec.CompressionS2, 1000, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "declares"},
		{"zstd", codec.CompressionZstd, len(body), asZstd, ""},
		{"zstd grows past what is declared", codec.CompressionZstd, len(body) - 1, asZstd, "declares"},
		{"zstd ends before", codec.CompressionZstd, len(body) + 1, asZstd, "declares"},
		{"zstd of no declared size", codec.CompressionZstd, len(body), []byte(stream.String()), "declares"},
		{"zstd of two frames", codec.CompressionZstd, len(body), twice, "zstd body"},
		{"zstd and an empty frame", codec.CompressionZstd, len(body), slices.Concat(asZstd, []byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00")), "zstd body"},
		{"zstd and a skippable frame", codec.CompressionZstd, len(body), slices.Concat(asZstd, []byte(skippable)), "zstd body"},
		{"zstd and a byte", codec.CompressionZstd, len(body), slices.Concat(asZstd, []byte{0}), "zstd body"},
		{"zstd of blocks of all types", codec.CompressionZstd, len(blocks), enc.EncodeAll(blocks, nil), ""},
		{"zstd cut short", codec.CompressionZstd, len(body), asZstd[:len(asZstd)-1], "zstd body"},
		{"zstd garbage", codec.CompressionZstd, 1000, []byte("not a frame"), "zstd body"},
		{"zstd skippable", codec.CompressionZstd, 1000, []byte(skippable), "declares"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := exhaust(t, packed(test.c, test.raw, test.body))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantMalformed(t, err, test.want)
		})
	}
}

func TestOpenDecompressesOnceForAll(t *testing.T) {
	b, err := codec.ParseBatch(packed(codec.CompressionS2, 100_005, s2.Encode(nil, eventOf(100_000))), maxRaw)
	if err != nil {
		t.Fatal(err)
	}
	const readers = 8
	var payloads [readers][]byte
	var wait sync.WaitGroup
	for i := range readers {
		wait.Go(func() {
			r, err := b.Open()
			var e codec.Event
			if err != nil || !r.Next(&e) {
				t.Errorf("no event: %v", err)
				return
			}
			payloads[i] = e.Payload
		})
	}
	wait.Wait()
	for _, p := range payloads {
		if len(p) == 0 || &p[0] != &payloads[0][0] {
			t.Fatal("readers do not share the body")
		}
	}
}

func TestReleaseLeavesReadersBe(t *testing.T) {
	b := build(testLog, 1, event{Topic: "t", Payload: make([]byte, 1000)}, event{Topic: "t"}).Seal(codec.NewCompressor(codec.Zstd))
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	var before, after codec.Event
	r.Next(&before)
	b.Release()
	if !r.Next(&after) || after.Seq != 2 {
		t.Error("the reader stopped")
	}
	r, err = b.Open()
	if err != nil || !r.Next(&after) {
		t.Fatal("cannot open again: ", err)
	}
	if &before.Payload[0] == &after.Payload[0] {
		t.Error("the body was kept")
	}
	if len(before.Payload) != 1000 || len(after.Payload) != 1000 {
		t.Error("payloads changed")
	}
}

func TestOpenAndReleaseTogether(t *testing.T) {
	b := build(testLog, 1, event{Topic: "t", Payload: make([]byte, 5000)}).Seal(codec.NewCompressor(codec.S2))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 100 {
				if got := read(t, b); len(got) != 1 || len(got[0].Payload) != 5000 {
					t.Error("not the event")
				}
				b.Release()
			}
		})
	}
	wait.Wait()
}

func TestOpenRemembersABadBody(t *testing.T) {
	b, err := codec.ParseBatch(packed(codec.CompressionS2, 1000, []byte("bad")), maxRaw)
	if err != nil {
		t.Fatal(err)
	}
	_, first := b.Open()
	b.Release()
	_, second := b.Open()
	if first == nil || first != second {
		t.Errorf("errors are %v and %v", first, second)
	}
}

func TestEventClone(t *testing.T) {
	b := build(testLog, 1, event{Topic: "t", Payload: []byte("payload"), Headers: []codec.Header{{Key: "k", Value: "v"}}}).Seal(nil)
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	var e codec.Event
	r.Next(&e)
	c := e.Clone()
	if v, ok := c.Headers.Get("k"); c.Topic != "t" || string(c.Payload) != "payload" || v != "v" || !ok {
		t.Errorf("clone is %+v", c)
	}
	if &c.Payload[0] == &e.Payload[0] {
		t.Error("the clone shares its payload")
	}
}
