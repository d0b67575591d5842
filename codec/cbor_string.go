package codec

import (
	"fmt"
	"unicode/utf8"
)

// Major types, in the three high bits of the first byte of a data item (RFC 8949, section 3.1).
const (
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborTag   = 6 << 5

	cborLengthInByte = 24 // up to 23 a length is in the first byte; 24 to 27: in 1, 2, 4, 8 more
)

// Tags of numbers that are as long as they need to be (RFC 8949, section 3.4.3).
const (
	cborUnsigned = 2
	cborNegative = 3

	// cborMaxBignum is the longest of them in bytes: the decimal digits of longer ones, which a mere error message has,
	// take seconds and more.
	cborMaxBignum = 8 << 10
)

// cborHead takes the head of the first data item from p, which is well formed: the major type and the number.
func cborHead(p []byte) (major byte, n uint64, rest []byte) {
	major, info := p[0]&0xe0, p[0]&0x1f
	if info < cborLengthInByte {
		return major, uint64(info), p[1:]
	}
	size := 1 << (info - cborLengthInByte)
	for _, digit := range p[1 : 1+size] {
		n = n<<8 | uint64(digit)
	}
	return major, n, p[1+size:]
}

// nextCBORString takes everything from p, which is well formed, to the end of the first string of bytes or text. The tag is that
// right before it, or 0. Where there is no string, nothing is left.
func nextCBORString(p []byte) (major byte, tag uint64, text, rest []byte) {
	for len(p) > 0 {
		major, n, rest := cborHead(p)
		switch major {
		case cborBytes, cborText:
			return major, tag, rest[:n], rest[n:]
		case cborTag:
			tag = n
		default:
			tag = 0
		}
		p = rest
	}
	return 0, 0, nil, nil
}

// checkCBORText finds text in p, which is well formed, that no receiver could decode.
func checkCBORText(p []byte) error {
	for len(p) > 0 {
		var major byte
		var text []byte
		if major, _, text, p = nextCBORString(p); major == cborText && !utf8.Valid(text) {
			return fmt.Errorf("text that is not UTF-8: %.32q", text)
		}
	}
	return nil
}

// checkBignums finds a number in p, which is well formed, that is too large.
func checkBignums(p []byte) error {
	for len(p) > cborMaxBignum {
		var tag uint64
		var text []byte
		if _, tag, text, p = nextCBORString(p); (tag == cborUnsigned || tag == cborNegative) && len(text) > cborMaxBignum {
			return fmt.Errorf("a number of %d bytes, %d allowed", len(text), cborMaxBignum)
		}
	}
	return nil
}
