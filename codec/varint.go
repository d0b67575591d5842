package codec

import (
	"encoding/binary"
	"math/bits"
)

// maxVarint is the length in bytes of the longest varint.
const maxVarint = binary.MaxVarintLen64

// uvarint reads an unsigned LEB128 varint from p[at:] and returns it with the
// position after it. The position is negative where p ends too early, where the
// value takes more than 64 bits, and where fewer bytes would have done: a number
// has one encoding.
func uvarint(p []byte, at int) (uint64, int) {
	if at < len(p) && p[at] < 0x80 {
		return uint64(p[at]), at + 1
	}
	v, n := binary.Uvarint(p[at:])
	if n <= 0 || p[at+n-1] == 0 {
		return 0, -1
	}
	return v, at + n
}

// uvarintLen is the number of bytes v takes as a varint.
func uvarintLen(v uint64) int {
	return (bits.Len64(v|1) + 6) / 7
}

// zigzag maps small numbers of either sign to small unsigned ones.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
