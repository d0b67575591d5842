package certs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCreateFileIsWhole holds that of several who create one file exactly one does, and that nobody reads
// a part of it, which is also what a crash could leave.
func TestCreateFileIsWhole(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<6)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("file-%02d", i))
		path := filepath.Join(dir, want[i])
		var created atomic.Int32
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				switch err := createFile(path, data, 0o600); {
				case err == nil:
					created.Add(1)
				case !errors.Is(err, os.ErrExist):
					t.Error(err)
				}
			})
		}
		got, err := os.ReadFile(path)
		for errors.Is(err, os.ErrNotExist) && !t.Failed() {
			got, err = os.ReadFile(path)
		}
		wg.Wait()
		if err != nil || !bytes.Equal(got, data) || created.Load() != 1 {
			t.Fatalf("%s: read %d bytes of %d (%v), and %d created it", path, len(got), len(data), err, created.Load())
		}
	}
	wantFiles(t, dir, want...)
}

// TestMoveNew is the way of file systems without hard links.
func TestMoveNew(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := moveNew(from, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("onto a file: %v, want os.ErrExist", err)
	}
	wantFiles(t, dir, "from", "to")
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	if err := moveNew(from, to); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != from {
		t.Errorf("moved %q, %v", got, err)
	}
	if err := moveNew(from, filepath.Join(dir, "other")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want os.ErrNotExist", err)
	}
	wantFiles(t, dir, "to")
}

// TestSaveThroughLinks holds that what a link leads to is replaced, which is what others read.
func TestSaveThroughLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	target, link, deep := filepath.Join(elsewhere, "n.pem"), filepath.Join(dir, "a.pem"), filepath.Join(dir, "b.pem")
	ca := newCA(t, "test")
	if err := issue(t, ca, "n").Save(target); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{link: target, deep: "a.pem"} {
		if err := os.Symlink(to, from); err != nil {
			t.Skip(err) // not every user of Windows may
		}
	}
	renewed := issue(t, ca, "n")
	if err := renewed.Save(deep); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{deep, link, target} {
		if got, err := Show(path); err != nil || got.Fingerprint != renewed.Info().Fingerprint {
			t.Errorf("%s holds %+v, %v", path, got, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() != (path == target) {
			t.Errorf("%s is now %v, %v", path, info.Mode(), err)
		}
	}
	wantFiles(t, dir, "a.pem", "b.pem")
	wantFiles(t, elsewhere, "n.pem")

	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := renewed.Save(deep); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link that leads nowhere: %v, want os.ErrNotExist", err)
	}
}

// wantFiles holds that a directory has these files, and that no drafts are left.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}
