package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// LoadIdentity reads an identity that [Identity.Save] or another CA's tool wrote: identityFile
// holds the certificate, any intermediate ones, and the private key, in PEM, and is readable by
// its owner only, or is root's and readable by a group; caFile holds the CA
// certificates to trust, more than one while a CA is being replaced. It fails if the certificate is not valid now.
//
// The identity follows its files. When either is replaced, handshakes that begin a second later or more
// use what it holds then, on listeners that are already open too; connections that are up stay. A file that cannot be
// used, because it is broken, missing, expired or of another node, leaves what it held before in use and is looked
// at again; [Identity.OnReload] tells why. Files are looked at only when there is a handshake, in that handshake's goroutine,
// and at most once a second, however many there are. Replace them by renaming, as Save does: a handshake
// that meets a half-written one reports it.
func LoadIdentity(identityFile, caFile string) (*Identity, error) {
	f := &files{identity: newWatched(identityFile), roots: newWatched(caFile)}
	certificate, err := readPair(identityFile)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(caFile)
	if err != nil {
		return nil, err
	}
	id, err := newValid(certificate, roots, identityFile)
	if err != nil {
		return nil, err
	}
	id.files = f
	return id, nil
}

// newValid makes an identity of what a file holds, which has to be valid now.
func newValid(certificate tls.Certificate, roots []*x509.Certificate, path string) (*Identity, error) {
	id, err := NewIdentity(certificate, roots...)
	if err == nil {
		err = id.validAt(time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return id, nil
}

// readPair reads a certificate and its private key.
func readPair(path string) (tls.Certificate, error) {
	data, err := readPrivate(path, true)
	if errors.Is(err, os.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("certs: no identity at %s: issue one with `verbose certs issue`: %w", path, err)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certs: %s must hold a certificate and the private key that belongs to it, in PEM: %w", path, err)
	}
	return pair, nil
}

// readRoots reads the CA certificates to trust.
func readRoots(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: no CA certificate at %s: copy ca.pem from the directory of `verbose certs init`: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	roots, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("certs: %s: %w", path, err)
	}
	for _, root := range roots {
		if !root.IsCA {
			return nil, fmt.Errorf("certs: %s: %q is not a CA certificate: name the CA's file here, not a node's", path, root.Subject.CommonName)
		}
	}
	return roots, nil
}
