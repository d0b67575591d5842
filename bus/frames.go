package bus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// frameReader takes frames off a stream (PROTOCOL.md §4).
type frameReader struct {
	r       *bufio.Reader
	filler  Filler // nil if the stream is none
	limit   int
	longest int // of the frames that came
}

// What a frameReader reads ahead: heads and small frames. What is longer is read to
// where it stays. Every peer has a control stream, and an idle one nothing else.
const (
	dataAhead    = 4 << 10
	controlAhead = 1 << 10
)

func newFrameReader(r io.Reader, limit, ahead int) *frameReader {
	filler, _ := r.(Filler)
	return &frameReader{r: bufio.NewReaderSize(r, ahead), filler: filler, limit: limit}
}

// next reads a frame into buf, which it grows as the bytes arrive: a length that a peer only
// declares costs no more memory than a frame that it has sent. io.EOF means the stream ended between frames.
func (f *frameReader) next(buf []byte) (kind byte, body []byte, err error) {
	n, err := binary.ReadUvarint(f.r)
	if err == io.EOF {
		return 0, nil, err
	}
	if err != nil {
		return 0, nil, unexpected(err)
	}
	if n == 0 || n > uint64(f.limit) {
		return 0, nil, &PeerError{Code: CloseViolation, Reason: fmt.Sprintf("a frame of %d bytes, at most %d are allowed", n, f.limit)}
	}
	if kind, err = f.r.ReadByte(); err != nil {
		return 0, nil, unexpected(err)
	}
	body, err = f.readFull(buf[:0], int(n)-1)
	f.longest = max(f.longest, len(body))
	return kind, body, err
}

// readFull appends n bytes to buf.
func (f *frameReader) readFull(buf []byte, n int) ([]byte, error) {
	chunk := max(256<<10, f.longest)
	for n > 0 {
		k := min(n, chunk+len(buf)) // what is declared may be twice what has come
		if cap(buf)-len(buf) < k {
			grown := make([]byte, len(buf), len(buf)+k)
			copy(grown, buf)
			buf = grown
		}
		part := buf[len(buf) : len(buf)+k]
		if err := f.fill(part); err != nil {
			return nil, unexpected(err)
		}
		buf = buf[:len(buf)+k]
		n -= k
	}
	return buf, nil
}

// fill reads p: what was read ahead, and then from where it arrives.
func (f *frameReader) fill(p []byte) error {
	if ahead := min(f.r.Buffered(), len(p)); f.filler != nil && len(p)-ahead >= f.r.Size() {
		if _, err := io.ReadFull(f.r, p[:ahead]); err != nil {
			return err
		}
		return f.filler.Fill(p[ahead:])
	}
	_, err := io.ReadFull(f.r, p)
	return err
}

// unexpected is the error of a stream that ended inside a frame. A connection that was lost ends no
// stream in order.
func unexpected(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &PeerError{Code: CloseViolation, Reason: "a stream ended inside a frame", Err: io.ErrUnexpectedEOF}
	}
	return err
}
