package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

func frame(kind byte, body []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(body))+1)
	return append(append(b, kind), body...)
}

func TestFrames(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 3<<20)
	stream := append(frame(1, nil), frame(2, []byte("two"))...)
	stream = append(stream, frame(3, large)...)
	f := newFrameReader(bytes.NewReader(stream), 4<<20, dataAhead)
	for i, want := range [][]byte{nil, []byte("two"), large} {
		kind, body, err := f.next(nil)
		if err != nil || kind != byte(i+1) || !bytes.Equal(body, want) {
			t.Fatalf("frame %d: kind %d, %d bytes, %v", i, kind, len(body), err)
		}
	}
	if _, _, err := f.next(nil); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// A stream that ends anywhere inside a frame is an error that is not io.EOF.
func TestFramesCutShort(t *testing.T) {
	whole := frame(7, bytes.Repeat([]byte("y"), 300))
	for n := 1; n < len(whole); n++ {
		f := newFrameReader(bytes.NewReader(whole[:n]), 1<<20, dataAhead)
		if _, _, err := f.next(nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestFramesTooLong(t *testing.T) {
	for _, head := range [][]byte{{0}, binary.AppendUvarint(nil, 1001), binary.AppendUvarint(nil, 1<<63)} {
		f := newFrameReader(bytes.NewReader(append(head, 1)), 1000, dataAhead)
		var peer *PeerError
		if _, _, err := f.next(nil); !errors.As(err, &peer) || peer.Code != CloseViolation {
			t.Errorf("head %x: %v", head, err)
		}
	}
}

// A frame that is declared and does not come costs little memory.
func TestFramesDeclaredOnly(t *testing.T) {
	head := append(binary.AppendUvarint(nil, 1<<30), 1)
	size := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f := newFrameReader(bytes.NewReader(head), 1<<30, dataAhead)
			f.next(nil)
		}
	}).AllocedBytesPerOp()
	if size > 512<<10 {
		t.Errorf("%d bytes for a frame that never came", size)
	}
}

// A long frame is read to where it stays, once there was one as long.
func TestLongFramesAreReadInPlace(t *testing.T) {
	f := newFrameReader(bytes.NewReader(bytes.Repeat(frame(1, make([]byte, 1<<20)), 12)), 1<<21, dataAhead)
	f.next(nil)
	if n := testing.AllocsPerRun(10, func() { f.next(nil) }); n > 1 {
		t.Errorf("%v allocations for a frame", n)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(1, nil))
	f.Add(append(frame(2, []byte("two")), frame(3, nil)...))
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newFrameReader(bytes.NewReader(data), 1<<16, dataAhead)
		rest := data
		for {
			kind, body, err := r.next(nil)
			if err != nil {
				return
			}
			n, k := binary.Uvarint(rest)
			if n != uint64(len(body))+1 || rest[k] != kind || !bytes.Equal(rest[k+1:k+int(n)], body) {
				t.Fatalf("read kind %d and %d bytes of %x", kind, len(body), rest)
			}
			rest = rest[k+int(n):]
		}
	})
}
