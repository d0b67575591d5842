package tcptransport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// TLS alerts by which a side refuses the other (RFC 8446 section 6.2, RFC 7301).
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
)

// refusals are the alerts that have a close code, by their texts: the type that crypto/tls
// returns them in is its own.
var refusals = refusalTexts(map[bus.CloseCode][]uint8{
	bus.CloseUntrusted: {alertBadCertificate, alertUnsupported, alertRevoked, alertExpired, alertCertificateUnknown,
		alertUnknownCA, alertAccessDenied, alertCertificateRequired},
	bus.CloseVersion: {alertNoALPN, alertProtocolVersion},
})

func refusalTexts(alerts map[bus.CloseCode][]uint8) map[string]bus.CloseCode {
	texts := make(map[string]bus.CloseCode)
	for code, numbers := range alerts {
		for _, number := range numbers {
			texts[tls.AlertError(number).Error()] = code
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
	if trust, ok := errors.AsType[*certs.TrustError](err); ok {
		code := bus.CloseUntrusted
		if trust.Reason == certs.WrongID {
			code = bus.CloseWrongID
		}
		return &bus.PeerError{Code: code, Peer: trust.Peer, Reason: trust.Error(), Err: err}
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		text := alert.Err.Error()
		if code, ok := refusals[text]; ok {
			return &bus.PeerError{Code: code, Remote: true, Reason: text, Err: err}
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

// explain adds to a refusal by the peer what TLS does not tell the refused side: which
// certificate it is about.
func explain(err error, identity *certs.Identity) error {
	refusal, ok := err.(*bus.PeerError)
	if !ok || !refusal.Remote || refusal.Code != bus.CloseUntrusted || identity == nil {
		return err
	}
	if alert, ok := errors.AsType[*net.OpError](refusal.Err); ok && alert.Op == "remote error" {
		info := identity.Info()
		refusal.Reason = fmt.Sprintf("%s: this node's certificate is from CA %q and valid from %s to %s",
			refusal.Reason, info.Issuer, info.NotBefore.UTC().Format(time.RFC3339), info.NotAfter.UTC().Format(time.RFC3339))
	}
	return err
}

// printable makes a text that a peer chose fit for a log line: valid UTF-8, no control characters, at most 256 bytes.
func printable(text string) string {
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, strings.ToValidUTF8(text, ""))
}
