//go:build !linux

package host

import (
	"errors"
	"os/exec"
)

// CanPin reports whether StartPinned works here.
const CanPin = false

// StartPinned always fails.
func StartPinned(*exec.Cmd) error {
	return errors.New("processes can be pinned to a processor on Linux only")
}
