package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestInitCANeverOverwrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	ca, err := InitCA(dir, "first")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "ca.key", "ca.pem"} { // a whole CA, and one that lost a file
		if file != "" {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		if file == "ca.pem" { // only then is the directory empty
			if _, err := InitCA(dir, "second"); err != nil {
				t.Error(err)
			}
			continue
		}
		if _, err := InitCA(dir, "second"); !errors.Is(err, os.ErrExist) {
			t.Errorf("without %q: error %v, want os.ErrExist", file, err)
		}
	}
	if again, err := LoadCA(dir); err != nil || again.Info().Fingerprint == ca.Info().Fingerprint {
		t.Errorf("after all files were removed: %v, want another CA", err)
	}
}

func TestSaveNewNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	id := issue(t, newCA(t, "test"), "n")
	path := filepath.Join(dir, "n.pem")
	if err := id.SaveNew(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Show(path); err != nil || got.Fingerprint != id.Info().Fingerprint {
		t.Errorf("saved %+v, %v", got, err)
	}
	if err := issue(t, newCA(t, "test"), "n").SaveNew(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("saved twice: %v, want os.ErrExist", err)
	}
	if got, err := Show(path); err != nil || got.Fingerprint != id.Info().Fingerprint {
		t.Errorf("the file is now %+v, %v", got, err)
	}
	wantError(t, id.SaveNew(dir), dir, "is a directory")
	wantFiles(t, dir, "n.pem")
	if err := os.Symlink("nowhere.pem", filepath.Join(dir, "link.pem")); err != nil {
		t.Skip(err) // not every user of Windows may
	}
	if err := id.SaveNew(filepath.Join(dir, "link.pem")); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a link that leads nowhere: %v, want os.ErrExist", err)
	}
}

func TestLoadCA(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadCA(dir)
	wantError(t, err, "no CA in", "verbose certs init")
	made, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := LoadCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The loaded one issues what trusts the made one, and the reverse.
	if err := handshake(issue(t, ca, "a"), issue(t, made, "b"), uuid.Nil).server; err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	_, err = LoadCA(dir)
	wantError(t, err, "ca.key is missing")
}

func TestLoadExpiredCA(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if _, err := InitCA(dir, "old", Valid(now.Add(-2*time.Hour), now.Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	_, err := LoadCA(dir)
	wantError(t, err, "old", "expired at")
}

func TestStoreListShow(t *testing.T) {
	dir := t.TempDir()
	ca, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	b, a := issue(t, ca, "b"), issue(t, ca, "a")
	for _, id := range []*Identity{b, a} {
		path, err := ca.Store(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(path, filepath.Join(dir, "ca.pem")); err != nil {
			t.Error(err)
		}
	}
	if _, err := ca.Store(a); !errors.Is(err, os.ErrExist) {
		t.Errorf("stored twice: %v, want os.ErrExist", err)
	}
	if _, err := newCA(t, "memory").Store(a); err == nil {
		t.Error("a CA without a directory stored an identity")
	}

	infos, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 3 || !infos[0].IsCA || infos[0].ID != uuid.Nil || infos[1].ID != a.ID() || infos[2].ID != b.ID() {
		t.Fatalf("listed %+v, want the CA, a, b", infos)
	}
	if got := infos[1]; got.Name != "a" || got.Issuer != "test" || got.IsCA || len(got.Fingerprint) != 64 || got.File != filepath.Join(dir, "nodes", "a.pem") {
		t.Errorf("listed %+v", got)
	}
	if info, err := Show(infos[1].File); err != nil || info != infos[1] {
		t.Errorf("shown %+v, %v; listed %+v", info, err, infos[1])
	}

	if err := os.WriteFile(filepath.Join(dir, "nodes", "broken.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	infos, err = List(dir)
	wantError(t, err, "broken.pem")
	if len(infos) != 3 {
		t.Errorf("%d listed beside a broken file, want 3", len(infos))
	}
	_, err = List(t.TempDir())
	wantError(t, err, "verbose certs init")
}

// TestStoreBesideABrokenFile holds that what can't be renewed is not to be renewed.
func TestStoreBesideABrokenFile(t *testing.T) {
	ca, err := InitCA(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	a := issue(t, ca, "a")
	path, err := ca.Store(a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ca.Store(a)
	wantError(t, err, path, "exists and is not overwritten", "verbose certs renew")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err = ca.Store(a)
	wantError(t, err, path, "holds no certificate with its private key", "delete it")
	if !errors.Is(err, os.ErrExist) || strings.Contains(err.Error(), "renew") {
		t.Errorf("error %q, want os.ErrExist, and nothing about renewing", err)
	}
}

// TestDevelopmentRace holds that whoever asks first, all get one CA.
func TestDevelopmentRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "dev-ca")
	const askers = 8
	fingerprints := make([]string, askers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range askers {
		wg.Go(func() {
			<-start
			ca, err := Development(dir)
			if err != nil {
				t.Error(err)
				return
			}
			fingerprints[i] = ca.Info().Fingerprint
		})
	}
	close(start)
	wg.Wait()
	for _, fingerprint := range fingerprints {
		if fingerprint != fingerprints[0] {
			t.Fatalf("fingerprints %q differ", fingerprints)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
		t.Errorf("%v: drafts are left", entries)
	}
}

func TestDevelopmentEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := Development(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Development(dir)
	if err != nil || second.Info() != first.Info() {
		t.Errorf("second call: %v, %v; want the first one's CA", second, err)
	}
}

// TestDevelopmentBehindLink holds that the CA comes to where its directory really is.
func TestDevelopmentBehindLink(t *testing.T) {
	base := t.TempDir()
	real, link := filepath.Join(base, "real"), filepath.Join(base, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Skip(err) // not every user of Windows may
	}
	ca, err := Development(link)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := LoadCA(real); err != nil || there.Info().Fingerprint != ca.Info().Fingerprint {
		t.Errorf("behind the link: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is now %v, %v", info.Mode(), err)
	}
	wantFiles(t, base, "link", "real")
}
