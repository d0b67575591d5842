package host

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Datagrams is how many datagrams one send of n bytes makes: several where its control messages ask the kernel to cut it
// into segments (UDP_SEGMENT).
func Datagrams(n int, control []byte) uint64 {
	for len(control) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_SEGMENT && len(data) >= 2 {
			if size := int(binary.NativeEndian.Uint16(data)); size > 0 {
				return uint64((n + size - 1) / size)
			}
		}
		control = rest
	}
	return 1
}
