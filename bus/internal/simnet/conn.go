package simnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Conn is one side of a connection. It implements [net.Conn], and has CloseWrite.
type Conn struct {
	host          *Host
	listener      *Listener // nil on the side that dialled
	local, remote netip.AddrPort

	// The network's lock guards the rest.
	isOpen                bool // both sides know of it
	knocked               time.Time
	closed                bool // by Close
	err                   error
	out                   sender
	in                    receiver
	readUntil, writeUntil time.Time
	changed               notice

	// The one timer: when to try again what was not answered.
	retryAt time.Time // zero: nothing to try
	pending time.Time // when the agenda will look at it; zero: it won't
	retries int
}

var _ net.Conn = (*Conn)(nil)

var (
	noDeadline time.Time

	errReset   error = syscall.ECONNRESET
	errRefused error = syscall.ECONNREFUSED
	errTimeout error = syscall.ETIMEDOUT
)

// newConn makes a connection that is not open yet. The lock is held.
func newConn(h *Host, local, remote netip.AddrPort) *Conn {
	c := &Conn{host: h, local: local, remote: remote}
	c.out.init()
	h.conns[c.key()] = c
	return c
}

func (c *Conn) key() connKey { return connKey{c.local.Port(), c.remote} }

// Dial connects to addr (host:port, the host an IP address), and waits until the peer has answered. Its signature is that
// of tcptransport.Config.Dial.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	remote, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	port := h.freePort(func(p uint16) bool { return h.conns[connKey{p, remote}] != nil || h.listeners[p] != nil })
	c := newConn(h, netip.AddrPortFrom(h.addr, port), remote)
	c.knock()
	defer context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		c.changed.tell()
	})()
	for c.err == nil && !c.isOpen && ctx.Err() == nil {
		n.wait(&c.changed, noDeadline)
	}
	if c.err == nil && ctx.Err() != nil {
		c.abort(context.Cause(ctx))
	}
	if c.err != nil {
		return nil, c.wrap("dial", c.err)
	}
	return c, nil
}

// knock sends what opens the connection: the dialler's request, or the listener's answer.
func (c *Conn) knock() {
	kind := segmentOpen
	if c.listener != nil {
		kind = segmentOpened
	}
	c.knocked = time.Now()
	c.send(&segment{kind: kind, limit: c.in.limit()})
	c.retryIn(time.Second << c.retries)
}

func (c *Conn) send(s *segment) {
	c.host.network.send(c.host, packet{from: c.local, to: c.remote, segment: s})
}

// receive takes a segment that has arrived.
func (c *Conn) receive(s *segment) {
	if s.kind == segmentReset {
		if err := errReset; c.isOpen || c.listener != nil {
			c.fail(err)
		} else {
			c.fail(errRefused)
		}
		return
	}
	if !c.open(s) {
		return
	}
	switch s.kind {
	case segmentOpen: // again: the answer was lost, or this is a copy
		c.send(&segment{kind: segmentOpened, limit: c.in.limit()})
	case segmentOpened:
		c.acknowledge(0)
	case segmentData:
		if c.closed && s.at+uint64(len(s.data)) > c.in.next {
			c.abort(errReset) // nobody will read it
			return
		}
		c.receiveData(s)
	case segmentAck:
		c.acknowledged(s)
	}
}

// open notes that the peer has shown that it knows of the connection. It reports false before that.
func (c *Conn) open(s *segment) bool {
	if c.isOpen || s.kind == segmentOpen {
		return c.isOpen
	}
	c.isOpen = true
	if c.retries == 0 {
		c.out.measure(time.Since(c.knocked))
	}
	c.retries, c.retryAt = 0, time.Time{}
	c.out.limit = max(c.out.limit, s.limit)
	if c.listener != nil {
		c.listener.opened(c)
	}
	c.changed.tell()
	return c.err == nil
}

// retryIn has the timer fire, unless it is set again before.
func (c *Conn) retryIn(d time.Duration) {
	c.retryAt = time.Now().Add(d)
	if c.pending.IsZero() || c.retryAt.Before(c.pending) {
		c.pending = c.retryAt
		c.host.network.at(c.pending, c.look)
	}
}

// look tries again if it is time, and otherwise looks again then.
func (c *Conn) look() {
	now := time.Now()
	if now.Before(c.pending) || c.err != nil {
		return
	}
	c.pending = time.Time{}
	switch {
	case c.retryAt.IsZero():
	case now.Before(c.retryAt):
		c.retryIn(c.retryAt.Sub(now))
	default:
		c.retryAt = time.Time{}
		c.retry()
	}
}

const (
	maxKnocks  = 6
	maxRetries = 15 // net.ipv4.tcp_retries2
	maxOrphan  = 8  // the same after Close
)

func (c *Conn) retry() {
	c.retries++
	switch {
	case c.retries > maxRetries, c.closed && c.retries > maxOrphan, !c.isOpen && c.retries > maxKnocks:
		c.fail(errTimeout)
	case !c.isOpen:
		c.knock()
	default:
		c.out.giveUp()
		c.push()
	}
}

// fail ends the connection on this side.
func (c *Conn) fail(err error) {
	if c.err != nil {
		return
	}
	if c.listener != nil && !c.isOpen {
		c.listener.opening--
	}
	c.err = err
	c.in, c.out = receiver{}, sender{}
	delete(c.host.conns, c.key())
	c.changed.tell()
}

// abort ends the connection on both sides.
func (c *Conn) abort(err error) {
	c.send(&segment{kind: segmentReset})
	c.fail(err)
}

// Read returns what has arrived.
func (c *Conn) Read(p []byte) (int, error) {
	n := c.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.wrap("read", net.ErrClosed)
		case c.err != nil:
			return 0, c.wrap("read", c.err)
		case expired(c.readUntil):
			return 0, c.wrap("read", os.ErrDeadlineExceeded)
		case len(c.in.ready) > 0 || len(p) == 0:
			k, update := c.in.read(p)
			if update {
				c.acknowledge(0)
			}
			return k, nil
		case c.in.ended:
			return 0, io.EOF
		}
		n.wait(&c.changed, c.readUntil)
	}
}

// Write waits for room: for 64 KiB that were not sent, and 256 KiB in all.
func (c *Conn) Write(p []byte) (written int, err error) {
	n := c.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed || c.out.ending:
			return written, c.wrap("write", net.ErrClosed)
		case c.err != nil:
			return written, c.wrap("write", c.err)
		case expired(c.writeUntil):
			return written, c.wrap("write", os.ErrDeadlineExceeded)
		}
		k := c.out.store(p[written:])
		c.push()
		if written += k; written == len(p) {
			return written, nil
		}
		n.wait(&c.changed, c.writeUntil)
	}
}

// CloseWrite ends our direction: the peer reads io.EOF after the last byte.
func (c *Conn) CloseWrite() error {
	c.host.network.mu.Lock()
	defer c.host.network.mu.Unlock()
	if c.closed || c.err != nil {
		return c.wrap("close", net.ErrClosed)
	}
	c.finish()
	return nil
}

// finish puts the end after what was written.
func (c *Conn) finish() {
	if !c.out.ending {
		c.out.ending = true
		c.push()
	}
}

// Close ends both directions. What was written is still sent, but if something was not read the peer is reset, as the
// system does. Later calls do nothing.
func (c *Conn) Close() error {
	c.host.network.mu.Lock()
	defer c.host.network.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.changed.tell()
	switch {
	case c.err != nil:
	case len(c.in.ready) > 0:
		c.abort(errReset)
	default:
		c.finish()
		c.forget()
	}
	return nil
}

// forget drops a closed connection when the peer has everything.
func (c *Conn) forget() {
	if c.closed && c.out.empty() {
		c.fail(net.ErrClosed)
	}
}

func (c *Conn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// LocalAddr is the address the connection was made with; the host may have another now.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline is both of the others.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(func() { c.readUntil, c.writeUntil = t, t })
}

// SetReadDeadline may be called while Read waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(func() { c.readUntil = t })
}

// SetWriteDeadline may be called while Write waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(func() { c.writeUntil = t })
}

func (c *Conn) setDeadline(set func()) error {
	c.host.network.mu.Lock()
	defer c.host.network.mu.Unlock()
	if c.closed {
		return fmt.Errorf("simnet: %w", net.ErrClosed)
	}
	set()
	c.changed.tell()
	return nil
}
