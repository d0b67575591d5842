package demo

import (
	"bufio"
	"context"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// plainChain is what many programs do instead: each hop is one stream of lines, over the transport that the same link
// of verbose's has; when writing fails, it connects again and goes on with the next line. Nothing else is held against it: lines that come
// while there is no connection wait, and each hop keeps its order.
type plainChain struct {
	cutters [hops]*cutter
	wire    wire
	lines   [hops]chan []byte // what each hop is to write
	sinks   []*plainSink
	cancel  context.CancelFunc
	hops    sync.WaitGroup
	sent    uint64

	mu       sync.Mutex
	received [][]byte
}

// redial is how long a hop waits between attempts to connect.
const redial = 20 * time.Millisecond

// plainQueue is more lines than there are: nothing is lost for want of room.
const plainQueue = 1 << 14

func newPlainChain(ctx context.Context, ca *certs.CA) (*plainChain, error) {
	c := &plainChain{}
	ctx, c.cancel = context.WithCancel(ctx)
	for i := range hops {
		c.lines[i] = make(chan []byte, plainQueue)
	}
	for i := range hops {
		pass := c.arrive
		if i+1 < hops {
			next := c.lines[i+1]
			pass = func(line []byte) { next <- line }
		}
		sink, err := newPlainSink(ctx, ca, &c.wire, schemes[i], pass)
		if err != nil {
			c.close()
			return nil, err
		}
		c.sinks = append(c.sinks, sink)
		identity, err := issue(ca, "")
		if err != nil {
			c.close()
			return nil, err
		}
		c.cutters[i] = newCutter(c.wire.transport(schemes[i], identity), nil)
		c.hops.Add(1)
		go c.run(ctx, i, sink) // ends when its lines do, or with ctx; close waits for it
	}
	return c, nil
}

func (c *plainChain) emit(line []byte) {
	c.sent += uint64(len(line))
	c.lines[0] <- line
}

func (c *plainChain) arrive(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, line)
}

// run writes the lines of one hop.
func (c *plainChain) run(ctx context.Context, hop int, sink *plainSink) {
	defer c.hops.Done()
	stream := c.connect(ctx, hop, sink)
	for line, ok := c.next(ctx, hop); ok; line, ok = c.next(ctx, hop) {
		for stream == nil && ctx.Err() == nil {
			stream = c.connect(ctx, hop, sink)
		}
		if ctx.Err() != nil {
			return
		}
		if _, err := stream.Write(append(line[:len(line):len(line)], '\n')); err != nil {
			stream = nil // and on with the next line
		}
	}
	c.end(ctx, hop, sink, stream)
	if hop+1 < hops {
		close(c.lines[hop+1])
	}
}

// next is the next line of a hop; ok is false after the last, or when ctx ends.
func (c *plainChain) next(ctx context.Context, hop int) (line []byte, ok bool) {
	select {
	case line, ok = <-c.lines[hop]:
		return line, ok
	case <-ctx.Done():
		return nil, false
	}
}

// end waits until the other side has read everything that got through.
func (c *plainChain) end(ctx context.Context, hop int, sink *plainSink, stream bus.Stream) {
	for ctx.Err() == nil {
		if stream == nil {
			stream = c.connect(ctx, hop, sink)
			continue
		}
		if err := stream.CloseWrite(); err == nil {
			if _, err = stream.Read(make([]byte, 1)); err == io.EOF {
				break
			}
		}
		stream = nil
	}
	sink.close()
}

func (c *plainChain) connect(ctx context.Context, hop int, sink *plainSink) bus.Stream {
	conn, err := c.cutters[hop].Dial(ctx, sink.listener.Addr().String(), uuid.Nil)
	if err == nil {
		var s bus.Stream
		if s, err = conn.OpenStream(ctx); err == nil {
			c.cutters[hop].isUp()
			return s
		}
	}
	timer := time.NewTimer(redial)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// finish waits until everything that got through has arrived.
func (c *plainChain) finish(ctx context.Context) {
	close(c.lines[0])
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	c.hops.Wait()
}

func (c *plainChain) side(lines [][]byte) Side {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Side{Counts: compare(lines, c.received), WireBytes: c.wire.bytes.Load(), Payload: c.sent}
	for _, cutter := range c.cutters {
		cutter.addTo(&s)
	}
	return s
}

func (c *plainChain) close() {
	c.cancel()
	c.hops.Wait()
	for i := range c.cutters {
		if c.cutters[i] != nil {
			c.cutters[i].Close()
		}
	}
	for _, sink := range c.sinks {
		sink.close()
	}
}

// plainSink accepts connections and passes on the lines it reads.
type plainSink struct {
	transport bus.Transport
	listener  bus.Listener
	pass      func(line []byte)
	readers   sync.WaitGroup
	closing   sync.Once
}

func newPlainSink(ctx context.Context, ca *certs.CA, w *wire, scheme string, pass func([]byte)) (*plainSink, error) {
	identity, err := issue(ca, "")
	if err != nil {
		return nil, err
	}
	s := &plainSink{transport: w.transport(scheme, identity), pass: pass}
	if s.listener, err = s.transport.Listen(ctx, "127.0.0.1:0"); err != nil {
		s.transport.Close()
		return nil, err
	}
	s.readers.Go(func() { s.accept(ctx) })
	return s, nil
}

func (s *plainSink) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept(ctx)
		if err != nil {
			return
		}
		s.read(ctx, conn)
	}
}

// read passes on the whole lines of a connection. What is cut off in the middle is no line.
func (s *plainSink) read(ctx context.Context, conn bus.Conn) {
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return
	}
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			stream.CloseWrite() // tells the writer that everything was read
			return
		}
		s.pass(line[:len(line)-1])
	}
}

func (s *plainSink) close() {
	s.closing.Do(func() {
		s.listener.Close()
		s.transport.Close()
		s.readers.Wait()
	})
}
