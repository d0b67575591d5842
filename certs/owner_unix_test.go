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
