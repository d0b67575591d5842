//go:build unix

package quictransport

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// isOutage reports whether a send failed for a reason that passes: no route or
// link at the moment, the local address gone, a packet filter, or a full queue of the network card.
func isOutage(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EPERM, syscall.EADDRNOTAVAIL, syscall.ENOBUFS:
		return true
	}
	return false
}

// isSourceGone reports whether a send failed because oob names a source address
// (RFC 3542 section 6) that the host does not have at the moment. A socket bound to every address answers
// from the address that was asked, and Linux takes IPv6 addresses away while their link is down; the error is
// EINVAL, which without a source address in oob means something else.
func isSourceGone(err error, oob []byte) bool {
	if !errors.Is(err, syscall.EINVAL) {
		return false
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range messages {
		// Besides ECN (IP_TOS), quic-go's only IPv4 message is the source.
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO ||
			m.Header.Level == unix.IPPROTO_IP && m.Header.Type != unix.IP_TOS {
			return true
		}
	}
	return false
}
