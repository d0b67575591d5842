package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/codec"
)

// formatter makes the bytes that are printed for an event. Not safe for concurrent use.
type formatter struct {
	payload bool
	end     byte
	buf     bytes.Buffer
	escaped []byte
	encoder *json.Encoder
}

// record is an event as a line of JSON.
type record struct {
	Topic   string          `json:"topic"`
	Args    json.RawMessage `json:"args,omitempty"`
	Payload *string         `json:"payload,omitempty"`
	Base64  []byte          `json:"payload_base64,omitempty"`
	Origin  string          `json:"origin"`
	Seq     uint64          `json:"seq"`
	Time    string          `json:"time,omitempty"`
	Headers headerMap       `json:"headers,omitempty"`
}

func newFormatter(format string, null bool) *formatter {
	f := &formatter{payload: format == "payload", end: '\n'}
	if null {
		f.end = 0
	}
	f.encoder = json.NewEncoder(&f.buf)
	f.encoder.SetEscapeHTML(false)
	return f
}

// append returns what is printed for an event, valid until the next call.
func (f *formatter) append(e bus.Event) ([]byte, error) {
	f.buf.Reset()
	raw := e.Encoding() == codec.EncodingRaw
	var args json.RawMessage
	if !raw {
		var err error
		if args, err = codec.ArgsJSON(e.Encoding(), e.Payload); err != nil {
			raw = true // a payload that is not what it says: shown as it is
		}
	}
	if f.payload {
		text := e.Payload
		if !raw {
			text = args
		}
		f.buf.Write(text)
		f.buf.WriteByte(f.end)
		return f.buf.Bytes(), nil
	}
	r := record{Topic: e.Topic, Args: args, Origin: e.Origin.Node.String(), Seq: e.Seq, Time: timeOf(e), Headers: headersOf(e)}
	switch {
	case !raw:
	case utf8.Valid(e.Payload):
		text := string(e.Payload)
		r.Payload = &text
	default:
		r.Base64 = e.Payload
	}
	if err := f.encoder.Encode(r); err != nil {
		return nil, err
	}
	line := f.buf.Bytes()
	line[len(line)-1] = f.end
	f.escaped = appendEscaped(f.escaped[:0], line)
	return f.escaped, nil
}

// timeOf is an event's time as RFC 3339 has it, which knows years of four digits only; else "". Clocks may say anything.
func timeOf(e bus.Event) string {
	t := e.Time.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// appendEscaped appends a line of JSON with DEL and the C1 controls escaped, which terminals obey. Encoding/json does it for
// the controls of ASCII only.
func appendEscaped(dst, line []byte) []byte {
	const (
		del  = 0x7f
		lead = 0xc2 // of U+0080 to U+00BF in UTF-8, whose second byte is as their number
		last = 0x9f
	)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == del:
			dst = append(dst, `\u007f`...)
		case c == lead && line[i+1] <= last:
			i++
			dst = fmt.Appendf(dst, `\u%04x`, line[i])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// headerMap is the headers as one JSON object, in their order; of equal keys the first counts.
type headerMap []bus.Header

func headersOf(e bus.Event) (list headerMap) {
	if e.Headers.Len() == 0 {
		return nil
	}
	seen := make(map[string]bool)
	for key, value := range e.Headers.All() {
		if !seen[key] {
			seen[key] = true
			list = append(list, bus.Header{Key: key, Value: value})
		}
	}
	return list
}

// MarshalJSON writes the object.
func (h headerMap) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, header := range h {
		if i > 0 {
			out = append(out, ',')
		}
		for j, text := range []string{header.Key, header.Value} {
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			out = append(out, quoted...)
			if j == 0 {
				out = append(out, ':')
			}
		}
	}
	return append(out, '}'), nil
}
