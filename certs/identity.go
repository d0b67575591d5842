package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
)

// Identity is what a node proves who it is with, and whom it trusts: a
// certificate, its private key, and the CAs whose nodes are let in.
type Identity struct {
	id          uuid.UUID
	certificate tls.Certificate // Leaf is set
	roots       []*x509.Certificate
	pool        *x509.CertPool
}

// NewIdentity makes an identity of a certificate from any CA: its leaf must
// carry one urn:uuid: URI SAN. At least one root is required.
func NewIdentity(certificate tls.Certificate, roots ...*x509.Certificate) (*Identity, error) {
	if len(certificate.Certificate) == 0 || certificate.PrivateKey == nil {
		return nil, errors.New("certs: a certificate and its private key are required")
	}
	if len(roots) == 0 {
		return nil, errors.New("certs: a CA certificate to trust is required")
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("certs: certificate: %w", err)
	}
	id, err := nodeID(leaf)
	if err != nil {
		return nil, fmt.Errorf("certs: certificate %q: %w", leaf.Subject.CommonName, err)
	}
	certificate.Leaf = leaf
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	return &Identity{id: id, certificate: certificate, roots: roots, pool: pool}, nil
}

// LoadIdentity reads an identity that [Identity.Save] or another CA's tool wrote: identityFile
// holds the certificate, any intermediate ones, and the private key, in PEM, and is readable by
// its owner only; caFile holds the CA certificates to trust, more than one while a CA is being
// replaced. It fails if the certificate is not valid now.
func LoadIdentity(identityFile, caFile string) (*Identity, error) {
	data, err := readPrivate(identityFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: no identity at %s: issue one with `verbose certs issue`: %w", identityFile, err)
	}
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("certs: %s must hold a certificate and the private key that belongs to it, in PEM: %w", identityFile, err)
	}
	roots, err := loadRoots(caFile)
	if err != nil {
		return nil, err
	}
	id, err := NewIdentity(certificate, roots...)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, identityFile)
	}
	if err := id.validAt(time.Now()); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, identityFile)
	}
	return id, nil
}

func loadRoots(caFile string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(caFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: no CA certificate at %s: copy ca.pem from the directory of `verbose certs init`: %w", caFile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	roots, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("certs: %s: %w", caFile, err)
	}
	for _, root := range roots {
		if !root.IsCA {
			return nil, fmt.Errorf("certs: %s: %q is not a CA certificate: name the CA's file here, not a node's", caFile, root.Subject.CommonName)
		}
	}
	return roots, nil
}

// ID is the node id in the certificate.
func (id *Identity) ID() uuid.UUID { return id.id }

// Name is the certificate's common name: the name it was issued for, or the id.
func (id *Identity) Name() string { return id.certificate.Leaf.Subject.CommonName }

// Certificate is the certificate and its private key. The caller must not
// change what it points to.
func (id *Identity) Certificate() tls.Certificate { return id.certificate }

// Info describes the certificate.
func (id *Identity) Info() Info { return newInfo("", id.certificate.Leaf) }

// Save writes certificate and private key to path, readable by its owner only. It replaces
// an older file in one step: a reader sees either all of the old or all of the new.
func (id *Identity) Save(path string) error {
	data, err := id.encode()
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

func (id *Identity) encode() ([]byte, error) {
	key, err := encodeKey(id.certificate.PrivateKey)
	if err != nil {
		return nil, err
	}
	return append(encodeCertificates(id.certificate.Certificate...), key...), nil
}

// DeriveKey returns a 32-byte secret for one purpose. It is the same for the
// same private key and purpose, on every run, and tells nothing of the private key (HKDF, RFC 5869, with SHA-256).
func (id *Identity) DeriveKey(purpose string) ([32]byte, error) {
	var key [32]byte
	secret, err := x509.MarshalPKCS8PrivateKey(id.certificate.PrivateKey)
	if err != nil {
		return key, fmt.Errorf("certs: a key cannot be derived from this kind of private key: %w", err)
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, "verbose "+purpose, len(key))
	if err != nil {
		return key, fmt.Errorf("certs: %w", err)
	}
	copy(key[:], derived)
	return key, nil
}

func (id *Identity) validAt(now time.Time) error {
	if err := validAt(id.certificate.Leaf, now); err != nil {
		return fmt.Errorf("certs: certificate %q %w", id.Name(), err)
	}
	return nil
}

// validAt explains why a certificate is not valid at a time; the text continues the certificate's name.
func validAt(certificate *x509.Certificate, now time.Time) error {
	switch {
	case now.After(certificate.NotAfter):
		return fmt.Errorf("expired at %s: issue it anew", stamp(certificate.NotAfter))
	case now.Before(certificate.NotBefore):
		return fmt.Errorf("is not valid before %s: set the clock, or issue it anew", stamp(certificate.NotBefore))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
