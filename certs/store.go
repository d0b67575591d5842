package certs

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The files of a CA's directory.
const (
	caFile   = "ca.pem" // the certificate: public
	keyFile  = "ca.key" // its private key: the owner's only
	nodesDir = "nodes"  // the identities that were stored: the owner's only
)

// InitCA makes a CA and writes it to a directory, made if need be: ca.pem, to be copied to every
// node, and ca.key, which must stay here. It never overwrites: a directory with either file is refused.
func InitCA(dir, name string, options ...Option) (*CA, error) {
	ca, err := NewCA(name, options...)
	if err != nil {
		return nil, err
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	keyPath, certPath := filepath.Join(dir, keyFile), filepath.Join(dir, caFile)
	if _, err := os.Lstat(certPath); err == nil {
		return nil, existsError(certPath)
	}
	if err := createFile(keyPath, key, 0o600); err != nil {
		return nil, err
	}
	if err := createFile(certPath, encodeCertificates(ca.certificate.Raw), 0o644); err != nil {
		return nil, errors.Join(err, os.Remove(keyPath))
	}
	ca.dir = dir
	return ca, nil
}

// LoadCA reads a CA that [InitCA] wrote. It fails if the CA is not valid now.
func LoadCA(dir string) (*CA, error) {
	ca, err := readCA(dir)
	if err != nil {
		return nil, err
	}
	if err := validAt(ca.certificate, time.Now()); err != nil {
		return nil, fmt.Errorf("certs: CA %q in %s %w", ca.certificate.Subject.CommonName, dir, err)
	}
	return ca, nil
}

func readCA(dir string) (*CA, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, caFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: no CA in %s: make one with `verbose certs init`: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	keyPath := filepath.Join(dir, keyFile)
	key, err := readPrivate(keyPath, false)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("certs: %s is missing: identities are issued where the CA was made: %w", keyPath, err)
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certs: the CA's key does not fit its certificate in %s: %w", dir, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("certs: %s is not a CA's certificate", filepath.Join(dir, caFile))
	}
	return &CA{certificate: pair.Leaf, key: signer, dir: dir}, nil
}

// Development returns the CA for trying things out on one machine, made on first use: every
// process of the user that asks gets the same one. An empty dir stands for verbose/dev-ca
// in [os.UserConfigDir]. Whoever can read the directory can join every node that uses it.
func Development(dir string) (*CA, error) {
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("certs: no directory for the development CA: %w", err)
		}
		dir = filepath.Join(base, "verbose", "dev-ca")
	}
	if ca, err := LoadCA(dir); !errors.Is(err, os.ErrNotExist) {
		return ca, err
	}
	if err := makeDevelopment(dir); err != nil {
		return nil, err
	}
	return LoadCA(dir)
}

// makeDevelopment makes the CA beside dir and moves it there whole, so that
// of several processes exactly one succeeds and none sees half a CA.
func makeDevelopment(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		if dir, err = filepath.EvalSymlinks(dir); err != nil { // a link stays one, also while it leads nowhere
			return fmt.Errorf("certs: %w", err)
		}
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	draft, err := os.MkdirTemp(parent, filepath.Base(dir)+".new-*")
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	defer os.RemoveAll(draft)
	if _, err := InitCA(draft, "verbose development"); err != nil {
		return err
	}
	// Not every system renames onto an empty directory; one with a CA in it stays.
	os.Remove(dir)
	if err := os.Rename(draft, dir); err != nil {
		if _, statErr := os.Stat(filepath.Join(dir, caFile)); statErr == nil {
			return nil // another process was first
		}
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}

// Store writes an identity into the CA's directory, as nodes/<name>.pem with the name or else the id, and returns
// the path. It never overwrites: see [CA.Renew] for that.
func (ca *CA) Store(id *Identity) (string, error) {
	if ca.dir == "" {
		return "", errors.New("certs: this CA has no directory: use Identity.SaveNew")
	}
	dir := filepath.Join(ca.dir, nodesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("certs: %w", err)
	}
	if err := checkName(id.Name()); err != nil {
		return "", err // another CA's certificate may have a name unfit for a file
	}
	path := filepath.Join(dir, id.Name()+".pem")
	err := id.SaveNew(path)
	if errors.Is(err, os.ErrExist) {
		return "", storedError(path)
	}
	if err != nil {
		return "", err
	}
	return path, nil
}

// storedError says what can be done about a file that has a node's name already.
func storedError(path string) error {
	if data, err := os.ReadFile(path); err == nil {
		if _, err := tls.X509KeyPair(data, data); err != nil {
			return fmt.Errorf("certs: %s exists and is not overwritten, but holds no certificate with its private key: delete it, or choose another name: %w", path, os.ErrExist)
		}
	}
	return fmt.Errorf("certs: %s exists and is not overwritten: choose another name, or renew it with `verbose certs renew`: %w", path, os.ErrExist)
}
