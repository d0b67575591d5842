package codec

import "fmt"

// Encoding tells how the payload of an event is encoded. It takes two bits on the
// wire; the fourth value is reserved.
type Encoding uint8

const (
	EncodingRaw  Encoding = 0 // bytes, left to the application
	EncodingJSON Encoding = 1 // a JSON array of arguments (RFC 8259)
	EncodingCBOR Encoding = 2 // a CBOR array of arguments (RFC 8949)

	maxEncoding = EncodingCBOR
)

// String returns "raw", "json" or "cbor".
func (e Encoding) String() string {
	switch e {
	case EncodingRaw:
		return "raw"
	case EncodingJSON:
		return "json"
	case EncodingCBOR:
		return "cbor"
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}
