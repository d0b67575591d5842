package host

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// CanPin reports whether StartPinned works here.
const CanPin = true

// StartPinned starts a process that may use one processor only, the last of those this process may use. All
// processes started so share it.
func StartPinned(c *exec.Cmd) error {
	// A new process inherits what the thread that starts it may use, and its Go runtime counts processors by that.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range 64 * len(all) {
		if all.IsSet(cpu) {
			one.Zero()
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &all)
	return c.Start()
}
