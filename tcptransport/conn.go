package tcptransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
	"github.com/verbose-bus/verbose/certs"
)

const (
	// maxStreams is how many streams a peer may have open: its control stream, 64 lanes, and
	// some that are not yet gone.
	maxStreams = 80

	// lingerTimeout is how long an ended connection may take to tell its peer why.
	lingerTimeout = time.Second
)

// Conn is one connection: TLS 1.3 over one TCP socket. All methods may be called concurrently.
//
// It has two goroutines, one that reads and one that writes, which end with it. What a sink leaves to be done may keep one; then another reads.
type Conn struct {
	peer     uuid.UUID
	identity *certs.Identity // may be nil in tests of the frames alone
	socket   socket
	timeout  time.Duration
	began    time.Time
	lastRead atomic.Int64 // since began, in nanoseconds
	watch    *time.Timer  // looks for silence
	ctx      context.Context
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when both goroutines have ended
	ended    func()        // called before
	writing  sync.WaitGroup
	reader   reader
	writer   writer
	rtt      roundTrip
	growth   budget // of the streams' windows

	mu          sync.Mutex
	cause       error                // of the end; nil before
	live        map[*Stream]struct{} // all of them
	named       map[uint32]*Stream   // those that have an id
	ours        int                  // of live, those opened here
	theirs      int                  // those the peer opened; more than in live until it is told of the room
	slots       int                  // streams that the peer allows beyond those opened so far
	opened      int                  // here, ever
	peerNext    uint32               // id of the next stream that the peer opens
	arrived     []*Stream            // and nobody accepted yet
	lingering   bool
	writeErr    error
	slot, offer signal // a stream may be opened; one has arrived
}

var _ bus.Conn = (*Conn)(nil)

// newConn makes a connection on a socket whose handshake is done. Nothing runs before start.
func newConn(s socket, peer uuid.UUID, identity *certs.Identity, dialled bool, timeout time.Duration) *Conn {
	c := &Conn{peer: peer, identity: identity, socket: s, timeout: timeout, began: time.Now(),
		done: make(chan struct{}), live: make(map[*Stream]struct{}), named: make(map[uint32]*Stream),
		slots: maxStreams, slot: newSignal(), offer: newSignal()}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.reader.conn = c
	c.writer.conn, c.writer.wake = c, newSignal()
	s.wire.kept = c.writer.wake.notify
	c.writer.nextID, c.peerNext = 1, 2
	if !dialled {
		c.writer.nextID, c.peerNext = 2, 1
	}
	c.growth.left.Store(growthBudget)
	return c
}

// start runs the connection. ended is called when nothing of it is left.
func (c *Conn) start(ended func()) {
	c.mu.Lock()
	c.watch = time.AfterFunc(c.timeout/2, c.lookForSilence)
	c.mu.Unlock()
	c.writer.sendPing()
	c.ended = ended
	c.writing.Go(c.writer.run)
	c.readOn()
}

// readOn begins a goroutine that reads. The one that ends the connection closes done, which Transport.Close waits for.
func (c *Conn) readOn() {
	go func() {
		err := c.reader.run(c.readOn)
		if err == errReadOn {
			return
		}
		defer close(c.done)
		defer c.ended()
		c.finish(c.explain(err))
		c.socket.wire.Close()
		c.writing.Wait()
	}()
}

// finish ends the connection, whose reader has ended.
func (c *Conn) finish(err error) {
	closed, ok := errors.AsType[*bus.PeerError](err)
	if ok && !closed.Remote {
		c.end(err, appendClose(nil, closed.Code, closed.Reason))
	} else {
		c.end(err, nil)
	}
	c.mu.Lock()
	lingering := c.lingering
	c.mu.Unlock()
	if !lingering {
		return
	}
	// A socket that is closed while bytes are unread resets the connection, and the
	// farewell may be lost on the way. So the peer closes first, or time is up.
	buf := make([]byte, 4<<10)
	for {
		if _, err := c.socket.secure.Read(buf); err != nil {
			return
		}
	}
}

// explain says why reading failed.
func (c *Conn) explain(err error) error {
	c.mu.Lock()
	if c.writeErr != nil && isTimeout(err) {
		err = c.writeErr
	}
	c.mu.Unlock()
	err = refusal.Explain(translate(err), c.identity)
	if closed, ok := err.(*bus.PeerError); ok {
		closed.Peer = c.peer
	}
	return err
}

// writeFailed takes note that the socket takes no more. What it still has to read may say why.
func (c *Conn) writeFailed(err error) {
	c.mu.Lock()
	c.writeErr = err
	c.mu.Unlock()
	c.socket.wire.SetReadDeadline(time.Now().Add(lingerTimeout))
}

// end ends the connection and all its streams; the first cause counts. With a
// farewell, the socket lives on until the peer knows or lingerTimeout is over.
func (c *Conn) end(cause error, farewell []byte) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	streams := c.live
	c.cause, c.live, c.named, c.arrived = cause, nil, nil, nil
	c.lingering = farewell != nil
	c.mu.Unlock()

	if c.watch != nil {
		c.watch.Stop()
	}
	c.cancel(cause)
	if farewell == nil {
		c.socket.wire.Close()
	} else {
		c.socket.wire.SetDeadline(time.Now().Add(lingerTimeout))
	}
	c.writer.end(cause, farewell)
	for s := range streams {
		s.fail(cause)
	}
}

// heard takes note of a sign of life.
func (c *Conn) heard() { c.lastRead.Store(int64(time.Since(c.began))) }

// lookForSilence pings a peer that was silent for half the timeout, and gives up one that was for all of it.
func (c *Conn) lookForSilence() {
	silence := time.Since(c.began) - time.Duration(c.lastRead.Load())
	if silence >= c.timeout {
		c.close(&bus.PeerError{Code: bus.CloseTimeout, Peer: c.peer, Err: errSilent})
		return
	}
	next := c.timeout/2 - silence
	if next <= 0 {
		c.writer.sendPing()
		next = c.timeout - silence
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.watch.Reset(next)
	}
}

// close ends the connection for a reason of ours.
func (c *Conn) close(why *bus.PeerError) {
	c.end(why, appendClose(nil, why.Code, why.Reason))
}

// CloseWithCode ends the connection at once on this side, and has the peer told for up to a
// second. The reason is cut to 256 bytes.
func (c *Conn) CloseWithCode(code bus.CloseCode, reason string) error {
	c.close(&bus.PeerError{Code: code, Peer: c.peer, Reason: refusal.Reason(reason), Err: net.ErrClosed})
	return nil
}

// OpenStream opens a stream. It waits while the peer has 80 streams of ours open.
func (c *Conn) OpenStream(ctx context.Context) (bus.Stream, error) {
	for {
		if s, err := c.tryOpen(); err != nil {
			return nil, err
		} else if s != nil {
			return s, nil
		}
		select {
		case <-c.slot:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
	}
}

// tryOpen returns nil while no more streams are allowed.
func (c *Conn) tryOpen() (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return nil, c.cause
	case c.opened == 1<<31-2:
		return nil, fmt.Errorf("tcptransport: the connection has no stream numbers left: %w", net.ErrClosed)
	case c.slots == 0 || c.ours == maxStreams:
		return nil, nil
	}
	c.slots--
	c.opened++
	c.ours++
	s := newStream(c, true)
	c.live[s] = struct{}{}
	c.slot.notify() // there may be more of both, slots and goroutines that wait
	return s, nil
}

// AcceptStream returns the next stream the peer opened.
func (c *Conn) AcceptStream(ctx context.Context) (bus.Stream, error) {
	for {
		c.mu.Lock()
		if c.cause != nil {
			c.mu.Unlock()
			return nil, c.cause
		}
		if len(c.arrived) > 0 {
			s := c.arrived[0]
			c.arrived = c.arrived[1:]
			c.offer.notify()
			c.mu.Unlock()
			return s, nil
		}
		c.mu.Unlock()
		select {
		case <-c.offer:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
	}
}

// Peer is the id in the peer's certificate.
func (c *Conn) Peer() uuid.UUID { return c.peer }

// LocalAddr is the socket's address.
func (c *Conn) LocalAddr() net.Addr { return c.socket.wire.LocalAddr() }

// RemoteAddr is the address of the peer's socket.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.wire.RemoteAddr() }

// RTT is the smoothed round-trip time: of the handshake, and later of pings.
func (c *Conn) RTT() time.Duration { return c.rtt.mean() }

// Context is done when the connection is gone; its cause says why.
func (c *Conn) Context() context.Context { return c.ctx }
