package codec

import (
	"bytes"
	"encoding/binary"
	"iter"
	"unsafe"
)

// MaxHeaders bounds the headers of one event, in bytes as [HeadersSize] counts them.
const MaxHeaders = 64 << 10

// Header is one header of an event. Keys need not be unique.
type Header struct{ Key, Value string }

// HeadersSize is the number of bytes headers take on the wire, without the length
// in front of them. It is zero where there are none, and at most [MaxHeaders] for
// headers that [Builder.Append] accepts.
func HeadersSize(headers []Header) int {
	if len(headers) == 0 {
		return 0
	}
	size := uvarintLen(uint64(len(headers)))
	for i := range headers {
		size += stringSize(headers[i].Key) + stringSize(headers[i].Value)
	}
	return size
}

func stringSize(s string) int { return uvarintLen(uint64(len(s))) + len(s) }

// appendHeaders appends what [HeadersSize] counts. There must be at least one header.
func appendHeaders(dst []byte, headers []Header) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(headers)))
	for i := range headers {
		dst = appendString(dst, headers[i].Key)
		dst = appendString(dst, headers[i].Value)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// RawHeaders are the headers of an event, undecoded. They are a view of the batch
// the event came in; so are the strings they give out. The zero value has none.
// All methods may be called concurrently.
type RawHeaders struct{ p []byte }

// Len returns the number of headers.
func (h RawHeaders) Len() int {
	if len(h.p) == 0 {
		return 0
	}
	n, _ := uvarint(h.p, 0)
	return int(n)
}

// All yields each header's key and value, in the order they were given.
func (h RawHeaders) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		n, at := h.start()
		for ; n > 0; n-- {
			var key, value string
			key, at = stringAt(h.p, at)
			value, at = stringAt(h.p, at)
			if !yield(key, value) {
				return
			}
		}
	}
}

// Get returns the value of the first header with this key, and whether there is one.
func (h RawHeaders) Get(key string) (string, bool) {
	n, at := h.start()
	for ; n > 0; n-- {
		var k, v string
		k, at = stringAt(h.p, at)
		v, at = stringAt(h.p, at)
		if k == key {
			return v, true
		}
	}
	return "", false
}

// Clone returns a copy that does not hold on to the batch.
func (h RawHeaders) Clone() RawHeaders { return RawHeaders{bytes.Clone(h.p)} }

func (h RawHeaders) start() (n uint64, at int) {
	if len(h.p) == 0 {
		return 0, 0
	}
	return uvarint(h.p, 0)
}

// stringAt reads a string from p, which checkHeaders has accepted.
func stringAt(p []byte, at int) (string, int) {
	n, at := uvarint(p, at)
	end := at + int(n)
	return view(p[at:end]), end
}

// checkHeaders returns what is wrong with the headers of an event, or "".
func checkHeaders(p []byte) string {
	n, at := uvarint(p, 0)
	switch {
	case at < 0:
		return "bad header count"
	case n == 0:
		return "an empty list of headers"
	case n > uint64(len(p)):
		return "more headers than bytes"
	}
	for range 2 * n {
		var size uint64
		if size, at = uvarint(p, at); at < 0 || size > uint64(len(p)-at) {
			return "a header ends past the list"
		}
		at += int(size)
	}
	if at != len(p) {
		return "bytes left after the last header"
	}
	return ""
}

// view returns p as a string without copying. p must never change again.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
