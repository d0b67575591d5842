package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Info describes a certificate, for people.
type Info struct {
	File        string    // where it was read from, or ""
	ID          uuid.UUID // uuid.Nil for a CA
	Name        string
	Issuer      string // the issuing CA's name
	Fingerprint string // SHA-256 of the certificate (DER), in lower-case hex
	NotBefore   time.Time
	NotAfter    time.Time
	IsCA        bool
}

func newInfo(file string, certificate *x509.Certificate) Info {
	id, _ := nodeID(certificate) // a CA has none, and showing a foreign certificate must not fail
	return Info{
		File:        file,
		ID:          id,
		Name:        certificate.Subject.CommonName,
		Issuer:      certificate.Issuer.CommonName,
		Fingerprint: fmt.Sprintf("%x", sha256.Sum256(certificate.Raw)),
		NotBefore:   certificate.NotBefore,
		NotAfter:    certificate.NotAfter,
		IsCA:        certificate.IsCA,
	}
}

// Show describes the first certificate of a PEM file: a CA's or a node's. It
// reads no private key and does not check validity.
func Show(path string) (Info, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Info{}, fmt.Errorf("certs: %w", err)
	}
	certificates, err := parseCertificates(data)
	if err != nil {
		return Info{}, fmt.Errorf("certs: %s: %w", path, err)
	}
	return newInfo(path, certificates[0]), nil
}

// List describes a CA's directory: the CA first, then the identities that were stored, by file
// name. Files that cannot be read are left out and joined into the error, beside the rest.
func List(dir string) ([]Info, error) {
	ca, err := Show(filepath.Join(dir, caFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: no CA in %s: make one with `verbose certs init`: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	nodes := filepath.Join(dir, nodesDir)
	entries, err := os.ReadDir(nodes)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: %w", err)
	}
	infos := []Info{ca}
	var unreadable []error
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".pem" {
			continue
		}
		info, err := Show(filepath.Join(nodes, entry.Name()))
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		infos = append(infos, info)
	}
	return infos, errors.Join(unreadable...)
}
