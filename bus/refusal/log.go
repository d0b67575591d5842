package refusal

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// Log logs refused peers: one line a second at most, with the number of those left out since the last, because
// a stranger decides how often this happens. It may be used concurrently.
type Log struct {
	logger    *slog.Logger // may be nil
	transport string

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// NewLog returns the log of a transport, which is named in each line. A nil logger logs nothing.
func NewLog(logger *slog.Logger, transport string) *Log {
	return &Log{logger: logger, transport: transport}
}

// Record logs the end of a handshake if a side refused the other or did not get to its end in time, as its *[bus.PeerError]
// says. Those that went away or were cancelled are not worth a line: a port scan is one.
func (l *Log) Record(peer net.Addr, cause error) {
	if l.logger == nil {
		return
	}
	refusal, ok := errors.AsType[*bus.PeerError](cause)
	if !ok {
		return
	}
	switch refusal.Code {
	case bus.CloseUntrusted, bus.CloseWrongID, bus.CloseVersion, bus.CloseViolation, bus.CloseHelloTimeout:
	default:
		return
	}
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.last) < time.Second {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	suppressed := l.suppressed
	l.last, l.suppressed = now, 0
	l.mu.Unlock()
	l.logger.Warn("connection refused", "transport", l.transport, "remote", peer.String(),
		"code", refusal.Code.String(), "error", refusal.Error(), "suppressed", suppressed)
}
