package tcptransport

import (
	"time"

	"golang.org/x/sys/unix"
)

// unsentLimit is how much the kernel takes that it cannot send yet. More would only queue bulk ahead
// of urgent frames: megabytes of it on a slow link.
const unsentLimit = 64 << 10

func setOptions(fd uintptr, timeout time.Duration) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
}
