package tcptransport

import (
	"bytes"
	"encoding/binary"
	"testing"
)

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
