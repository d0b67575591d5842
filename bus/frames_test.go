package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/verbose-bus/verbose/codec"
)

func frame(kind byte, body []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(body))+1)
	return append(append(b, kind), body...)
}

// oneFrame is what a sink handed over.
type oneFrame struct {
	kind byte
	body []byte
}

// collect returns a sink, and where it puts its frames, copied if it only lends them.
func collect(limit, ahead int, keeps bool) (*frameSink, *[]oneFrame) {
	frames := new([]oneFrame)
	return newFrameSink(limit, ahead, keeps, func(kind byte, body []byte, _ *codec.Memory) error {
		if !keeps {
			body = bytes.Clone(body)
		}
		*frames = append(*frames, oneFrame{kind, body})
		return nil
	}), frames
}

// feed has bytes arrive in pieces of at most so many.
func feed(f *frameSink, data []byte, piece int) error {
	for len(data) > 0 {
		p := f.Place()
		n := copy(p[:min(piece, len(p))], data)
		if _, err := f.Came(n); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func TestFrames(t *testing.T) {
	want := []oneFrame{{1, nil}, {2, []byte("two")}, {3, bytes.Repeat([]byte("x"), 3<<20)}, {4, bytes.Repeat([]byte("y"), 5000)},
		{5, bytes.Repeat([]byte("z"), dataAhead-3)}, {6, bytes.Repeat([]byte("w"), dataAhead-2)}, {7, bytes.Repeat([]byte("v"), 100_000)}, {8, nil}}
	var stream []byte
	for _, w := range want {
		stream = append(stream, frame(w.kind, w.body)...)
	}
	for _, keeps := range []bool{true, false} {
		for _, piece := range []int{1, 2, 7, 1000, dataAhead, 100_000, len(stream)} {
			f, got := collect(4<<20, dataAhead, keeps)
			if err := feed(f, stream, piece); err != nil || f.partial() {
				t.Fatalf("pieces of %d: %v, something left: %t", piece, err, f.partial())
			}
			if len(*got) != len(want) {
				t.Fatalf("pieces of %d: %d frames, want %d", piece, len(*got), len(want))
			}
			for i, w := range want {
				if g := (*got)[i]; g.kind != w.kind || !bytes.Equal(g.body, w.body) {
					t.Errorf("pieces of %d, keeps %t: frame %d: kind %d, %d bytes", piece, keeps, i, g.kind, len(g.body))
				}
			}
		}
	}
}

// readStream is a stream that has some bytes and then ends.
type readStream struct {
	Stream
	io.Reader
}

func (s readStream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// A stream that ends anywhere inside a frame is an error that is not io.EOF; one that ends between frames is none.
func TestFramesCutShort(t *testing.T) {
	whole := frame(7, bytes.Repeat([]byte("y"), 300))
	for n := range len(whole) + 1 {
		f, _ := collect(1<<20, 100, true)
		err := readFrames(readStream{Reader: bytes.NewReader(whole[:n])}, f, nil)
		if cut := n > 0 && n < len(whole); cut != errors.Is(err, io.ErrUnexpectedEOF) || !cut && err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestFramesTooLong(t *testing.T) {
	for _, head := range [][]byte{{0}, binary.AppendUvarint(nil, 1001), binary.AppendUvarint(nil, 1<<63), bytes.Repeat([]byte{0xff}, 11)} {
		f, _ := collect(1000, dataAhead, true)
		peer, ok := errors.AsType[*PeerError](feed(f, append(head, 1), 1))
		if !ok || peer.Code != CloseViolation {
			t.Errorf("head %x: %v", head, peer)
		}
	}
}

// An error of who handles a frame ends the stream, wherever the frame came in.
func TestFramesRefused(t *testing.T) {
	refused := errors.New("refused")
	for _, size := range []int{0, 10, 5000} {
		calls := 0
		f := newFrameSink(1<<20, 100, true, func(byte, []byte, *codec.Memory) error { calls++; return refused })
		data := append(frame(1, make([]byte, size)), frame(2, nil)...)
		if err := readFrames(readStream{Reader: bytes.NewReader(data)}, f, nil); err != refused || calls != 1 {
			t.Errorf("a body of %d bytes: %v after %d calls", size, err, calls)
		}
	}
}

// A frame that is declared and does not come costs little memory.
func TestFramesDeclaredOnly(t *testing.T) {
	head := append(binary.AppendUvarint(nil, 1<<30), 1)
	f, _ := collect(1<<30, dataAhead, true)
	if err := feed(f, append(head, make([]byte, 100_000)...), 1000); err != nil || cap(f.body) > 512<<10 {
		t.Errorf("%d bytes for a frame that never came, %v", cap(f.body), err)
	}
}

// Frames that are only lent cost no allocation, up to some length.
func TestLentFramesCostNothing(t *testing.T) {
	f := newFrameSink(1<<21, controlAhead, false, func(byte, []byte, *codec.Memory) error { return nil })
	data := append(frame(1, make([]byte, mostReused)), frame(2, make([]byte, 10))...)
	feed(f, data, len(data))
	if n := testing.AllocsPerRun(10, func() { feed(f, data, len(data)) }); n > 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(1, nil), uint16(1), true)
	f.Add(append(frame(2, []byte("two")), frame(3, nil)...), uint16(3), false)
	f.Add(frame(4, make([]byte, 300)), uint16(50), true)
	f.Add(binary.AppendUvarint(nil, 1<<40), uint16(100), true)
	f.Fuzz(func(t *testing.T, data []byte, piece uint16, keeps bool) {
		sink, got := collect(1<<16, 64, keeps)
		err := feed(sink, data, int(piece)+1)
		rest := data
		for _, g := range *got {
			n, k := binary.Uvarint(rest)
			if n != uint64(len(g.body))+1 || rest[k] != g.kind || !bytes.Equal(rest[k+1:k+int(n)], g.body) {
				t.Fatalf("read kind %d and %d bytes of %x", g.kind, len(g.body), rest)
			}
			rest = rest[k+int(n):]
		}
		if n, k := binary.Uvarint(rest); err == nil && k > 0 && (n == 0 || n > 1<<16 || n <= uint64(len(rest)-k)) {
			t.Fatalf("left %x", rest)
		}
		if err == nil && sink.partial() != (len(rest) > 0) {
			t.Fatalf("partial: %t, with %d bytes left", sink.partial(), len(rest))
		}
	})
}

// slow is a sink that ends with an error, and with work that keeps its goroutine.
type slow struct {
	place   [10]byte
	refused error
	worked  chan struct{}
}

func (s *slow) Place() []byte { return s.place[:] }

func (s *slow) Came(int) (Work, error) {
	return func(readOn func()) bool {
		readOn()
		close(s.worked)
		return false
	}, s.refused
}

// What ends a stream is reported by who found it, whatever is to be done besides, and nobody reads on.
func TestFramesRefusedBesideWork(t *testing.T) {
	for _, refused := range []error{errors.New("refused"), nil} {
		sink := &slow{refused: refused, worked: make(chan struct{})}
		err := push(readStream{Reader: iotest.DataErrReader(bytes.NewReader([]byte("x")))}, sink, func() { t.Error("another goroutine reads on") })
		if err != refused {
			t.Errorf("the end of the stream is %v, want %v", err, refused)
		}
		<-sink.worked
	}
}
