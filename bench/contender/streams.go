package contender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Network makes the connections of an end. Close ends a waiting Accept, and comes after the connections were closed.
type Network interface {
	Listen(ctx context.Context) (addr string, err error)
	Accept(ctx context.Context) (Conn, error)
	Dial(ctx context.Context, addr string) (Conn, error)
	Sent() Traffic
	Close() error
}

// Conn carries messages, empty ones too, in order. Send and Flush belong to one goroutine and Receive to another; Close may
// be called at any time, and ends them.
type Conn interface {
	// Send may keep the message back until Flush.
	Send(payload []byte) error
	Flush() error
	// Receive returns a payload that is valid until the next call, and whether more has already arrived.
	Receive() (payload []byte, more bool, err error)
	Close() error
}

// streams is an end of connections that carry messages. The first message of one is empty, for a stream of QUIC is seen only
// once something was written.
type streams struct {
	config  Config
	network Network
	running sync.WaitGroup // the goroutines that accept and that read
	cancel  context.CancelFunc
	ctx     context.Context

	out     atomic.Pointer[[]Conn] // where Send sends; replaced under mu, never changed
	greeted chan struct{}          // one for each connection whose first message came

	mu     sync.Mutex
	conns  []Conn // all
	closed bool
}

// maxDialled is more ends than a benchmark has.
const maxDialled = 1 << 16

// NewStreams makes an end that sends each message on every connection of a network.
func NewStreams(c Config, n Network) End {
	e := &streams{config: c, network: n, greeted: make(chan struct{}, maxDialled)}
	e.out.Store(new([]Conn))
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

func (e *streams) Listen(ctx context.Context) (string, error) {
	addr, err := e.network.Listen(ctx)
	if err != nil {
		return "", err
	}
	e.running.Go(func() { // ends with Close, which waits for it
		for {
			conn, err := e.network.Accept(e.ctx)
			switch {
			case e.ctx.Err() != nil:
				if err == nil {
					conn.Close()
				}
				return
			case err == nil:
				e.add(conn, false)
			} // one that failed before it was up is no reason to accept no others
		}
	})
	return addr, nil
}

func (e *streams) Dial(ctx context.Context, addr string) error {
	conn, err := e.network.Dial(ctx, addr)
	if err != nil {
		return err
	}
	if !e.add(conn, true) {
		return errors.New("closed")
	}
	if err := conn.Send(nil); err != nil {
		return err
	}
	return conn.Flush()
}

// add takes on a connection and starts to read, unless the end is closed.
func (e *streams) add(conn Conn, dialled bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		conn.Close()
		return false
	}
	e.conns = append(e.conns, conn)
	if dialled || !e.config.Relay {
		out := append(slices.Clip(*e.out.Load()), conn)
		e.out.Store(&out)
	}
	e.running.Go(func() { e.read(conn) }) // ends with Close, which waits for it
	return true
}

// read hands on messages until the connection ends.
func (e *streams) read(conn Conn) {
	for {
		payload, more, err := conn.Receive()
		if err != nil {
			if e.ctx.Err() == nil {
				e.config.tell(Notice{Text: "the connection ended: " + err.Error()})
			}
			return
		}
		switch {
		case len(payload) == 0:
			e.greeted <- struct{}{}
		case e.config.Relay:
			if err := e.relay(payload, more); err != nil {
				return
			}
		case e.config.Pattern != "":
			e.config.Receive(payload)
		}
	}
}

// relay keeps messages back while more have already arrived.
func (e *streams) relay(payload []byte, more bool) error {
	err := e.Send(payload)
	if err == nil && !more {
		err = e.Flush()
	}
	return err
}

func (e *streams) Ready(ctx context.Context, dialled int) error {
	for i := range dialled {
		select {
		case <-e.greeted:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d connections: %w", i, dialled, ctx.Err())
		}
	}
	return nil
}

func (e *streams) Send(payload []byte) error {
	for _, conn := range *e.out.Load() {
		if err := conn.Send(payload); err != nil {
			return err
		}
	}
	return nil
}

func (e *streams) Flush() error {
	for _, conn := range *e.out.Load() {
		if err := conn.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (e *streams) Sent() Traffic { return e.network.Sent() }

func (e *streams) Close() error {
	e.mu.Lock()
	e.closed = true
	conns := e.conns
	e.mu.Unlock()
	e.cancel()
	for _, conn := range conns {
		conn.Close()
	}
	err := e.network.Close()
	e.running.Wait()
	return err
}
