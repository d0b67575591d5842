package quictransport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

const (
	// retryFrom is how many unfinished handshakes there may be before further ones must
	// prove their address. Below it no round trip is spent.
	retryFrom = 32
	// maxHandshakes is how many unfinished handshakes there may be at all. A host whose address is proved may have
	// as many as places are free: half of them alone, and beside n others that want all they can get, one of n+2 parts. So
	// some are left for whoever comes next.
	maxHandshakes = 256
)

// admission watches the handshakes of one socket's listener: it bounds how many are unfinished, leaves
// room for other hosts, and logs the peers that were refused. A finished one counts until it is accepted.
//
// quic-go cannot be told to give up a handshake, so nobody is evicted: strangers that prove their address
// and then fall silent keep their places for 10 s, and for 20 s if they go on sending. In this time nodes at the
// same address as theirs can be refused; they try again. Strangers that cannot prove their address
// have no more than retryFrom places, and take from others only what the socket cannot read.
type admission struct {
	mu        sync.Mutex
	pending   int
	hosts     map[netip.Prefix]int // the pending ones whose address is proved
	refusals  *refusal.Log
	callbacks sync.WaitGroup // the watches of handshakes that may still run
}

// handshake is one entry of an admission. Its fields are guarded by admission.mu.
type handshake struct {
	counted bool
	proved  bool
	host    netip.Prefix
	unwatch func() bool
}

type handshakeKey struct{}

var errBusy = errors.New("quictransport: too many unfinished handshakes")

func newAdmission(logger *slog.Logger) *admission {
	return &admission{hosts: make(map[netip.Prefix]int), refusals: refusal.NewLog(logger, "quic")}
}

// verifySource decides whether a new peer must prove its address first.
func (a *admission) verifySource(net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending >= retryFrom
}

// connContext counts a handshake that begins, until it is accepted or ctx ends with the connection.
func (a *admission) connContext(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	h := &handshake{counted: true, proved: info.AddrVerified, host: hostOf(info.RemoteAddr)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hasRoom(h) {
		return nil, errBusy
	}
	a.pending++
	if h.proved {
		a.hosts[h.host]++
	}
	a.callbacks.Add(1)
	h.unwatch = context.AfterFunc(ctx, func() {
		defer a.callbacks.Done()
		if a.release(h) {
			a.refusals.Record(info.RemoteAddr, unfinished(context.Cause(ctx)))
		}
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// hasRoom reports whether a handshake may begin. The lock is held.
func (a *admission) hasRoom(h *handshake) bool {
	free := maxHandshakes - a.pending
	return free > 0 && (!h.proved || a.hosts[h.host] < free)
}

// hostOf is what one stranger has of the addresses: one of IPv4, a /64 of IPv6. An address of another kind is a host
// of its own, the zero Prefix.
func hostOf(addr net.Addr) netip.Prefix {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := udp.AddrPort().Addr().Unmap()
	host, _ := ip.WithZone("").Prefix(min(64, ip.BitLen()))
	return host
}

// unfinished is why a handshake did not come to its end.
func unfinished(cause error) error {
	if timeout, ok := errors.AsType[net.Error](cause); ok && timeout.Timeout() {
		return &bus.PeerError{Code: bus.CloseHelloTimeout, Reason: "no handshake in time", Err: cause}
	}
	return translate(cause)
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
	if h.proved {
		if a.hosts[h.host]--; a.hosts[h.host] == 0 {
			delete(a.hosts, h.host)
		}
	}
	return true
}

// wait returns when no watch runs any more. The socket's connections must be gone.
func (a *admission) wait() { a.callbacks.Wait() }
