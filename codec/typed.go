package codec

// Codec turns values of one type into payloads and back. The codecs of this package
// may be used concurrently.
type Codec[T any] interface {
	// Encoding is that of the payloads.
	Encoding() Encoding
	// Append appends the payload for v to dst. On error it returns dst as it was.
	Append(dst []byte, v T) ([]byte, error)
	// Decode returns the value of a payload, which may alias it. A payload that
	// comes from another node may be anything: Decode must not panic.
	Decode(payload []byte) (T, error)
}

// JSON returns a codec that encodes a value as the one argument of a JSON payload, so
// that [DecodeArgs] can read it too. It decodes the first argument.
func JSON[T any]() Codec[T] { return argCodec[T]{EncodingJSON} }

// CBOR returns a codec that encodes a value as the one argument of a CBOR payload, so
// that [DecodeArgs] can read it too. It decodes the first argument.
func CBOR[T any]() Codec[T] { return argCodec[T]{EncodingCBOR} }

// Bytes returns a codec whose payloads are the values. Decoded ones alias the payload.
func Bytes() Codec[[]byte] { return bytesCodec{} }

// String returns a codec whose payloads are the values. Decoded ones are copies.
func String() Codec[string] { return stringCodec{} }

type argCodec[T any] struct{ enc Encoding }

func (c argCodec[T]) Encoding() Encoding { return c.enc }

func (c argCodec[T]) Append(dst []byte, v T) ([]byte, error) { return AppendArgs(dst, c.enc, v) }

func (c argCodec[T]) Decode(payload []byte) (T, error) {
	var v T
	err := DecodeArgs(c.enc, payload, &v)
	return v, err
}

type bytesCodec struct{}

func (bytesCodec) Encoding() Encoding { return EncodingRaw }

func (bytesCodec) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (bytesCodec) Decode(payload []byte) ([]byte, error) { return payload, nil }

type stringCodec struct{}

func (stringCodec) Encoding() Encoding { return EncodingRaw }

func (stringCodec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

func (stringCodec) Decode(payload []byte) (string, error) { return string(payload), nil }
