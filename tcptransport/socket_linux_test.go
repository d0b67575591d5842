package tcptransport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// TestSocketOptions holds that both sides' sockets have the options of this system.
func TestSocketOptions(t *testing.T) {
	ca := pair.NewCA(t, "test")
	client, server := newTransport(t, Config{Identity: pair.Issue(t, ca)}), newTransport(t, Config{Identity: pair.Issue(t, ca)})
	for _, tr := range []*Transport{client, server} {
		tr.SetTimeout(8 * time.Second)
	}
	dialled, arrived := pair.Connect(t, client, pair.Listen(t, server, pair.Loopback))
	for _, c := range []*Conn{dialled.(*Conn), arrived.(*Conn)} {
		raw, err := c.socket.wire.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for _, option := range []struct {
			name                string
			level, number, want int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 8000},
			{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, leastUnsent},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 4},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1},
		} {
			var got int
			raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), option.level, option.number) })
			if got != option.want || err != nil {
				t.Errorf("%s is %d, %v; want %d", option.name, got, err, option.want)
			}
		}
	}
}
