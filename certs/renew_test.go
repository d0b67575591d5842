package certs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestRenew(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	end := now.Add(48 * time.Hour).Truncate(time.Second)
	ca, err := InitCA(dir, "test", Valid(now.Add(-3*time.Hour), end))
	if err != nil {
		t.Fatal(err)
	}
	expired := issue(t, ca, "n", Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
	path, err := ca.Store(expired)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	renewed, err := ca.Renew(path)
	if err != nil {
		t.Fatal(err)
	}
	if renewed.ID() != expired.ID() || renewed.Name() != "n" || !renewed.Info().NotAfter.Equal(end) {
		t.Errorf("renewed %+v, want the id and name of %+v, and the end of the CA", renewed.Info(), expired.Info())
	}
	a, _ := expired.DeriveKey("x")
	if b, err := renewed.DeriveKey("x"); err != nil || a != b {
		t.Errorf("another private key (%v)", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
	if got := handshake(renewed, issue(t, ca, "peer"), uuid.Nil); got.client != nil || got.server != nil {
		t.Errorf("%+v", got)
	}
	if short, err := ca.Renew(path, Valid(now, now.Add(time.Hour))); err != nil || short.Info().NotAfter.After(now.Add(time.Hour)) {
		t.Errorf("renewed until %v, %v; want an hour", short.Info().NotAfter, err)
	}
}

func TestRenewErrors(t *testing.T) {
	dir := t.TempDir()
	ca, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	path, err := ca.Store(issue(t, ca, "n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = newCA(t, "test").Renew(path) // another one of the same name
	wantError(t, err, path, "was issued by CA", "renew it where it was issued")
	_, err = ca.Renew(filepath.Join(dir, "ca.pem"))
	wantError(t, err, "private key")
	_, err = ca.Renew(filepath.Join(dir, "none.pem"))
	wantError(t, err, "none.pem", "verbose certs issue")
}
