package codec

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// AppendArgs appends the payload that holds args in this encoding to dst: a JSON or
// CBOR array of them all. [EncodingRaw] takes no argument, or one []byte or string,
// which is the payload. On error it returns dst as it was.
//
// JSON is as [encoding/json] has it, with &, < and > left as they are. CBOR is
// deterministic (RFC 8949, section 4.2.1), with times as RFC 3339 text; strings
// that are not UTF-8 are an error, where JSON has U+FFFD for what is not. The limits
// of [DecodeArgs] are not checked here.
func AppendArgs(dst []byte, enc Encoding, args ...any) ([]byte, error) {
	switch enc {
	case EncodingRaw:
		return appendRaw(dst, args)
	case EncodingJSON:
		return appendJSON(dst, args)
	case EncodingCBOR:
		return appendCBOR(dst, args)
	}
	return dst, unknownEncoding(enc)
}

// DecodeArgs decodes the first arguments of a payload into pointers, one each.
// There may be fewer pointers than arguments: the rest are checked to be well
// formed, and ignored. More pointers than arguments are an error, and nothing is
// decoded. [EncodingRaw] takes one *[]byte, *string or *any ([]byte); the first and
// the last then alias the payload, which must not be changed.
//
// CBOR maps decode into an any as map[string]any, as JSON objects do.
//
// Payloads come from other nodes: JSON and CBOR that is not well formed is an error
// that wraps [ErrMalformed]. What an argument decodes to is otherwise bounded by
// the size of the payload, by nesting (10,000 levels in JSON, 64 in CBOR) and, in
// CBOR, by 1<<20 elements of each array or map, and 8 KiB of each big number. After
// an error the targets may have been set in part.
func DecodeArgs(enc Encoding, payload []byte, into ...any) error {
	switch enc {
	case EncodingRaw:
		return decodeRaw(payload, into)
	case EncodingJSON:
		return decodeJSON(payload, into)
	case EncodingCBOR:
		return decodeCBOR(payload, into)
	}
	return unknownEncoding(enc)
}

// ArgsJSON returns the arguments of a payload as the text of a JSON array, for
// people and scripts to read. A raw payload is one string, in base64 where it is
// not UTF-8. So are CBOR byte strings; CBOR map keys become strings, what has no
// number in JSON (NaN, infinities) null, and tags are left out. JSON that is not
// UTF-8 is malformed here. Errors wrap [ErrMalformed].
func ArgsJSON(enc Encoding, payload []byte) (json.RawMessage, error) {
	switch enc {
	case EncodingRaw:
		if utf8.Valid(payload) {
			return appendJSON(nil, []any{view(payload)})
		}
		return appendJSON(nil, []any{payload})
	case EncodingJSON:
		return compactJSON(payload)
	case EncodingCBOR:
		return cborToJSON(payload)
	}
	return nil, unknownEncoding(enc)
}

func appendRaw(dst []byte, args []any) ([]byte, error) {
	if len(args) == 0 {
		return dst, nil
	}
	if len(args) == 1 {
		switch v := args[0].(type) {
		case []byte:
			return append(dst, v...), nil
		case string:
			return append(dst, v...), nil
		}
	}
	return dst, fmt.Errorf("codec: a raw payload is one []byte or string, not %s", typesOf(args))
}

func decodeRaw(payload []byte, into []any) error {
	if len(into) == 0 {
		return nil
	}
	if len(into) == 1 {
		switch v := into[0].(type) {
		case *[]byte:
			*v = payload
			return nil
		case *string:
			*v = string(payload)
			return nil
		case *any:
			*v = payload
			return nil
		}
	}
	return fmt.Errorf("codec: a raw payload decodes into one *[]byte or *string, not %s", typesOf(into))
}

func typesOf(args []any) string {
	if len(args) == 1 {
		return fmt.Sprintf("%T", args[0])
	}
	return fmt.Sprintf("%d values", len(args))
}

func unknownEncoding(enc Encoding) error {
	return fmt.Errorf("codec: unknown %v", enc)
}

// malformedArgs returns an error about a payload that is not what its encoding says.
func malformedArgs(enc Encoding, format string, args ...any) error {
	return fmt.Errorf("codec: %w %v payload: %s", ErrMalformed, enc, fmt.Sprintf(format, args...))
}

// tooFew returns the error for more targets than arguments.
func tooFew(args, targets int) error {
	return fmt.Errorf("codec: %d arguments do not fill %d targets", args, targets)
}

// argError says which argument an error is about.
func argError(doing string, i int, err error) error {
	return fmt.Errorf("codec: %s argument %d: %w", doing, i+1, err)
}
