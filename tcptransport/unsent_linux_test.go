package tcptransport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A socket begins with the least, and has the limit that it is given.
func TestSystemLimitsUnsent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check := func(want int) {
		t.Helper()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); err != nil || got != want {
				t.Errorf("the limit is %d (%v), want %d", got, err, want)
			}
		})
	}
	prepare(conn, time.Second)
	check(leastUnsent)
	limitUnsent(conn, 700_000)
	check(700_000)
	inner, outer := net.Pipe() // a connection that is none of the system's is left alone
	defer inner.Close()
	defer outer.Close()
	limitUnsent(inner, 1)
}
