//go:build unix

package quictransport

import (
	"net"
	"os"
	"syscall"
	"testing"
)

func TestOutages(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EPERM, syscall.EADDRNOTAVAIL, syscall.ENOBUFS,
	} {
		if err := (&net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", errno)}); !isOutage(err) {
			t.Errorf("%v ends connections", err)
		}
	}
	for _, err := range []error{syscall.EMSGSIZE, syscall.EIO, net.ErrClosed} { // path MTU discovery, offload fallback, Close
		if isOutage(&net.OpError{Op: "write", Err: err}) {
			t.Errorf("%v is taken for a passing outage", err)
		}
	}
}

func TestInvalidArgumentIsAnOutageOnlyWithASource(t *testing.T) {
	err := &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", syscall.EINVAL)}
	if isOutage(err) || isSourceGone(err, nil) {
		t.Errorf("%v is taken for a passing outage", err)
	}
}
