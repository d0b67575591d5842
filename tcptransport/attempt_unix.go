//go:build unix

package tcptransport

import (
	"net"
	"syscall"
)

// attempt sends on a socket without waiting until it takes what it is given. It is used by one goroutine at a time.
type attempt struct {
	raw   syscall.RawConn // nil: the connection is not the system's
	write func(fd uintptr) bool
	p     []byte
	n     int
}

// prepare makes attempts on a connection possible, if it is the system's.
func (a *attempt) prepare(conn net.Conn) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	a.raw = raw
	a.write = func(fd uintptr) bool { // made once, for send allocates nothing
		a.n, _ = syscall.Write(int(fd), a.p)
		return true
	}
}

func (a *attempt) possible() bool { return a.raw != nil }

// send returns how much the system took, nothing where attempts are not possible. Who sends the rest, and may wait, has the error if there is one.
func (a *attempt) send(p []byte) int {
	if !a.possible() {
		return 0
	}
	a.p, a.n = p, 0
	a.raw.Write(a.write)
	a.p = nil
	return max(a.n, 0)
}
