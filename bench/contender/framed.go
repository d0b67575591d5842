package contender

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
)

// bufferSize is that of the writer and of the reader of a framed stream, in bytes.
const bufferSize = 64 << 10

// framed is messages on a stream of bytes: four bytes with the length, big-endian, and then the payload.
type framed struct {
	io.Closer
	w       *bufio.Writer
	r       *bufio.Reader
	header  [4]byte // here, for what a reader is given may move to the heap
	payload []byte  // of the last message
}

// Framed sends messages on a stream of bytes, with as little as a program can get by with.
func Framed(stream io.ReadWriteCloser) Conn {
	return &framed{Closer: stream, w: bufio.NewWriterSize(stream, bufferSize), r: bufio.NewReaderSize(stream, bufferSize)}
}

func (f *framed) Send(payload []byte) error {
	header := binary.BigEndian.AppendUint32(f.w.AvailableBuffer(), uint32(len(payload)))
	if _, err := f.w.Write(header); err != nil {
		return err
	}
	_, err := f.w.Write(payload)
	return err
}

func (f *framed) Flush() error { return f.w.Flush() }

func (f *framed) Receive() (payload []byte, more bool, err error) {
	if _, err := io.ReadFull(f.r, f.header[:]); err != nil {
		return nil, false, err
	}
	n := int(binary.BigEndian.Uint32(f.header[:]))
	f.payload = slices.Grow(f.payload[:0], n)[:n]
	_, err = io.ReadFull(f.r, f.payload)
	return f.payload, f.r.Buffered() > 0, err
}
