package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/certs"
)

// TestKeptIdentity holds that the key that is kept for an --id is used as long as peers can let it in, and that it is
// not thrown away for a reason that passes.
func TestKeptIdentity(t *testing.T) {
	hour := time.Hour
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, dir, path string, ca *certs.CA, id uuid.UUID)
		sameKey bool
		said    string
		wantErr string
	}{
		{name: "good", sameKey: true},
		{name: "expired", sameKey: true, spoil: func(t *testing.T, _, path string, ca *certs.CA, _ uuid.UUID) {
			save(t, path)(ca.Renew(path, certs.Valid(time.Now().Add(-2*hour), time.Now().Add(-hour))))
		}},
		{name: "missing", spoil: func(t *testing.T, _, path string, _ *certs.CA, _ uuid.UUID) { remove(t, path) }},
		{name: "of a CA that is gone", said: "issued anew", spoil: func(t *testing.T, dir, _ string, _ *certs.CA, _ uuid.UUID) {
			remove(t, filepath.Join(dir, "ca.pem"))
			remove(t, filepath.Join(dir, "ca.key"))
			if _, err := certs.InitCA(dir, "test"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "readable by others", sameKey: true, wantErr: "chmod 600", spoil: func(t *testing.T, _, path string, _ *certs.CA, _ uuid.UUID) {
			if runtime.GOOS == "windows" {
				t.Skip("no permission bits")
			}
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "not valid yet", sameKey: true, wantErr: "set the clock", spoil: func(t *testing.T, _, path string, ca *certs.CA, _ uuid.UUID) {
			save(t, path)(ca.Renew(path, certs.Valid(time.Now().Add(hour), time.Now().Add(2*hour))))
		}},
		{name: "broken", wantErr: "must hold a certificate", spoil: func(t *testing.T, _, path string, _ *certs.CA, _ uuid.UUID) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "of another node", wantErr: "and not of", spoil: func(t *testing.T, _, path string, ca *certs.CA, _ uuid.UUID) {
			save(t, path)(ca.Issue(uuid.Nil, "other"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, id := t.TempDir(), uuid.New()
			ca, err := certs.InitCA(dir, "test")
			if err != nil {
				t.Fatal(err)
			}
			flags := nodeFlags{Dir: dir, ID: id.String()}
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			first, err := flags.identity(logger)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "nodes", id.String()+".pem")
			key := keyIn(t, path)
			if test.spoil != nil {
				test.spoil(t, dir, path, ca, id)
			}
			spoiled, _ := os.ReadFile(path)
			got, err := flags.identity(logger)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want one with %q", err, test.wantErr)
				}
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, spoiled) {
					t.Errorf("the file was changed (%v)", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ID() != first.ID() || (keyIn(t, path) == key) != test.sameKey {
				t.Errorf("node %s with another key: %t; want node %s, and %t", got.ID(), keyIn(t, path) != key, first.ID(), !test.sameKey)
			}
			root, err := certs.LoadCA(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Certificate().Leaf.CheckSignatureFrom(root.Certificate()); err != nil || got.Info().NotAfter.Before(time.Now()) {
				t.Errorf("nobody lets it in: valid until %s, %v", got.Info().NotAfter, err)
			}
			if !strings.Contains(log.String(), test.said) || test.said == "" && log.Len() > 0 {
				t.Errorf("it said %q, want %q", &log, test.said)
			}
		})
	}
}

// save takes what Issue and Renew return.
func save(t *testing.T, path string) func(*certs.Identity, error) {
	return func(id *certs.Identity, err error) {
		t.Helper()
		if err == nil {
			err = id.Save(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// keyIn is the private key in an identity's file.
func keyIn(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(data), "PRIVATE KEY")
	return key
}
