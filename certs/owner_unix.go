//go:build unix

package certs

import (
	"fmt"
	"os"
	"syscall"
)

// inherit gives a draft the owner of the file it will replace, and what that allows its owner.
func inherit(draft *os.File, old os.FileInfo) error {
	info, err := draft.Stat()
	if err != nil {
		return err
	}
	want, got := old.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if want.Uid != got.Uid || want.Gid != got.Gid {
		// A group has no rights to it, and need not be kept.
		if err := draft.Chown(int(want.Uid), int(want.Gid)); err != nil && want.Uid != got.Uid {
			return fmt.Errorf("%s is of the user with the id %d, who could not read what replaces it: do this as that user or as root: %w", old.Name(), want.Uid, err)
		}
	}
	return draft.Chmod(old.Mode().Perm() & 0o600)
}
