package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Identity is what a node proves who it is with, and whom it trusts: a
// certificate, its private key, and the CAs whose nodes are let in. One that [LoadIdentity] read follows
// its files; its id alone is for good. All methods may be called concurrently.
type Identity struct {
	id    uuid.UUID
	inUse atomic.Pointer[credentials]
	files *files // nil if it is in memory only
}

// credentials are what handshakes are done with. They do not change: newer ones take their place.
type credentials struct {
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
	identity := &Identity{id: id}
	identity.inUse.Store(newCredentials(certificate, roots))
	return identity, nil
}

func newCredentials(certificate tls.Certificate, roots []*x509.Certificate) *credentials {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	return &credentials{certificate: certificate, roots: roots, pool: pool}
}

// ID is the node id in the certificate.
func (id *Identity) ID() uuid.UUID { return id.id }

// Name is the certificate's common name: the name it was issued for, or the id.
func (id *Identity) Name() string { return id.leaf().Subject.CommonName }

// Certificate is the certificate in use and its private key. The caller must not
// change what it points to.
func (id *Identity) Certificate() tls.Certificate { return id.inUse.Load().certificate }

// Info describes the certificate in use.
func (id *Identity) Info() Info { return newInfo("", id.leaf()) }

func (id *Identity) leaf() *x509.Certificate { return id.inUse.Load().certificate.Leaf }

// Save writes certificate and private key to path, readable by its owner only. It replaces
// an older file in one step: a reader sees either all of the old or all of the new. The new file has the old one's owner,
// who can then read the key; if path is a link, the file it leads to is replaced.
func (id *Identity) Save(path string) error {
	data, err := id.encode()
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// SaveNew is [Identity.Save] without replacing: it fails with [os.ErrExist] where there is a file already.
func (id *Identity) SaveNew(path string) error {
	data, err := id.encode()
	if err != nil {
		return err
	}
	return createFile(path, data, 0o600)
}

func (id *Identity) encode() ([]byte, error) {
	certificate := id.Certificate()
	key, err := encodeKey(certificate.PrivateKey)
	if err != nil {
		return nil, err
	}
	return append(encodeCertificates(certificate.Certificate...), key...), nil
}

// DeriveKey returns a 32-byte secret for one purpose. It is the same for the
// same private key and purpose, on every run, and tells nothing of the private key (HKDF, RFC 5869, with SHA-256).
func (id *Identity) DeriveKey(purpose string) ([32]byte, error) {
	var key [32]byte
	secret, err := x509.MarshalPKCS8PrivateKey(id.Certificate().PrivateKey)
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
	if err := validAt(id.leaf(), now); err != nil {
		return fmt.Errorf("certs: certificate %q %w", id.Name(), err)
	}
	return nil
}

// validAt explains why a certificate is not valid at a time; the text continues the certificate's name.
func validAt(certificate *x509.Certificate, now time.Time) error {
	renew, correct := "issue it anew with `verbose certs renew`", "set the clock, or issue it anew"
	if certificate.IsCA {
		renew, correct = "make a new CA with `verbose certs init`, and issue its nodes' certificates anew", "set the clock, or make a new CA"
	}
	switch {
	case now.After(certificate.NotAfter):
		return fmt.Errorf("expired at %s: %s", stamp(certificate.NotAfter), renew)
	case now.Before(certificate.NotBefore):
		return fmt.Errorf("is not valid before %s: %s", stamp(certificate.NotBefore), correct)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
