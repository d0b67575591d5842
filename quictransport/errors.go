package quictransport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/refusal"
)

// cryptoErrors is where QUIC's transport error codes have the TLS alerts (RFC 9001 section 4.8).
const cryptoErrors = 0x100

// translate turns the errors of quic-go into the bus's. An error that ends a connection
// and has a close code becomes a *bus.PeerError; io.EOF, deadlines and contexts pass unchanged.
func translate(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if refused, ok := refusal.Here(err); ok {
		return refused
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok {
		code := bus.CloseCode(min(e.ErrorCode, math.MaxUint32))
		return &bus.PeerError{Code: code, Remote: e.Remote, Reason: refusal.Reason(e.ErrorMessage), Err: err}
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok {
		return translateTransportError(e)
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return &bus.PeerError{Code: bus.CloseTimeout, Err: err}
	}
	if _, ok := errors.AsType[*quic.VersionNegotiationError](err); ok {
		return &bus.PeerError{Code: bus.CloseVersion, Reason: "no QUIC version in common", Err: err}
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return fmt.Errorf("quictransport: the peer restarted and no longer knows this connection: %w", err)
	}
	if e, ok := errors.AsType[*quic.StreamError](err); ok {
		return translateStreamError(e)
	}
	if errors.Is(err, quic.ErrTransportClosed) {
		return &socketError{err}
	}
	if errors.Is(err, quic.ErrStreamClosed) {
		return fmt.Errorf("quictransport: write after CloseWrite: %w", net.ErrClosed)
	}
	return err
}

// socketError is the failure of a socket. quic-go's error for it is both the cause and net.ErrClosed, which here is an end that
// this side wanted. A socket that is closed by the transport has no connections left to tell.
type socketError struct{ err error }

func (e *socketError) Error() string { return "quictransport: the socket failed: " + e.err.Error() }

func (e *socketError) Is(target error) bool {
	return target != net.ErrClosed && errors.Is(e.err, target)
}

func (e *socketError) As(target any) bool { return errors.As(e.err, target) }

// translateTransportError finds the refusals among the errors of QUIC and TLS. The
// rest, such as a refusal because a node is busy or closing, has no close code: trying again may do.
func translateTransportError(e *quic.TransportError) error {
	if e.ErrorCode >= cryptoErrors && e.ErrorCode <= cryptoErrors+math.MaxUint8 {
		alert := uint8(e.ErrorCode - cryptoErrors)
		if code, ok := refusal.CodeOf(alert); ok {
			return refusal.ByAlert(code, e.Remote, tls.AlertError(alert).Error(), e)
		}
	}
	if e.ErrorCode == quic.ConnectionRefused {
		return fmt.Errorf("quictransport: the node accepts no connection at the moment: %w", e)
	}
	return fmt.Errorf("quictransport: %w", e)
}

// translateStreamError describes a reset. It is no *bus.PeerError, which would be the end of the connection.
func translateStreamError(e *quic.StreamError) error {
	code := bus.CloseCode(min(e.ErrorCode, math.MaxUint32))
	if e.Remote {
		return fmt.Errorf("quictransport: stream reset by the peer (%s): %w", code, e)
	}
	return fmt.Errorf("quictransport: stream reset here (%s): %w", code, net.ErrClosed)
}
