package tcptransport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// NewUnix returns a transport over Unix sockets, for nodes on one host: New with the scheme "unix", whose addresses
// are absolute paths, as in unix:///run/bus.sock. The rest is as over TCP, certificates included: a path says
// nothing of who listens there.
//
// Listen makes the socket, with the permissions of the process's umask, and Close removes it. One that a process left behind
// which is gone is removed too; where somebody answers, Listen fails with EADDRINUSE.
func NewUnix(config Config) *Transport {
	t := New(config)
	t.network = "unix"
	return t
}

// listenUnix listens on a path, where a process that is gone may have left its socket.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err == nil {
		return l, nil
	}
	if info, statErr := os.Lstat(path); statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	switch conn, dialErr := new(net.Dialer).DialContext(ctx, "unix", path); {
	case dialErr == nil:
		conn.Close()
		return nil, fmt.Errorf("another process listens there: %w", err)
	case !errors.Is(dialErr, syscall.ECONNREFUSED):
		return nil, errors.Join(err, dialErr)
	}
	// Two processes that find the same leftover at the same time would take each other's sockets for it, which is
	// for who starts them to avoid.
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
