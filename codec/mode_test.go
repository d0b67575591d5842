package codec_test

import (
	"encoding/json"
	"testing"

	"github.com/verbose-bus/verbose/codec"
)

func TestModeNames(t *testing.T) {
	for mode, name := range map[codec.Mode]string{codec.Adaptive: "adaptive", codec.Off: "off", codec.S2: "s2", codec.Zstd: "zstd"} {
		if mode.String() != name {
			t.Errorf("%d is %q", mode, mode)
		}
		text, err := json.Marshal(mode)
		if err != nil || string(text) != `"`+name+`"` {
			t.Errorf("%v is %s, %v", mode, text, err)
		}
		var back codec.Mode
		if err := json.Unmarshal(text, &back); err != nil || back != mode {
			t.Errorf("%s reads as %v, %v", text, back, err)
		}
	}
	if (*new(codec.Mode)) != codec.Adaptive {
		t.Error("the zero mode is not adaptive")
	}
	if _, err := codec.ParseMode("gzip"); err == nil {
		t.Error("gzip is a mode")
	}
	mode := codec.S2
	if err := mode.UnmarshalText([]byte("")); err == nil || mode != codec.S2 {
		t.Errorf("nothing is a mode: %v, %v", mode, err)
	}
	if _, err := codec.Mode(4).MarshalText(); err == nil {
		t.Error("mode 4 has a name")
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"mode(4)": codec.Mode(4),
		"off":     codec.CompressionOff, "s2": codec.CompressionS2, "zstd": codec.CompressionZstd, "compression(3)": codec.Compression(3),
		"raw": codec.EncodingRaw, "json": codec.EncodingJSON, "cbor": codec.EncodingCBOR, "encoding(3)": codec.Encoding(3),
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8/1700000000000/3": testLog,
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
