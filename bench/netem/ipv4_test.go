package netem

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// checksum is that of RFC 1071, from scratch.
func checksum(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, part := range parts {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// seal writes the checksums of a packet whose header has the given length.
func seal(p []byte, header int) {
	clear(p[10:12])
	binary.BigEndian.PutUint16(p[10:], checksum(p[:header]))
	at := map[byte]int{protocolTCP: 16, protocolUDP: 6}[p[9]]
	if binary.BigEndian.Uint16(p[6:8])&0x1fff != 0 || at == 0 {
		return
	}
	payload := p[header:]
	clear(payload[at : at+2])
	length := binary.BigEndian.AppendUint16([]byte{0, p[9]}, uint16(len(payload)))
	sum := checksum(p[sourceAt:sourceAt+8], length, payload)
	if p[9] == protocolUDP && sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(payload[at:], sum)
}

func TestTranslate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		header := 20 + 4*random.IntN(3)
		p := make([]byte, header+40)
		for i := range p {
			p[i] = byte(random.Uint32() & random.Uint32() & random.Uint32()) // often zero, so that sums are extreme
		}
		p[0] = 4<<4 | byte(header/4)
		p[9] = []byte{protocolTCP, protocolUDP, 1}[random.IntN(3)]
		binary.BigEndian.PutUint16(p[6:], uint16(random.IntN(2)*random.IntN(100))) // or a later fragment
		seal(p, header)
		at := []int{sourceAt, destinationAt}[random.IntN(2)]
		addr := netip.AddrFrom4([4]byte{198, 18, byte(random.Uint32()), byte(random.Uint32())})

		want := slices.Clone(p)
		copy(want[at:], addr.AsSlice())
		seal(want, header)
		if !isIPv4(p) {
			t.Fatalf("% x is a packet", p)
		}
		translate(p, at, addr)
		if !slices.Equal(p, want) || address(p, at) != addr {
			t.Fatalf("translated to\n% x, want\n% x", p, want)
		}
	}
}

// A checksum that comes out as zero is sent as 0xffff, for zero means that there is none.
func TestTranslateToZero(t *testing.T) {
	addr := netip.AddrFrom4([4]byte{198, 18, 0, 9})
	want := make([]byte, 30)
	want[0], want[9] = 0x45, protocolUDP
	copy(want[sourceAt:], addr.AsSlice())
	seal(want, 20)
	copy(want[28:], want[26:28]) // what was missing to 0xffff is not missing now
	seal(want, 20)
	if binary.BigEndian.Uint16(want[26:]) != 0xffff {
		t.Fatalf("the checksum is % x", want[26:28])
	}
	p := slices.Clone(want)
	copy(p[sourceAt:], []byte{198, 18, 0, 1})
	seal(p, 20)
	translate(p, sourceAt, addr)
	if !slices.Equal(p, want) {
		t.Errorf("translated to\n% x, want\n% x", p, want)
	}
}

// A datagram without a checksum stays without one.
func TestTranslateUnchecked(t *testing.T) {
	p := make([]byte, 28)
	p[0], p[9] = 0x45, protocolUDP
	seal(p, 20)
	clear(p[26:28])
	translate(p, sourceAt, netip.AddrFrom4([4]byte{198, 18, 0, 9}))
	if p[26] != 0 || p[27] != 0 {
		t.Errorf("the checksum became % x", p[26:28])
	}
}

func TestNotIPv4(t *testing.T) {
	for _, p := range [][]byte{nil, {0x45}, make([]byte, 40), append([]byte{0x60}, make([]byte, 39)...),
		append([]byte{0x44}, make([]byte, 39)...), append([]byte{0x4f}, make([]byte, 39)...)} {
		if isIPv4(p) {
			t.Errorf("% x counts as a packet", p)
		}
	}
	short := make([]byte, 22) // the rest of the UDP header is in another fragment
	short[0], short[9] = 0x45, protocolUDP
	translate(short, sourceAt, netip.AddrFrom4([4]byte{198, 18, 0, 9}))
}
