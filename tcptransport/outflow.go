package tcptransport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

const (
	urgencies      = 8 // RFC 9218 section 4.1
	defaultUrgency = 3

	// smallSize is how many bytes a stream keeps for its writer, so that small
	// writes need not wait and leave together.
	smallSize = 16 << 10
)

type small [smallSize]byte

var smalls = sync.Pool{New: func() any { return new(small) }}

// outflow is the sending half of a stream. Its fields are guarded by writer.mu.
type outflow struct {
	wake signal // for the application's writer

	small   *small // nil while nothing is in it
	r, w    int    // what is in it
	direct  []byte // of a Write that waits, after what is in small
	window  int64  // the bytes that the peer allows
	urgency uint8
	ready   bool // in writer.ready

	fin, finSent bool
	err          error // why nothing more is sent
	deadline     time.Time

	noted   bool // in writer.notes
	grant   uint32
	resets  bool
	resetBy bus.CloseCode
}

var (
	errWriteClosed = fmt.Errorf("tcptransport: write after CloseWrite: %w", net.ErrClosed)
	errTwoWrites   = errors.New("tcptransport: a stream has one writer at a time")
)

func newOutflow() outflow {
	return outflow{wake: newSignal(), window: firstWindow, urgency: defaultUrgency}
}

func (o *outflow) pending() int { return o.w - o.r + len(o.direct) }

// sendable reports whether there is a frame to send.
func (o *outflow) sendable() bool {
	if o.err != nil {
		return false
	}
	if o.pending() > 0 {
		return o.window > 0
	}
	return o.fin && !o.finSent
}

// store keeps a small write. It reports false if there is no room.
func (o *outflow) store(p []byte) bool {
	if o.w+len(p) > smallSize {
		return false
	}
	if o.small == nil {
		o.small = smalls.Get().(*small)
	}
	o.w += copy(o.small[o.w:], p)
	return true
}

// appendNext appends the next n pending bytes to b.
func (o *outflow) appendNext(b []byte, n int) []byte {
	o.window -= int64(n)
	if o.small != nil {
		m := min(n, o.w-o.r)
		b = append(b, o.small[o.r:o.r+m]...)
		n -= m
		if o.r += m; o.r == o.w {
			o.discardSmall()
		}
	}
	if n > 0 {
		b = append(b, o.direct[:n]...)
		if o.direct = o.direct[n:]; len(o.direct) <= smallSize {
			o.keepRest()
		}
	}
	return b
}

// keepRest has a Write return that only a small rest is left of. What it writes next leaves together with that.
func (o *outflow) keepRest() {
	if len(o.direct) > 0 {
		o.store(o.direct)
		o.direct = o.direct[:0]
	}
	o.wake.notify()
}

func (o *outflow) discardSmall() {
	if o.small != nil {
		smalls.Put(o.small)
	}
	o.small, o.r, o.w = nil, 0, 0
}

// fail ends the half.
func (o *outflow) fail(err error) {
	if o.err == nil {
		o.err = err
	}
	o.discardSmall()
	o.wake.notify()
}

// writable returns why a Write cannot go on, if it cannot.
func (o *outflow) writable() error {
	switch {
	case o.err != nil:
		return o.err
	case o.fin:
		return errWriteClosed
	case expired(o.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}
