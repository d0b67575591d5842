package bus

import (
	"iter"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// Event is one event as a handler gets it. Topic, Payload and Headers point into the
// batch they came in: they are valid for as long as they are held, keep their batch in memory
// for as long, and must not be changed. With [Borrow] they are valid until the handler returns.
type Event struct {
	Topic   string
	Payload []byte
	Origin  Origin
	Lane    uint8
	Seq     uint64    // 1, 2, 3… per origin and lane
	Time    time.Time // when it was emitted, by the origin's clock, in µs; of one in a burst, it may be some ms earlier
	Headers Headers

	encoding codec.Encoding
}

// Encoding is how the payload is encoded: codec.EncodingRaw after EmitBytes.
func (e Event) Encoding() codec.Encoding { return e.encoding }

// Args decodes the values that were emitted into pointers, in order. Fewer
// pointers than values are fine. Of an event emitted as bytes, one *[]byte or *string
// gets the payload.
func (e Event) Args(into ...any) error { return codec.DecodeArgs(e.encoding, e.Payload, into...) }

// Clone returns a copy that does not keep the event's batch in memory.
func (e Event) Clone() Event {
	e.Topic = string([]byte(e.Topic))
	e.Payload = append([]byte(nil), e.Payload...)
	e.Headers = Headers{e.Headers.raw.Clone()}
	return e
}

// Headers are the headers of an event, in the order they were emitted with. Keys need not be unique.
type Headers struct{ raw codec.RawHeaders }

// Len is the number of headers.
func (h Headers) Len() int { return h.raw.Len() }

// All yields each key and value.
func (h Headers) All() iter.Seq2[string, string] { return h.raw.All() }

// Get returns the first value of a key.
func (h Headers) Get(key string) (value string, ok bool) { return h.raw.Get(key) }

// Header is one header to emit.
type Header struct{ Key, Value string }

// Message is an event to emit with all that can be said about it.
type Message struct {
	Topic   string
	Payload []byte // copied
	Args    []any  // encoded by Config.Encoding, instead of Payload
	Headers []Header

	// Key chooses the lane of a node that has several: events of one key stay in
	// order. By default the topic is the key.
	Key string
	// Uncompressed keeps the event out of a compressed batch, see the package comment.
	Uncompressed bool
}
