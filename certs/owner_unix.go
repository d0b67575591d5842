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

// tooOpen reports whether others can read a file, or write it.
func tooOpen(info os.FileInfo) bool {
	return othersMayUse(info.Mode(), int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid())
}

// othersMayUse leaves out the group of a file that is root's, unless the node is root: it is how the node itself can
// read the secrets that Kubernetes mounts, whose owner and mode nobody can change.
func othersMayUse(mode os.FileMode, owner, me int) bool {
	if owner == 0 && me != 0 {
		return mode&0o037 != 0
	}
	return mode&0o077 != 0
}
