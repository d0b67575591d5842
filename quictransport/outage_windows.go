package quictransport

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// isOutage reports whether a send failed for a reason that passes: no route or
// link at the moment, the local address gone, a packet filter, or a full queue of the network card.
func isOutage(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN, windows.WSAEACCES, windows.WSAEADDRNOTAVAIL, windows.WSAENOBUFS:
		return true
	}
	return false
}

// isSourceGone is about source addresses given with each packet, which quic-go does not use on Windows.
func isSourceGone(error, []byte) bool { return false }
