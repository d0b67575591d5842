package quictransport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/internal/refusal"
)

const (
	// retryFrom is how many unfinished handshakes there may be before further ones must
	// prove their address. Below it no round trip is spent.
	retryFrom = 32
	// maxHandshakes is how many unfinished handshakes there may be at all.
	maxHandshakes = 256
)

// admission watches the handshakes of one socket's listener: it bounds how many are unfinished,
// and logs the peers that were refused. A finished one counts until it is accepted.
type admission struct {
	mu        sync.Mutex
	pending   int
	refusals  *refusal.Log
	callbacks sync.WaitGroup // the watches of handshakes that may still run
}

// handshake is one entry of an admission. Its fields are guarded by admission.mu.
type handshake struct {
	counted bool
	unwatch func() bool
}

type handshakeKey struct{}

var errBusy = errors.New("quictransport: too many unfinished handshakes")

func newAdmission(logger *slog.Logger) *admission {
	return &admission{refusals: refusal.NewLog(logger, "quic")}
}

// verifySource decides whether a new peer must prove its address first.
func (a *admission) verifySource(net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending >= retryFrom
}

// connContext counts a handshake that begins, until it is accepted or ctx ends with the connection.
func (a *admission) connContext(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending >= maxHandshakes {
		return nil, errBusy
	}
	a.pending++
	a.callbacks.Add(1)
	h := &handshake{counted: true}
	h.unwatch = context.AfterFunc(ctx, func() {
		defer a.callbacks.Done()
		if a.release(h) {
			a.refusals.Record(info.RemoteAddr, translate(context.Cause(ctx)))
		}
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// accepted ends the count of an accepted connection's handshake.
func (a *admission) accepted(q *quic.Conn) {
	h, ok := q.Context().Value(handshakeKey{}).(*handshake)
	if !ok {
		return
	}
	if a.release(h) && h.unwatch() {
		a.callbacks.Done()
	}
}

// release reports whether the handshake was still counted.
func (a *admission) release(h *handshake) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !h.counted {
		return false
	}
	h.counted = false
	a.pending--
	return true
}

// wait returns when no watch runs any more. The socket's connections must be gone.
func (a *admission) wait() { a.callbacks.Wait() }
