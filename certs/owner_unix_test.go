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
	for _, test := range []struct{ before, want os.FileMode }{
		{0o600, 0o600}, {0o400, 0o400}, {0o644, 0o600}, {0o440, 0o400},
	} {
		path := filepath.Join(t.TempDir(), "n.pem")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.before); err != nil {
			t.Fatal(err)
		}
		owner := os.Geteuid()
		if owner == 0 {
			owner = 1234
			if err := os.Chown(path, owner, owner); err != nil {
				t.Fatal(err)
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

// TestWhoMayRead holds that a group may read a key that is root's, where the node is not root: with the secrets that
// Kubernetes mounts (fsGroup), it reads them as one of the group itself.
func TestWhoMayRead(t *testing.T) {
	for _, test := range []struct {
		mode      os.FileMode
		owner, me int
		want      bool
	}{
		{0o600, 1000, 1000, false},
		{0o400, 0, 0, false},
		{0o640, 1000, 1000, true},
		{0o640, 1001, 1000, true},
		{0o440, 0, 0, true},
		{0o440, 0, 1000, false},
		{0o640, 0, 1000, false},
		{0o660, 0, 1000, true},
		{0o444, 0, 1000, true},
	} {
		if got := othersMayUse(test.mode, test.owner, test.me); got != test.want {
			t.Errorf("mode %#o of user %d, read by user %d: others may use it: %t, want %t", test.mode, test.owner, test.me, got, test.want)
		}
	}
}
