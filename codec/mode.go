package codec

import "fmt"

// Compression tags a batch with how its body is compressed.
type Compression uint8

const (
	CompressionOff  Compression = 0 // as it is
	CompressionS2   Compression = 1 // one S2 block
	CompressionZstd Compression = 2 // one Zstandard frame (RFC 8878) that declares its content size

	maxCompression = CompressionZstd
)

// String returns "off", "s2" or "zstd".
func (c Compression) String() string {
	switch c {
	case CompressionOff:
		return "off"
	case CompressionS2:
		return "s2"
	case CompressionZstd:
		return "zstd"
	}
	return fmt.Sprintf("compression(%d)", uint8(c))
}

// Mode chooses how a [Compressor] compresses. The zero Mode is [Adaptive].
//
// Compressed sizes tell something of what was compressed: where an attacker can
// put text of their own beside a secret in one batch, and watch sizes, use Off.
type Mode uint8

const (
	// Adaptive compresses with S2, or with zstd while the link is the limit
	// ([Compressor.SetLinkLimited]), and not at all where that saves nothing.
	Adaptive Mode = iota
	Off           // nothing is compressed
	S2            // S2 blocks: fast
	Zstd          // Zstandard at its fastest: smaller, at about twice the cost
)

var modeNames = [...]string{Adaptive: "adaptive", Off: "off", S2: "s2", Zstd: "zstd"}

// String returns "adaptive", "off", "s2" or "zstd".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// ParseMode is the inverse of [Mode.String].
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if s == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("codec: unknown compression mode %q (want adaptive, off, s2 or zstd)", s)
}

// MarshalText returns the name of the mode, or an error where it has none.
func (m Mode) MarshalText() ([]byte, error) {
	if int(m) >= len(modeNames) {
		return nil, fmt.Errorf("codec: unknown compression mode %d", uint8(m))
	}
	return []byte(modeNames[m]), nil
}

// UnmarshalText sets the mode to the one text names. It leaves it as it is on error.
func (m *Mode) UnmarshalText(text []byte) error {
	parsed, err := ParseMode(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
