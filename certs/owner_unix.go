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
	mode := old.Mode().Perm() &^ forbidden(int(want.Uid), true) & 0o660
	if want.Uid != got.Uid || want.Gid != got.Gid {
		// A group without rights to it need not be kept.
		if err := draft.Chown(int(want.Uid), int(want.Gid)); err != nil && (want.Uid != got.Uid || mode&0o070 != 0) {
			return fmt.Errorf("%s is of the user with the id %d, who could not read what replaces it: do this as that user or as root: %w", old.Name(), want.Uid, err)
		}
	}
	return draft.Chmod(mode)
}

// tooOpen reports whether others can read a file, or write it.
func tooOpen(info os.FileInfo, group bool) bool {
	return info.Mode()&forbidden(int(info.Sys().(*syscall.Stat_t).Uid), group) != 0
}

// forbidden is the rights that a file with a private key must not give. With group, that of a file of root's may read it: it is
// how a node reads the secrets that Kubernetes mounts, whose owner and mode nobody can change.
func forbidden(owner int, group bool) os.FileMode {
	if owner == 0 && group {
		return 0o037
	}
	return 0o077
}
