package certs

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// maxName is the longest common name X.509 allows (RFC 5280, ub-common-name).
const maxName = 64

// CA issues identities. Every node that trusts it lets in every node it issued
// an identity for.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
	dir         string // "" if the CA is in memory only
}

// NewCA makes a CA in memory: for tests, and for programs that keep its key elsewhere.
func NewCA(name string, options ...Option) (*CA, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("certs: a CA needs a name")
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	w := newWindow(caValidity, options)
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             w.notBefore,
		NotAfter:              w.notAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it issues nodes, and no further CA
	}
	certificate, err := sign(template, template, public, key)
	if err != nil {
		return nil, err
	}
	return &CA{certificate: certificate, key: key}, nil
}

// Issue makes a key and a certificate for a node. [uuid.Nil] stands for a random id; the name is
// for people, may be empty, and is up to 64 letters, digits, spaces, dots, hyphens and underscores.
// Without [Valid] the certificate ends with the CA's at the latest.
// Nothing is written: see [CA.Store] and [Identity.SaveNew].
func (ca *CA) Issue(id uuid.UUID, name string, options ...Option) (*Identity, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if id == uuid.Nil {
		random, err := uuid.NewRandom()
		if err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		}
		id = random
	}
	if name == "" {
		name = id.String()
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return ca.issue(id, name, key, options)
}

// Renew issues the identity in a file of [Identity.Save] anew, be it expired or not: with the same id, name and private key, and
// valid as [CA.Issue] makes it. It fails if another CA issued it. Nothing is written: see [Identity.Save].
func (ca *CA) Renew(identityFile string, options ...Option) (*Identity, error) {
	pair, err := readPair(identityFile)
	if err != nil {
		return nil, err
	}
	old, err := NewIdentity(pair, ca.certificate)
	if err == nil {
		err = checkName(old.Name()) // another tool may have written it
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, identityFile)
	}
	leaf := old.leaf()
	if err := leaf.CheckSignatureFrom(ca.certificate); err != nil {
		return nil, fmt.Errorf("certs: %s was issued by CA %s, and this is CA %s: renew it where it was issued, or issue it anew from this CA",
			identityFile, authority(leaf.Issuer.CommonName, leaf.AuthorityKeyId), authority(ca.certificate.Subject.CommonName, ca.certificate.SubjectKeyId))
	}
	return ca.issue(old.id, old.Name(), pair.PrivateKey.(crypto.Signer), options) // tls.X509KeyPair takes no other keys
}

// issue makes the certificate of a checked id and name.
func (ca *CA) issue(id uuid.UUID, name string, key crypto.Signer, options []Option) (*Identity, error) {
	w := newWindow(leafValidity, options)
	if len(options) == 0 && w.notAfter.After(ca.certificate.NotAfter) {
		w.notAfter = ca.certificate.NotAfter
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		URIs:      []*url.URL{{Scheme: "urn", Opaque: "uuid:" + id.String()}},
		NotBefore: w.notBefore,
		NotAfter:  w.notAfter,
		KeyUsage:  x509.KeyUsageDigitalSignature,
		// Every node both dials and listens.
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		// crypto/x509 leaves it out where a node's name is its CA's.
		AuthorityKeyId: ca.certificate.SubjectKeyId,
	}
	leaf, err := sign(template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return NewIdentity(tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, ca.certificate)
}

// Certificate is the CA's own certificate, for [NewIdentity]. The caller must not change it.
func (ca *CA) Certificate() *x509.Certificate { return ca.certificate }

// Info describes the CA's own certificate.
func (ca *CA) Info() Info { return newInfo("", ca.certificate) }

func sign(template, parent *x509.Certificate, public, key any) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return x509.ParseCertificate(der)
}

// checkName keeps names fit for a certificate, a log line and a file name.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("certs: name %q is %d bytes long: use at most %d", name, len(name), maxName)
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" ._-", r)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) || strings.HasPrefix(name, ".") || strings.TrimSpace(name) != name {
		return fmt.Errorf("certs: name %q: use letters, digits, inner spaces, hyphens, underscores and dots, and no dot first", name)
	}
	return nil
}
