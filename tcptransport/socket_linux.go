package tcptransport

import (
	"time"

	"golang.org/x/sys/unix"
)

func setOptions(fd uintptr, timeout time.Duration) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	setUnsent(fd, leastUnsent)
}

func setUnsent(fd uintptr, limit int) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, limit)
}
