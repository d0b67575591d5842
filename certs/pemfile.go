package certs

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY" // PKCS #8 (RFC 5958)
)

func encodeCertificates(der ...[]byte) []byte {
	var data []byte
	for _, certificate := range der {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: certificate})...)
	}
	return data
}

func encodeKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certs: this kind of private key cannot be written to a file: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// parseCertificates returns the certificates of a PEM file and skips what else is in it.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != certificateBlock {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("no PEM certificate in it")
	}
	return certificates, nil
}

// readPrivate reads a file with a private key, and refuses one that others can
// read, but for a group, if that may: its key may be known to anybody.
func readPrivate(path string, group bool) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	if tooOpen(info, group) {
		return nil, fmt.Errorf("certs: %s holds a private key and others can read it (mode %#o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return data, nil
}

// createFile writes a new file: all of it, or none.
func createFile(path string, data []byte, mode os.FileMode) error {
	draft, err := writeDraft(path, data, mode, nil)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	err = os.Link(draft, path) // which replaces nothing
	if err != nil && !errors.Is(err, os.ErrExist) {
		err = moveNew(draft, path)
	}
	if errors.Is(err, os.ErrExist) {
		return existsError(path)
	}
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}

// moveNew moves a file to where none may be, on file systems without hard links: an empty file
// takes the name first.
func moveNew(from, to string) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = file.Close(); err == nil {
		err = os.Rename(from, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// replaceFile writes a file that only its owner can read beside path, and moves it there. The owner
// stays who it was, and of a link what it leads to is replaced: that is what a node reads.
func replaceFile(path string, data []byte) error {
	path, old, err := replaced(path)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	draft, err := writeDraft(path, data, 0o600, old)
	if err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return errors.Join(fmt.Errorf("certs: %w", err), os.Remove(draft))
	}
	return nil
}

// replaced is the file behind path; old is nil if there is none yet.
func replaced(path string) (file string, old os.FileInfo, err error) {
	old, err = os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, nil, nil
	}
	if err == nil && old.Mode()&os.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			old, err = os.Lstat(path)
		}
	}
	return path, old, err
}

// writeDraft writes a file beside path, to be moved there, and leaves none behind if it fails. Its owner is that of
// the old one, if there is one to be replaced.
func writeDraft(path string, data []byte, mode os.FileMode, old os.FileInfo) (draft string, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("certs: %s is a directory: name a file in it", path)
	}
	draft = path + ".new-" + rand.Text()
	file, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if beside, ok := errors.AsType[*os.PathError](err); ok {
		return "", fmt.Errorf("certs: %s can't be written: its directory has to be there and writable: %w", path, beside.Err)
	}
	if err != nil {
		return "", fmt.Errorf("certs: %w", err)
	}
	if err := fill(file, data, old); err != nil {
		return "", errors.Join(err, os.Remove(draft))
	}
	return draft, nil
}

// fill writes data to the disk and closes the file, so that a crash after it
// leaves no empty file under a final name.
func fill(file *os.File, data []byte, old os.FileInfo) error {
	_, err := file.Write(data)
	if err == nil && old != nil {
		err = inherit(file, old)
	}
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}

func existsError(path string) error {
	return fmt.Errorf("certs: %s exists and is not overwritten: choose another, or remove it first: %w", path, os.ErrExist)
}
