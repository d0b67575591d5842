package pace

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// sleep has the kernel wake this thread. Go's timers wait in its network poller, in whole milliseconds while nothing else
// happens: how late they are would depend on how busy the contender is.
func sleep(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Without this the kernel may be 50 µs late, to wake several threads at once.
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	t := unix.NsecToTimespec(int64(d))
	unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // a signal ends it early, and the caller looks again
}
