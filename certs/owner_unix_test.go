//go:build unix

package certs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSaveKeepsOwnerAndMode holds that the node that reads a file can read the one that replaces it.
func TestSaveKeepsOwnerAndMode(t *testing.T) {
	id := issue(t, newCA(t, "test"), "n")
	for _, test := range []struct {
		before, want os.FileMode
		roots        bool // the file is, and a group reads it
	}{
		{0o600, 0o600, false}, {0o400, 0o400, false}, {0o644, 0o600, false}, {0o440, 0o400, false}, {0o640, 0o640, true}, {0o664, 0o640, true},
	} {
		path := filepath.Join(t.TempDir(), "n.pem")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.before); err != nil {
			t.Fatal(err)
		}
		owner := os.Geteuid()
		if test.roots && owner != 0 {
			continue
		}
		if owner == 0 {
			if !test.roots {
				owner = 1234
			}
			if err := os.Chown(path, owner, 1234); err != nil {
				t.Skip("root here may not give files away")
			}
		}
		if err := id.Save(path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != owner || info.Mode() != test.want || info.Size() == 0 {
			t.Errorf("mode %#o of user %d became %#o of %d with %d bytes; want mode %#o", test.before, owner, info.Mode(), got, info.Size(), test.want)
		}
	}
}

// TestForbiddenRights holds that a group may read a key that is root's: with the secrets that Kubernetes mounts (fsGroup), a
// node reads them as one of the group itself. Not so the key of a CA.
func TestForbiddenRights(t *testing.T) {
	for _, test := range []struct {
		mode  os.FileMode
		owner int
		group bool
		want  bool
	}{
		{0o600, 1000, true, false},
		{0o400, 0, true, false},
		{0o640, 1000, true, true},
		{0o440, 0, true, false},
		{0o640, 0, true, false},
		{0o640, 0, false, true},
		{0o660, 0, true, true},
		{0o444, 0, true, true},
	} {
		if got := test.mode&forbidden(test.owner, test.group) != 0; got != test.want {
			t.Errorf("mode %#o of user %d, with a group %t: forbidden: %t, want %t", test.mode, test.owner, test.group, got, test.want)
		}
	}
}
