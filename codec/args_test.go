package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/verbose-bus/verbose/codec"
)

type quake struct {
	Place string    `json:"place"`
	Mag   float64   `json:"mag"`
	Felt  *int      `json:"felt"`
	At    time.Time `json:"at"`
}

var structured = []codec.Encoding{codec.EncodingJSON, codec.EncodingCBOR}

func appendArgs(t *testing.T, enc codec.Encoding, args ...any) []byte {
	t.Helper()
	p, err := codec.AppendArgs([]byte("before"), enc, args...)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimPrefix(p, []byte("before"))
}

func TestArgsRoundTrip(t *testing.T) {
	want := quake{"Lima, <Montana>", 1.35, nil, time.Date(2018, 1, 31, 1, 46, 55, 660_000_000, time.UTC)}
	for _, enc := range structured {
		p := appendArgs(t, enc, want, "two, [\"\\", 3, []string{"]", `"`}, nil)
		var got quake
		var two string
		var three int
		var four []string
		five := new(int)
		if err := codec.DecodeArgs(enc, p, &got, &two, &three, &four, &five); err != nil {
			t.Fatalf("%v: %v", enc, err)
		}
		if diff := cmp.Diff(want, got); diff != "" || two != "two, [\"\\" || three != 3 || five != nil || !cmp.Equal(four, []string{"]", `"`}) {
			t.Errorf("%v: %v %q %d %q %v", enc, diff, two, three, four, five)
		}
		var again quake
		if err := codec.DecodeArgs(enc, p, &again); err != nil || again != want {
			t.Errorf("%v: the first alone: %v", enc, err)
		}
		if err := codec.DecodeArgs(enc, p); err != nil {
			t.Errorf("%v: none of them: %v", enc, err)
		}
	}
}

func TestArgsOfAnyNumber(t *testing.T) {
	for _, enc := range structured {
		for _, n := range []int{0, 1, 2, 23, 24, 255, 256, 65535, 65536} {
			p := appendArgs(t, enc, make([]any, n)...)
			into := make([]any, n)
			for i := range into {
				into[i] = new(any)
			}
			if err := codec.DecodeArgs(enc, p, into...); err != nil {
				t.Fatalf("%v: %d: %v", enc, n, err)
			}
			err := codec.DecodeArgs(enc, p, append(into, new(any))...)
			if err == nil || !strings.Contains(err.Error(), "do not fill") {
				t.Errorf("%v: one target more than %d: %v", enc, n, err)
			}
		}
	}
}

func TestArgsFailWhole(t *testing.T) {
	for _, enc := range structured {
		dst, err := codec.AppendArgs([]byte("before"), enc, 1, make(chan int))
		if err == nil || !strings.Contains(err.Error(), "argument 2") || string(dst) != "before" {
			t.Errorf("%v: %q, %v", enc, dst, err)
		}
		err = codec.DecodeArgs(enc, appendArgs(t, enc, 1, "two"), new(int), new(int))
		if err == nil || !strings.Contains(err.Error(), "argument 2") || errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%v: a string into an int: %v", enc, err)
		}
	}
	if _, err := codec.AppendArgs(nil, 3, 1); err == nil {
		t.Error("encoding 3 encodes")
	}
	if err := codec.DecodeArgs(3, nil); err == nil {
		t.Error("encoding 3 decodes")
	}
	if _, err := codec.ArgsJSON(3, nil); err == nil {
		t.Error("encoding 3 is JSON")
	}
}

func TestRawArgs(t *testing.T) {
	for _, arg := range []any{"payload", []byte("payload")} {
		p := appendArgs(t, codec.EncodingRaw, arg)
		var b []byte
		var s string
		var a any
		for _, into := range []any{&b, &s, &a} {
			if err := codec.DecodeArgs(codec.EncodingRaw, p, into); err != nil {
				t.Error(err)
			}
		}
		if string(p) != "payload" || string(b) != "payload" || s != "payload" || string(a.([]byte)) != "payload" {
			t.Errorf("%q %q %q %q", p, b, s, a)
		}
	}
	if p := appendArgs(t, codec.EncodingRaw); len(p) != 0 {
		t.Errorf("nothing is %q", p)
	}
	if err := codec.DecodeArgs(codec.EncodingRaw, []byte("payload")); err != nil {
		t.Error(err)
	}
	for _, args := range [][]any{{1}, {"a", "b"}, {nil}} {
		if _, err := codec.AppendArgs(nil, codec.EncodingRaw, args...); err == nil || !strings.Contains(err.Error(), "one []byte or string") {
			t.Errorf("%v: %v", args, err)
		}
		if err := codec.DecodeArgs(codec.EncodingRaw, nil, args...); err == nil || !strings.Contains(err.Error(), "one *[]byte or *string") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestDecodeArgsRejects(t *testing.T) {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	for _, test := range []struct {
		name    string
		enc     codec.Encoding
		payload string
	}{
		{"nothing", codec.EncodingJSON, ""},
		{"spaces", codec.EncodingJSON, "  "},
		{"object", codec.EncodingJSON, `{"a":1}`},
		{"null", codec.EncodingJSON, "null"},
		{"cut short", codec.EncodingJSON, "[1,"},
		{"two values", codec.EncodingJSON, "[1][2]"},
		{"comma at the end", codec.EncodingJSON, "[1,]"},
		{"deep", codec.EncodingJSON, deep("[", "]", 100_000)},
		{"nothing", codec.EncodingCBOR, ""},
		{"map", codec.EncodingCBOR, "\xa0"},
		{"fewer elements than declared", codec.EncodingCBOR, "\x82\x01"},
		{"element cut short", codec.EncodingCBOR, "\x81\x61"},
		{"a byte after", codec.EncodingCBOR, "\x81\x01\x01"},
		{"no fixed length", codec.EncodingCBOR, "\x9f\x01\xff"},
		{"reserved length", codec.EncodingCBOR, "\x9c\x01"},
		{"length cut short", codec.EncodingCBOR, "\x9b\x00\x00"},
		{"huge length", codec.EncodingCBOR, "\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"huge length within", codec.EncodingCBOR, "\x81\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"too many", codec.EncodingCBOR, "\x9a\x00\x10\x00\x01" + strings.Repeat("\x01", 1<<20+1)},
		{"deep", codec.EncodingCBOR, deep("\x81", "", 100) + "\x01"},
	} {
		t.Run(test.enc.String()+" "+test.name, func(t *testing.T) {
			for _, into := range [][]any{nil, {new(any)}} {
				if err := codec.DecodeArgs(test.enc, []byte(test.payload), into...); !errors.Is(err, codec.ErrMalformed) {
					t.Errorf("into %d: %v", len(into), err)
				}
			}
			if _, err := codec.ArgsJSON(test.enc, []byte(test.payload)); !errors.Is(err, codec.ErrMalformed) {
				t.Errorf("as JSON: %v", err)
			}
		})
	}
}

// Decimal digits of a number take time by the square of its length.
func TestBignumsAreBounded(t *testing.T) {
	bignum := func(head string, n int) []byte {
		return append(binary.BigEndian.AppendUint32([]byte(head+"\x5a"), uint32(n)), bytes.Repeat([]byte{0xff}, n)...)
	}
	const most = 8 << 10
	for _, head := range []string{"\x81\xc2", "\x81\xc3", "\x81\xd8\x02", "\x81\xd8\x64\xc2", "\x82\x01\xc2", "\x81\x82\x61a\xc2", "\x81\xa1\x61a\xc2"} {
		var v any
		p := bignum(head, most)
		if err := codec.DecodeArgs(codec.EncodingCBOR, p, &v); err != nil {
			t.Errorf("%x, the largest: %v", head, err)
		}
		if _, err := codec.ArgsJSON(codec.EncodingCBOR, p); err != nil {
			t.Errorf("%x, the largest as JSON: %v", head, err)
		}
		p = bignum(head, most+1)
		for _, into := range [][]any{nil, {new(any)}, {new(int)}} {
			wantMalformed(t, codec.DecodeArgs(codec.EncodingCBOR, p, into...), "a number of 8193 bytes")
		}
		_, err := codec.ArgsJSON(codec.EncodingCBOR, p)
		wantMalformed(t, err, "a number of 8193 bytes")
	}
	key := append(bignum("\x81\xa1\xc2", most+1), 0)
	_, err := codec.ArgsJSON(codec.EncodingCBOR, key)
	wantMalformed(t, err, "a number of 8193 bytes")
	long := appendArgs(t, codec.EncodingCBOR, 2, bytes.Repeat([]byte("x"), 2*most), strings.Repeat("y", 2*most))
	if err := codec.DecodeArgs(codec.EncodingCBOR, long); err != nil {
		t.Errorf("strings are taken for numbers: %v", err)
	}
}

// Text is UTF-8 in both encodings. A receiver could not decode other CBOR, and JSON would be changed on the way.
func TestArgsAreUTF8(t *testing.T) {
	type named struct{ Name string }
	for _, bad := range []any{"a\xffb", []any{1, "a\xff"}, map[string]int{"\xff": 1}, named{"\xff"}, strings.Repeat("a", 300) + "\xff"} {
		p, err := codec.AppendArgs([]byte("before"), codec.EncodingCBOR, 1, bad)
		if err == nil || !strings.Contains(err.Error(), "argument 2") || !strings.Contains(err.Error(), "UTF-8") || string(p) != "before" {
			t.Errorf("%q is encoded: %x, %v", bad, p, err)
		}
	}
	for _, good := range []any{"ä€😀", []byte("\xff"), map[string]any{"ü": []byte{0xff}}, math.Inf(1), new(big.Int).Lsh(big.NewInt(1), 70)} {
		if _, err := codec.AppendArgs(nil, codec.EncodingCBOR, good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	_, err := codec.AppendArgs(nil, codec.EncodingCBOR, cbor.RawMessage("\x7f\x61a\xff"))
	if err == nil {
		t.Error("text of indefinite length is encoded")
	}
	_, err = codec.ArgsJSON(codec.EncodingJSON, []byte("[\"a\xff\"]"))
	wantMalformed(t, err, "UTF-8")
}

func TestArgsJSON(t *testing.T) {
	cborOf := func(args ...any) []byte { return appendArgs(t, codec.EncodingCBOR, args...) }
	for _, test := range []struct {
		enc     codec.Encoding
		payload []byte
		want    string
	}{
		{codec.EncodingRaw, nil, `[""]`},
		{codec.EncodingRaw, []byte("a <b>"), `["a <b>"]`},
		{codec.EncodingRaw, []byte{0xff, 0}, `["/wA="]`},
		{codec.EncodingJSON, []byte(" [ 1 , { \"a\" : [ ] } ]\n"), `[1,{"a":[]}]`},
		{codec.EncodingCBOR, cborOf(), `[]`},
		{codec.EncodingCBOR, cborOf(1, -2, 1.5, "x", true, nil), `[1,-2,1.5,"x",true,null]`},
		{codec.EncodingCBOR, cborOf([]byte{0xff, 0}), `["/wA="]`},
		{codec.EncodingCBOR, cborOf(math.NaN(), []float64{math.Inf(-1)}), `[null,[null]]`},
		{codec.EncodingCBOR, cborOf(map[int]any{2: map[string]int{"b": 1, "a": 2}, -1: nil}), `[{"-1":null,"2":{"a":2,"b":1}}]`},
		{codec.EncodingCBOR, cborOf(new(big.Int).Lsh(big.NewInt(1), 70)), `[1180591620717411303424]`},
		{codec.EncodingCBOR, cborOf(time.Unix(0, 0).UTC()), `["1970-01-01T00:00:00Z"]`},
		{codec.EncodingCBOR, []byte("\x81\xd8\x64\x82\x01\xd8\x65\x02"), `[[1,2]]`},                 // tags
		{codec.EncodingCBOR, []byte("\x81\xa2\x41\x00\x01\xd8\x64\x61k\x02"), `[{"AA==":1,"k":2}]`}, // odd keys
	} {
		got, err := codec.ArgsJSON(test.enc, test.payload)
		if err != nil || string(got) != test.want {
			t.Errorf("%v %x: %s, %v; want %s", test.enc, test.payload, got, err, test.want)
		}
	}
	_, err := codec.ArgsJSON(codec.EncodingCBOR, cborOf(map[any]int{1: 1, "1": 2}))
	wantMalformed(t, err, `both "1"`)
}

// Equal values are equal bytes, whatever order a map is walked in.
func TestCBORIsDeterministic(t *testing.T) {
	m := map[string]int{}
	for i := range 50 {
		m[strings.Repeat("k", i%7)+string(rune('a'+i%26))] = i
	}
	want := appendArgs(t, codec.EncodingCBOR, m)
	for range 20 {
		if !bytes.Equal(want, appendArgs(t, codec.EncodingCBOR, m)) {
			t.Fatal("encodings differ")
		}
	}
}

func TestTypedCodecs(t *testing.T) {
	want := quake{Place: "Amboy", Mag: 0.31, At: time.Unix(0, 0).UTC()}
	for _, c := range []codec.Codec[quake]{codec.JSON[quake](), codec.CBOR[quake]()} {
		p, err := c.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Decode(p); err != nil || got != want {
			t.Errorf("%v: %+v, %v", c.Encoding(), got, err)
		}
		var untyped quake
		if err := codec.DecodeArgs(c.Encoding(), p, &untyped); err != nil || untyped != want {
			t.Errorf("%v: untyped: %+v, %v", c.Encoding(), untyped, err)
		}
		more := appendArgs(t, c.Encoding(), want, "more")
		if got, err := c.Decode(more); err != nil || got != want {
			t.Errorf("%v: of several: %+v, %v", c.Encoding(), got, err)
		}
		if _, err := c.Decode(appendArgs(t, c.Encoding())); err == nil {
			t.Errorf("%v: of none: no error", c.Encoding())
		}
	}
	b, s := codec.Bytes(), codec.String()
	if p, err := b.Append([]byte("a"), []byte("b")); err != nil || string(p) != "ab" || b.Encoding() != codec.EncodingRaw {
		t.Errorf("%q, %v", p, err)
	}
	if p, err := s.Append([]byte("a"), "b"); err != nil || string(p) != "ab" || s.Encoding() != codec.EncodingRaw {
		t.Errorf("%q, %v", p, err)
	}
	if v, err := b.Decode([]byte("v")); err != nil || string(v) != "v" {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := s.Decode([]byte("v")); err != nil || v != "v" {
		t.Errorf("%q, %v", v, err)
	}
}
