package codec

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

func appendJSON(dst []byte, args []any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	buf.WriteByte('[')
	for i, arg := range args {
		if i > 0 {
			buf.WriteByte(',')
		}
		if err := enc.Encode(arg); err != nil {
			return dst, argError("encoding", i, err)
		}
		buf.Truncate(buf.Len() - 1) // the encoder ends each value with a new line
	}
	buf.WriteByte(']')
	return buf.Bytes(), nil
}

func decodeJSON(payload []byte, into []any) error {
	args, err := newJSONArgs(payload)
	if err != nil {
		return err
	}
	if len(into) > 1 { // one target is told from its failure to find an argument
		if n := args.count(); n < len(into) {
			return tooFew(n, len(into))
		}
	}
	for i, target := range into {
		arg := args.next()
		if arg == nil {
			return tooFew(i, len(into))
		}
		if err := json.Unmarshal(arg, target); err != nil {
			return argError("decoding", i, err)
		}
	}
	return nil
}

func compactJSON(payload []byte) (json.RawMessage, error) {
	if _, err := newJSONArgs(payload); err != nil {
		return nil, err
	}
	if !utf8.Valid(payload) {
		return nil, malformedArgs(EncodingJSON, "text that is not UTF-8")
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, payload); err != nil {
		return nil, malformedArgs(EncodingJSON, "%v", err)
	}
	return buf.Bytes(), nil
}

// jsonArgs is what is left of the text of a JSON array. The text is known to be
// valid, so that taking it apart needs to look at quotes and brackets only.
type jsonArgs []byte

func newJSONArgs(payload []byte) (jsonArgs, error) {
	if !json.Valid(payload) {
		return nil, malformedArgs(EncodingJSON, "not JSON")
	}
	p := bytes.Trim(payload, " \t\r\n")
	if p[0] != '[' {
		return nil, malformedArgs(EncodingJSON, "not an array")
	}
	return p[1 : len(p)-1], nil
}

// next takes the next element, or returns nil. It may have space around it.
func (a *jsonArgs) next() []byte {
	p := []byte(*a)
	depth, end := 0, 0
	for ; end < len(p); end++ {
		switch p[end] {
		case '"':
			end = endOfString(p, end)
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 0 {
				*a = p[end+1:]
				return p[:end]
			}
		}
	}
	*a = nil
	if len(bytes.Trim(p, " \t\r\n")) == 0 {
		return nil
	}
	return p
}

func (a jsonArgs) count() int {
	n := 0
	for a.next() != nil {
		n++
	}
	return n
}

// endOfString returns the position of the quote that closes the one at p[at].
func endOfString(p []byte, at int) int {
	for at++; p[at] != '"'; at++ {
		if p[at] == '\\' {
			at++
		}
	}
	return at
}
