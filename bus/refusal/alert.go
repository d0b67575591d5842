package refusal

import (
	"errors"
	"fmt"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// codes are the TLS alerts by which a side refuses the other (RFC 8446 section 6.2, RFC 7301 section 3.2).
var codes = map[uint8]bus.CloseCode{
	42:  bus.CloseUntrusted, // bad_certificate
	43:  bus.CloseUntrusted, // unsupported_certificate
	44:  bus.CloseUntrusted, // certificate_revoked
	45:  bus.CloseUntrusted, // certificate_expired
	46:  bus.CloseUntrusted, // certificate_unknown
	48:  bus.CloseUntrusted, // unknown_ca
	49:  bus.CloseUntrusted, // access_denied
	70:  bus.CloseVersion,   // protocol_version
	116: bus.CloseUntrusted, // certificate_required
	120: bus.CloseVersion,   // no_application_protocol
}

// CodeOf returns the close code of a TLS alert; ok is false for one that is no refusal.
func CodeOf(alert uint8) (code bus.CloseCode, ok bool) {
	code, ok = codes[alert]
	return code, ok
}

// ByAlert is a refusal that was told by a TLS alert. The reason is the alert's text, err the transport's error.
func ByAlert(code bus.CloseCode, remote bool, text string, err error) *bus.PeerError {
	return &bus.PeerError{Code: code, Remote: remote, Reason: text, Err: alertError{err}}
}

// alertError marks what TLS said, and not a node.
type alertError struct{ error }

func (e alertError) Unwrap() error { return e.error }

// Here returns the refusal of a peer by this side, if err wraps a [*certs.TrustError].
func Here(err error) (refusal *bus.PeerError, ok bool) {
	trust, ok := errors.AsType[*certs.TrustError](err)
	if !ok {
		return nil, false
	}
	code := bus.CloseUntrusted
	if trust.Reason == certs.WrongID {
		code = bus.CloseWrongID
	}
	return &bus.PeerError{Code: code, Peer: trust.Peer, Reason: trust.Error(), Err: err}, true
}

// Explain adds to a refusal by the peer what a TLS alert does not tell the refused side: which certificate it
// is about, that of identity. Other errors it returns as they are.
func Explain(err error, identity *certs.Identity) error {
	refusal, ok := err.(*bus.PeerError)
	if !ok || !refusal.Remote || refusal.Code != bus.CloseUntrusted || identity == nil {
		return err
	}
	if _, ok := refusal.Err.(alertError); ok {
		info := identity.Info()
		refusal.Reason = fmt.Sprintf("%s: this node's certificate is from CA %q and valid from %s to %s", refusal.Reason,
			info.Issuer, info.NotBefore.UTC().Format(time.RFC3339), info.NotAfter.UTC().Format(time.RFC3339))
	}
	return err
}
