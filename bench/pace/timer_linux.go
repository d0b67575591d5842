package pace

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timer is one of the kernel's, waited for like a socket. Go's own wait in its network poller, in whole milliseconds while nothing else happens:
// how late they are would depend on how busy the contender is. A thread that sleeps in the kernel would keep its processor from the
// contender's goroutines for a while, for all of that where there is one.
type timer struct {
	file *os.File
	fd   int // file.Fd would make it blocking
	read [8]byte
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{file: os.NewFile(uintptr(fd), "timer"), fd: fd}, nil
}

// wait returns after d, which is above zero.
func (t *timer) wait(d time.Duration) error {
	if err := unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	_, err := t.file.Read(t.read[:])
	return err
}

func (t *timer) close() error { return t.file.Close() }
