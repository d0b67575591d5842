package quictransport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// TLS alerts by which a side refuses the other (RFC 8446 section 6.2, RFC 7301). QUIC carries them
// as transport error codes 0x100 + alert (RFC 9001 section 4.8).
const (
	alertBadCertificate      = 42
	alertUnsupported         = 43
	alertRevoked             = 44
	alertExpired             = 45
	alertCertificateUnknown  = 46
	alertUnknownCA           = 48
	alertAccessDenied        = 49
	alertProtocolVersion     = 70
	alertCertificateRequired = 116
	alertNoALPN              = 120

	cryptoErrors = 0x100
)

// translate turns the errors of quic-go into the bus's. An error that ends a connection
// and has a close code becomes a *bus.PeerError; io.EOF, deadlines and contexts pass unchanged.
func translate(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if trust, ok := errors.AsType[*certs.TrustError](err); ok {
		code := bus.CloseUntrusted
		if trust.Reason == certs.WrongID {
			code = bus.CloseWrongID
		}
		return &bus.PeerError{Code: code, Peer: trust.Peer, Reason: trust.Error(), Err: err}
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok {
		code := bus.CloseCode(min(e.ErrorCode, math.MaxUint32))
		return &bus.PeerError{Code: code, Remote: e.Remote, Reason: printable(e.ErrorMessage), Err: err}
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
	if errors.Is(err, quic.ErrStreamClosed) {
		return fmt.Errorf("quictransport: write after CloseWrite: %w", net.ErrClosed)
	}
	return err
}

// translateTransportError finds the refusals among the errors of QUIC and TLS. The
// rest, such as a refusal because a node is busy or closing, has no close code: trying again may do.
func translateTransportError(e *quic.TransportError) error {
	if e.ErrorCode >= cryptoErrors && e.ErrorCode <= cryptoErrors+math.MaxUint8 {
		alert := uint8(e.ErrorCode - cryptoErrors)
		text := tls.AlertError(alert).Error()
		switch alert {
		case alertBadCertificate, alertUnsupported, alertRevoked, alertExpired, alertCertificateUnknown,
			alertUnknownCA, alertAccessDenied, alertCertificateRequired:
			return &bus.PeerError{Code: bus.CloseUntrusted, Remote: e.Remote, Reason: text, Err: e}
		case alertNoALPN, alertProtocolVersion:
			return &bus.PeerError{Code: bus.CloseVersion, Remote: e.Remote, Reason: text, Err: e}
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

// explain adds to a refusal by the peer what TLS does not tell the refused side: which
// certificate it is about.
func explain(err error, identity *certs.Identity) error {
	refusal, ok := err.(*bus.PeerError)
	if !ok || !refusal.Remote || refusal.Code != bus.CloseUntrusted {
		return err
	}
	if _, alert := refusal.Err.(*quic.TransportError); alert {
		info := identity.Info()
		refusal.Reason = fmt.Sprintf("%s: this node's certificate is from CA %q and valid from %s to %s",
			refusal.Reason, info.Issuer, info.NotBefore.UTC().Format(time.RFC3339), info.NotAfter.UTC().Format(time.RFC3339))
	}
	return err
}

// printable makes a text that a peer chose fit for a log line: valid UTF-8, no control characters, at most 256 bytes.
func printable(text string) string {
	const limit = 256
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, strings.ToValidUTF8(text, ""))
}
