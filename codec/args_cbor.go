package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

const (
	cborMaxNesting  = 64
	cborMaxElements = 1 << 20
)

var (
	cborEncoding = func() cbor.UserBufferEncMode {
		o := cbor.CoreDetEncOptions()
		o.Time = cbor.TimeRFC3339Nano
		m, err := o.UserBufferEncMode()
		if err != nil {
			panic("codec: cbor options: " + err.Error())
		}
		return m
	}()
	cborDecoding = cborDecMode(reflect.TypeFor[map[string]any]())
	// cborReading takes maps with any keys, for JSON has words for most.
	cborReading = cborDecMode(reflect.TypeFor[map[any]any]())
)

func cborDecMode(maps reflect.Type) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  cborMaxNesting,
		MaxArrayElements: cborMaxElements,
		MaxMapPairs:      cborMaxElements,
		BigIntDec:        cbor.BigIntDecodePointer,
		DefaultMapType:   maps,
	}.DecMode()
	if err != nil {
		panic("codec: cbor options: " + err.Error())
	}
	return m
}

func appendCBOR(dst []byte, args []any) ([]byte, error) {
	buf := bytes.NewBuffer(appendCBORArray(dst, len(args)))
	for i, arg := range args {
		at := buf.Len()
		err := cborEncoding.MarshalToBuffer(arg, buf)
		if err == nil {
			err = checkCBORText(buf.Bytes()[at:])
		}
		if err != nil {
			return dst, argError("encoding", i, err)
		}
	}
	return buf.Bytes(), nil
}

// appendCBORArray appends the head of an array of n elements, in its shortest form.
func appendCBORArray(dst []byte, n int) []byte {
	switch {
	case n < cborLengthInByte:
		return append(dst, cborArray|byte(n))
	case n <= math.MaxUint8:
		return append(dst, cborArray|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, cborArray|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, cborArray|26), uint32(n))
}

// cborArgs checks a payload as a whole, and returns the number of its arguments and
// what follows the head of the array.
func cborArgs(p []byte) (n int, rest []byte, err error) {
	if err := cborDecoding.Wellformed(p); err != nil {
		return 0, nil, malformedArgs(EncodingCBOR, "%v", err)
	}
	major, length, rest := cborHead(p)
	if major != cborArray {
		return 0, nil, malformedArgs(EncodingCBOR, "not an array")
	}
	if err := checkBignums(rest); err != nil {
		return 0, nil, malformedArgs(EncodingCBOR, "%v", err)
	}
	return int(length), rest, nil
}

func decodeCBOR(payload []byte, into []any) error {
	n, rest, err := cborArgs(payload)
	if err != nil {
		return err
	}
	if n < len(into) {
		return tooFew(n, len(into))
	}
	for i, target := range into {
		if rest, err = cborDecoding.UnmarshalFirst(rest, target); err != nil {
			return argError("decoding", i, err)
		}
	}
	return nil
}

func cborToJSON(payload []byte) (json.RawMessage, error) {
	n, rest, err := cborArgs(payload)
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, min(n, 64))
	for range n {
		var v any
		if rest, err = cborReading.UnmarshalFirst(rest, &v); err != nil {
			return nil, malformedArgs(EncodingCBOR, "%v", err)
		}
		if v, err = jsonValue(v); err != nil {
			return nil, malformedArgs(EncodingCBOR, "%v", err)
		}
		args = append(args, v)
	}
	text, err := appendJSON(nil, args)
	if err != nil {
		return nil, malformedArgs(EncodingCBOR, "%v", err)
	}
	return text, nil
}

// jsonValue returns v, decoded from CBOR, as something encoding/json can encode.
func jsonValue(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil
		}
	case cbor.Tag:
		return jsonValue(v.Content)
	case []any:
		for i := range v {
			element, err := jsonValue(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = element
		}
	case map[any]any:
		return jsonObject(v)
	}
	return v, nil
}

func jsonObject(m map[any]any) (map[string]any, error) {
	object := make(map[string]any, len(m))
	for k, v := range m {
		key := jsonKey(k)
		if _, ok := object[key]; ok {
			return nil, fmt.Errorf("two map keys are both %q in JSON", key)
		}
		value, err := jsonValue(v)
		if err != nil {
			return nil, err
		}
		object[key] = value
	}
	return object, nil
}

func jsonKey(k any) string {
	switch k := k.(type) {
	case string:
		return k
	case cbor.ByteString:
		return base64.StdEncoding.EncodeToString([]byte(k))
	case cbor.Tag:
		return jsonKey(k.Content)
	}
	return fmt.Sprint(k)
}
