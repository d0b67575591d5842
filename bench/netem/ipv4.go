package netem

import (
	"encoding/binary"
	"net/netip"
)

const (
	sourceAt      = 12 // bytes from the beginning of an IPv4 header (RFC 791 section 3.1)
	destinationAt = 16

	protocolTCP = 6
	protocolUDP = 17
)

// isIPv4 reports whether a packet has a whole IPv4 header. A device also sends IPv6 packets of its own accord.
func isIPv4(p []byte) bool {
	return len(p) >= 20 && p[0]>>4 == 4 && len(p) >= headerLength(p) && headerLength(p) >= 20
}

func headerLength(p []byte) int { return int(p[0]&15) * 4 }

// address reads the source or destination.
func address(p []byte, at int) netip.Addr { return netip.AddrFrom4([4]byte(p[at : at+4])) }

// translate replaces the source or destination, as a NAT does, and mends the checksums that cover it. The payload of ICMP
// messages is left alone.
func translate(p []byte, at int, to netip.Addr) {
	old, replaced := [4]byte(p[at:at+4]), to.As4()
	copy(p[at:], replaced[:])
	mend(p[10:12], old, replaced)
	first := binary.BigEndian.Uint16(p[6:8])&0x1fff == 0 // only the first fragment has the next header
	switch next := p[headerLength(p):]; {
	case first && p[9] == protocolTCP && len(next) >= 18:
		mend(next[16:18], old, replaced)
	case first && p[9] == protocolUDP && len(next) >= 8 && binary.BigEndian.Uint16(next[6:8]) != 0:
		mend(next[6:8], old, replaced)
		if binary.BigEndian.Uint16(next[6:8]) == 0 { // which would mean that there is none
			binary.BigEndian.PutUint16(next[6:8], 0xffff)
		}
	}
}

// mend updates a checksum for four bytes that changed (RFC 1624).
func mend(checksum []byte, old, replaced [4]byte) {
	sum := uint32(^binary.BigEndian.Uint16(checksum))
	for i := 0; i < 4; i += 2 {
		sum += uint32(^binary.BigEndian.Uint16(old[i:])) + uint32(binary.BigEndian.Uint16(replaced[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(checksum, ^uint16(sum))
}
