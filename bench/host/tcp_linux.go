package host

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// SetCongestion chooses the congestion control of a TCP socket that is not connected yet. "" changes nothing. It suits
// the Control field of net.Dialer and net.ListenConfig.
func SetCongestion(name string) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (err error) {
		if name == "" {
			return nil
		}
		failed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
		})
		if failed != nil {
			return failed
		}
		return err
	}
}

// CongestionInUse is the congestion control that a socket reports after asking for name; "" if it cannot be had.
func CongestionInUse(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	if name != "" && unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name) != nil {
		return ""
	}
	inUse, _ := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	return inUse
}

// Sent is what the kernel counts as sent on a TCP connection: segments, acknowledgements included, and bytes of the
// stream, retransmitted ones included, without headers of TCP and IP.
func Sent(conn *net.TCPConn) (segments, bytes uint64) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			segments, bytes = uint64(info.Segs_out), info.Bytes_sent
		}
	})
	return segments, bytes
}
