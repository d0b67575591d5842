package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/verbose-bus/verbose/codec"
)

// Whatever is accepted can be built again, and an uncompressed batch is the only one
// with its events.
func FuzzParseBatch(f *testing.F) {
	for _, p := range samples() {
		f.Add(p)
	}
	f.Add(good().bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := exhaust(t, p)
		if err != nil {
			return
		}
		events := read(t, b)
		again := build(b.Log, b.First, events...).Seal(nil)
		if !same(events, read(t, again)) {
			t.Error("events differ when built again")
		}
		if b.Compression == codec.CompressionOff && !bytes.Equal(p, again.Bytes()) {
			t.Errorf("%x is also %x", p, again.Bytes())
		}
	})
}

func FuzzDecodeArgsJSON(f *testing.F) {
	for _, s := range []string{"[]", `[1,"a\"]",{"b":[]}]`, "[ null , 1e400 ]", "[[1,2],\"\\u00\"]", "[\"\xff\"]", "{}", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var want []json.RawMessage
		valid := json.Unmarshal(p, &want) == nil && want != nil
		into := make([]any, len(want))
		for i := range into {
			into[i] = new(json.RawMessage)
		}
		err := codec.DecodeArgs(codec.EncodingJSON, p, into...)
		if valid != (err == nil) || err != nil && !errors.Is(err, codec.ErrMalformed) {
			t.Fatalf("error is %v for an array: %v", err, valid)
		}
		for i := range want {
			if got := *into[i].(*json.RawMessage); !bytes.Equal(got, want[i]) {
				t.Errorf("argument %d is %s, want %s", i+1, got, want[i])
			}
		}
		var q quake
		_ = codec.DecodeArgs(codec.EncodingJSON, p, &q)
		wantJSON(t, codec.EncodingJSON, p, valid && utf8.Valid(p))
	})
}

func FuzzDecodeArgsCBOR(f *testing.F) {
	p, err := codec.AppendArgs(nil, codec.EncodingCBOR, "a", 1, -1, 1.5, nil, []byte("b"), quake{Place: "c"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte("\x80"))
	f.Add([]byte("\x81\xa1\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01")) // a big number as a key
	f.Add([]byte("\x81\xa1\x80\x01"))                                         // an array as a key
	f.Add([]byte("\x82\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00\xf8\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		err := codec.DecodeArgs(codec.EncodingCBOR, p)
		if err != nil && !errors.Is(err, codec.ErrMalformed) {
			t.Fatalf("error is %v", err)
		}
		var v any
		var q quake
		_ = codec.DecodeArgs(codec.EncodingCBOR, p, &v)
		_ = codec.DecodeArgs(codec.EncodingCBOR, p, &q)
		if text, jsonErr := codec.ArgsJSON(codec.EncodingCBOR, p); jsonErr == nil {
			if err != nil || !json.Valid(text) {
				t.Errorf("%s of %v", text, err)
			}
		} else if !errors.Is(jsonErr, codec.ErrMalformed) {
			t.Errorf("error is %v", jsonErr)
		}
	})
}

func FuzzArgsJSONRaw(f *testing.F) {
	f.Add([]byte("text"))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, p []byte) { wantJSON(t, codec.EncodingRaw, p, true) })
}

func wantJSON(t *testing.T, enc codec.Encoding, p []byte, valid bool) {
	t.Helper()
	text, err := codec.ArgsJSON(enc, p)
	if valid != (err == nil) || err != nil && !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("error is %v, should there be none: %v", err, valid)
	}
	if err == nil && !json.Valid(text) {
		t.Errorf("%s is not JSON", text)
	}
}
