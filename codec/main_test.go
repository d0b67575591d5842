package codec_test

import (
	"bytes"
	_ "embed"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const maxRaw = 1 << 24

var testLog = codec.LogID{
	Node:  uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
	Epoch: 1_700_000_000_000,
	Lane:  3,
}

// earthquakes are 64 KiB of lines of the USGS feed.
//
//go:embed testdata/earthquakes.ndjson
var earthquakes []byte

func earthquakeLines() [][]byte {
	return bytes.Split(bytes.TrimSpace(earthquakes), []byte("\n"))
}

// event is an event as a test states it.
type event struct {
	Topic    string
	Encoding codec.Encoding
	Time     int64
	Headers  []codec.Header
	Payload  []byte
}

func build(log codec.LogID, first uint64, events ...event) *codec.Builder {
	b := codec.NewBuilder(log, first)
	for _, e := range events {
		b.Append(e.Topic, e.Encoding, e.Time, e.Headers, e.Payload)
	}
	return b
}

// read returns all events of a batch, and checks what is numbered.
func read(t interface {
	Helper()
	Fatalf(string, ...any)
}, b *codec.Batch) []event {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	var events []event
	var e codec.Event
	for r.Next(&e) {
		if want := b.First + uint64(len(events)); e.Seq != want {
			t.Fatalf("event %d has number %d, want %d", len(events), e.Seq, want)
		}
		if e.Topic != b.Topics[e.TopicIndex].Name {
			t.Fatalf("topic %q has index %d of %v", e.Topic, e.TopicIndex, b.Topics)
		}
		got := event{Topic: e.Topic, Encoding: e.Encoding, Time: e.Time, Payload: e.Payload}
		for k, v := range e.Headers.All() {
			got.Headers = append(got.Headers, codec.Header{Key: k, Value: v})
		}
		if len(got.Headers) != e.Headers.Len() {
			t.Fatalf("%d headers, Len says %d", len(got.Headers), e.Headers.Len())
		}
		events = append(events, got)
	}
	if r.Next(&e) {
		t.Fatalf("an event after the last one")
	}
	return events
}

// same reports whether events are equal, which cmp takes long to find of large payloads.
func same(a, b []event) bool {
	return slices.EqualFunc(a, b, func(a, b event) bool {
		return a.Topic == b.Topic && a.Encoding == b.Encoding && a.Time == b.Time &&
			bytes.Equal(a.Payload, b.Payload) && slices.Equal(a.Headers, b.Headers)
	})
}

// exhaust parses and reads p however broken it is, and checks that every error says
// that it is malformed, and every batch accepted is what its header says.
func exhaust(t *testing.T, p []byte) (*codec.Batch, error) {
	t.Helper()
	b, err := codec.ParseBatch(p, 1<<20)
	if err != nil {
		if !errors.Is(err, codec.ErrMalformed) {
			t.Fatalf("ParseBatch: %v does not wrap ErrMalformed", err)
		}
		return nil, err
	}
	if b.RawSize > 1<<20 {
		t.Fatalf("a body of %d bytes was let through", b.RawSize)
	}
	r, err := b.Open()
	if err != nil {
		if !errors.Is(err, codec.ErrMalformed) {
			t.Fatalf("Open: %v does not wrap ErrMalformed", err)
		}
		return nil, err
	}
	counts := make([]uint32, len(b.Topics))
	var e codec.Event
	for r.Next(&e) {
		counts[e.TopicIndex]++
		for range e.Headers.All() {
		}
		e.Headers.Get("key")
	}
	for i, want := range b.Topics {
		if counts[i] != want.Count {
			t.Fatalf("%d events of %q, header says %d", counts[i], want.Name, want.Count)
		}
	}
	if e.Seq != b.Last() {
		t.Fatalf("last event is %d, header says %d", e.Seq, b.Last())
	}
	return b, nil
}
