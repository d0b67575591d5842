//go:build !linux

package host

import (
	"errors"
	"net"
	"syscall"
)

// SetCongestion fails to choose anything but "".
func SetCongestion(name string) func(network, address string, raw syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		if name != "" {
			return errors.New("the congestion control can be chosen on Linux only")
		}
		return nil
	}
}

// CongestionInUse is not known here.
func CongestionInUse(string) string { return "" }

// Sent is not known here.
func Sent(*net.TCPConn) (segments, bytes uint64) { return 0, 0 }
