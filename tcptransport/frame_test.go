package tcptransport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

// TestFramesOnTheWire has one frame of each kind as bytes. They never change while the ALPN is verbose/1.
func TestFramesOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"data", append(appendHeader(nil, header{kindData, 2, 5}), "hi"...), "01000002000000056869"},
		{"fin", appendHeader(nil, header{kindFin, 0, 5}), "0200000000000005"},
		{"reset", appendNumber(nil, kindReset, 5, uint32(bus.CloseTooSlow)), "03000004000000050000000d"},
		{"window", appendNumber(nil, kindWindow, 5, 65536), "040000040000000500010000"},
		{"streams", appendNumber(nil, kindStreams, 0, 2), "050000040000000000000002"},
		{"ping", appendToken(nil, kindPing, 7), "06000008000000000000000000000007"},
		{"pong", appendToken(nil, kindPong, 7), "07000008000000000000000000000007"},
		{"close", appendClose(nil, bus.CloseFull, "no"), "080000060000000000000007" + "6e6f"},
	} {
		if got := hex.EncodeToString(test.got); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		h, err := parseHeader(test.got)
		if err != nil || headerSize+h.length != len(test.got) {
			t.Errorf("%s: parsed as %+v, %v", test.name, h, err)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	for name, h := range map[string]struct {
		kind, zero byte
		length     uint16
		stream     uint32
	}{
		"kind 0":            {0, 0, 0, 0},
		"unknown kind":      {byte(kindClose) + 1, 0, 0, 0},
		"reserved bits":     {byte(kindPing), 1, tokenSize, 0},
		"data beyond 16KiB": {byte(kindData), 0, maxData + 1, 1},
		"empty data":        {byte(kindData), 0, 0, 1},
		"data on stream 0":  {byte(kindData), 0, 1, 0},
		"long fin":          {byte(kindFin), 0, 1, 1},
		"short reset":       {byte(kindReset), 0, codeSize - 1, 1},
		"ping on a stream":  {byte(kindPing), 0, tokenSize, 1},
		"close on a stream": {byte(kindClose), 0, codeSize, 1},
		"long reason":       {byte(kindClose), 0, maxSignal + 1, 0},
	} {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{h.kind, h.zero}, h.length), h.stream)
		if _, err := parseHeader(b); err == nil {
			t.Errorf("%s: % x was accepted", name, b)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{1, 0, 0, 2, 0, 0, 0, 5})
	f.Add([]byte{8, 0, 1, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if got := appendHeader(nil, h); !bytes.Equal(got, b[:headerSize]) {
			t.Errorf("% x is parsed as %+v, which is % x", b[:headerSize], h, got)
		}
		if h.length > maxData || h.kind != kindData && h.length > maxSignal {
			t.Errorf("%+v is too long", h)
		}
	})
}
