//go:build !linux

package gro

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/ipv4"
)

// Reader reads the packets of one UDP socket. There is none but on Linux.
type Reader struct{}

// New fails: only Linux has this offload.
func New(*net.UDPConn) (*Reader, error) { return nil, fmt.Errorf("gro: %w", errors.ErrUnsupported) }

// ReadBatch is never called, as New makes no reader.
func (*Reader) ReadBatch([]ipv4.Message, int) (int, error) { return 0, errors.ErrUnsupported }
