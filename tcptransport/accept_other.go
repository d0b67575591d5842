//go:build !unix

package tcptransport

import (
	"errors"
	"syscall"
)

// isPassing reports whether accepting failed for a reason that passes: an error of the system, and not that
// the listener is closed.
func isPassing(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}
