package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Reason is why a peer is not trusted.
type Reason int

// The reasons, in the order they are looked for.
const (
	NoCertificate Reason = iota + 1 // the peer sent none
	NoID                            // its certificate has no node id, or more than one
	Untrusted                       // no CA trusted here issued it, or it is not fit for this use
	Expired                         // its certificate, or the CA's, was valid earlier
	NotYetValid                     // its certificate, or the CA's, will be valid later
	WrongID                         // it is another node than the one that was expected
)

// TrustError is a peer that was refused. Its text says what to do about it.
type TrustError struct {
	Reason Reason
	Peer   uuid.UUID // the id the peer's certificate claims, proved only with WrongID; uuid.Nil if there is none
	Err    error     // of crypto/x509, if any
	text   string
}

func (e *TrustError) Error() string { return e.text }

// Unwrap returns the error of crypto/x509, if any.
func (e *TrustError) Unwrap() error { return e.Err }

// PeerID is the node id in the peer's certificate. It is proved if the
// connection's handshake was done with [Identity.ServerTLS] or [Identity.ClientTLS].
func PeerID(state tls.ConnectionState) (uuid.UUID, error) {
	if len(state.PeerCertificates) == 0 {
		return uuid.Nil, &TrustError{Reason: NoCertificate, text: "the peer sent no certificate: give it an identity"}
	}
	leaf := state.PeerCertificates[0]
	id, err := nodeID(leaf)
	if err != nil {
		return uuid.Nil, &TrustError{Reason: NoID, Err: err, text: fmt.Sprintf("the peer's certificate %q: %v", leaf.Subject.CommonName, err)}
	}
	return id, nil
}

// nodeID returns the certificate's one urn:uuid: URI SAN (RFC 9562 section 4).
// With two, nodes could disagree on who the peer is.
func nodeID(certificate *x509.Certificate) (uuid.UUID, error) {
	const scheme = "urn:uuid:"
	found := uuid.Nil
	for _, uri := range certificate.URIs {
		text := uri.String()
		if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
			continue
		}
		id, err := uuid.Parse(text[len(scheme):])
		switch {
		case err != nil || id == uuid.Nil || len(text) != len(scheme)+36:
			return uuid.Nil, fmt.Errorf("%q is no node id: issue it anew with `verbose certs issue`", text)
		case found != uuid.Nil:
			return uuid.Nil, errors.New("it has more than one node id: issue it anew with `verbose certs issue`")
		}
		found = id
	}
	if found == uuid.Nil {
		return uuid.Nil, errors.New("it has no node id (a URI urn:uuid:…): issue it with `verbose certs issue`")
	}
	return found, nil
}

// verify decides whether the peer of a finished handshake is let in.
func (c *credentials) verify(state tls.ConnectionState, usage x509.ExtKeyUsage, want uuid.UUID) error {
	peer, err := PeerID(state)
	if err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	leaf := state.PeerCertificates[0]
	now := time.Now()
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots:         c.pool,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}); err != nil {
		return c.explain(peer, leaf, now, err)
	}
	if want != uuid.Nil && peer != want {
		return &TrustError{Reason: WrongID, Peer: peer,
			text: fmt.Sprintf("node %s answers where %s was expected: correct the address or the expected id", peer, want)}
	}
	return nil
}

// explain turns what crypto/x509 says into what to do.
func (c *credentials) explain(peer uuid.UUID, leaf *x509.Certificate, now time.Time, err error) *TrustError {
	refused := &TrustError{Reason: Untrusted, Peer: peer, Err: err}
	subject := fmt.Sprintf("the certificate of node %s (%q)", peer, leaf.Subject.CommonName)
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		refused.Reason = Expired
		if now.Before(invalid.Cert.NotBefore) {
			refused.Reason = NotYetValid
		}
		if invalid.Cert.IsCA {
			subject = fmt.Sprintf("the CA %q of node %s", invalid.Cert.Subject.CommonName, peer)
		}
		refused.text = fmt.Sprintf("%s %v", subject, validAt(invalid.Cert, now))
	case errors.As(err, new(x509.UnknownAuthorityError)):
		var trusted []string
		for _, root := range c.roots {
			trusted = append(trusted, authority(root.Subject.CommonName, root.SubjectKeyId))
		}
		refused.text = fmt.Sprintf("%s was issued by CA %s, trusted here is %s: issue both nodes' certificates from one CA",
			subject, authority(leaf.Issuer.CommonName, leaf.AuthorityKeyId), strings.Join(trusted, ", "))
	default:
		refused.text = fmt.Sprintf("%s is not fit for a node: %v: issue it with `verbose certs issue`", subject, err)
	}
	return refused
}

// authority names a CA. CAs of one name, such as two machines' development CAs, differ by their keys.
func authority(name string, keyID []byte) string {
	return fmt.Sprintf("%q (key %x)", name, keyID[:min(len(keyID), 6)])
}
