package tcptransport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

// refusals are the alerts that have a close code, by their texts: the type that crypto/tls
// returns them in is its own.
var refusals = refusalTexts()

func refusalTexts() map[string]bus.CloseCode {
	texts := make(map[string]bus.CloseCode)
	for alert := range uint8(math.MaxUint8) {
		if code, ok := refusal.CodeOf(alert); ok {
			texts[tls.AlertError(alert).Error()] = code
		}
	}
	return texts
}

var (
	errClosed     = fmt.Errorf("tcptransport: closed: %w", net.ErrClosed)
	errPeerClosed = fmt.Errorf("tcptransport: closed by the peer: %w", net.ErrClosed)
	errViolation  = errors.New("tcptransport: the peer broke the rules of the frames")
	errSilent     = errors.New("tcptransport: the peer is silent")
)

// translate turns the errors of crypto/tls and of sockets into the bus's. An error that ends a connection
// and has a close code becomes a *bus.PeerError.
func translate(err error) error {
	if _, ok := errors.AsType[*bus.PeerError](err); ok {
		return err
	}
	if refused, ok := refusal.Here(err); ok {
		return refused
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		text := alert.Err.Error()
		if code, ok := refusals[text]; ok {
			return refusal.ByAlert(code, true, text, err)
		}
		return fmt.Errorf("tcptransport: %w", err)
	}
	if garbage, ok := errors.AsType[tls.RecordHeaderError](err); ok && garbage.Conn != nil {
		return &bus.PeerError{Code: bus.CloseViolation, Reason: "the peer does not speak TLS", Err: err}
	}
	if isTimeout(err) {
		return &bus.PeerError{Code: bus.CloseTimeout, Err: err}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // of the connection, which would look like the end of a stream
	}
	return fmt.Errorf("tcptransport: connection lost: %w", err)
}

// isTimeout reports whether a deadline is over, or the system has given the peer up.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
