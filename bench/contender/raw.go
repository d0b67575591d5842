package contender

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// bufferSize is that of the writer and of the reader of a baseline's stream, in bytes.
const bufferSize = 64 << 10

// rawEnd sends length-prefixed messages: four bytes, big-endian, and then the payload. The first message of a
// connection has no payload, for a stream of QUIC is seen only once something was written.
type rawEnd struct {
	config  Config
	network network
	running sync.WaitGroup // the goroutines that accept and that read
	cancel  context.CancelFunc
	ctx     context.Context

	out     atomic.Pointer[[]*rawStream] // where Send sends; replaced under mu, never changed
	greeted chan struct{}                // one for each connection whose first message came

	mu      sync.Mutex
	streams []*rawStream // all
	closed  bool
}

// network makes the streams of a baseline.
type network interface {
	listen(ctx context.Context) (addr string, err error)
	accept(ctx context.Context) (io.ReadWriteCloser, error)
	dial(ctx context.Context, addr string) (io.ReadWriteCloser, error)
	sent() Traffic
	close() error
}

type rawStream struct {
	io.Closer
	w *bufio.Writer
	r *bufio.Reader
}

// maxDialled is more ends than a benchmark has.
const maxDialled = 1 << 16

func newRawEnd(c Config) (*rawEnd, error) {
	e := &rawEnd{config: c, greeted: make(chan struct{}, maxDialled)}
	e.out.Store(new([]*rawStream))
	e.ctx, e.cancel = context.WithCancel(context.Background())
	var err error
	if e.network, err = newNetwork(c); err != nil {
		e.cancel()
		return nil, err
	}
	return e, nil
}

func (e *rawEnd) Listen(ctx context.Context) (string, error) {
	addr, err := e.network.listen(ctx)
	if err != nil {
		return "", err
	}
	e.running.Go(func() { // ends with Close, which waits for it
		for {
			conn, err := e.network.accept(e.ctx)
			if err != nil {
				return
			}
			e.add(conn, false)
		}
	})
	return addr, nil
}

func (e *rawEnd) Dial(ctx context.Context, addr string) error {
	conn, err := e.network.dial(ctx, addr)
	if err != nil {
		return err
	}
	s := e.add(conn, true)
	if s == nil {
		return errors.New("closed")
	}
	if err := s.write(nil); err != nil {
		return err
	}
	return s.w.Flush()
}

// add takes on a connection and starts to read. It returns nil if the end is closed.
func (e *rawEnd) add(conn io.ReadWriteCloser, dialled bool) *rawStream {
	s := &rawStream{conn, bufio.NewWriterSize(conn, bufferSize), bufio.NewReaderSize(conn, bufferSize)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		conn.Close()
		return nil
	}
	e.streams = append(e.streams, s)
	if dialled || !e.config.Relay {
		out := append(slices.Clip(*e.out.Load()), s)
		e.out.Store(&out)
	}
	e.running.Go(func() { e.read(s) }) // ends with Close, which waits for it
	return s
}

// read hands on messages until the connection ends.
func (e *rawEnd) read(s *rawStream) {
	var header [4]byte
	var payload []byte
	for {
		if _, err := io.ReadFull(s.r, header[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(header[:]))
		if n == 0 {
			e.greeted <- struct{}{}
			continue
		}
		payload = slices.Grow(payload[:0], n)[:n]
		if _, err := io.ReadFull(s.r, payload); err != nil {
			return
		}
		switch {
		case e.config.Relay:
			if err := e.relay(payload, s.r.Buffered() == 0); err != nil {
				return
			}
		case e.config.Pattern != "":
			e.config.Receive(payload)
		}
	}
}

// relay keeps messages back while more have already arrived.
func (e *rawEnd) relay(payload []byte, last bool) error {
	err := e.Send(payload)
	if err == nil && last {
		err = e.Flush()
	}
	return err
}

func (e *rawEnd) Ready(ctx context.Context, dialled int) error {
	for i := range dialled {
		select {
		case <-e.greeted:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d connections: %w", i, dialled, ctx.Err())
		}
	}
	return nil
}

func (e *rawEnd) Send(payload []byte) error {
	for _, s := range *e.out.Load() {
		if err := s.write(payload); err != nil {
			return err
		}
	}
	return nil
}

func (s *rawStream) write(payload []byte) error {
	header := binary.BigEndian.AppendUint32(s.w.AvailableBuffer(), uint32(len(payload)))
	if _, err := s.w.Write(header); err != nil {
		return err
	}
	_, err := s.w.Write(payload)
	return err
}

func (e *rawEnd) Flush() error {
	for _, s := range *e.out.Load() {
		if err := s.w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (e *rawEnd) Sent() Traffic { return e.network.sent() }

func (e *rawEnd) Close() error {
	e.mu.Lock()
	e.closed = true
	streams := e.streams
	e.mu.Unlock()
	e.cancel()
	for _, s := range streams {
		s.Close()
	}
	err := e.network.close()
	e.running.Wait()
	return err
}
