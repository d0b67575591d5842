//go:build unix

package tcptransport

import (
	"errors"
	"syscall"
)

// isPassing reports whether accepting failed for a reason that passes: no file descriptors or memory left, or
// a connection that was gone before it was accepted.
func isPassing(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPERM:
		return true
	}
	return false
}
