package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/verbose-bus/verbose/codec"
)

func TestBuilderGoesOnAfterEachBatch(t *testing.T) {
	b := codec.NewBuilder(testLog, 5)
	if b.Seal(nil) != nil || b.Count() != 0 || b.Size() != 0 || b.Next() != 5 {
		t.Fatal("a new builder is not empty")
	}
	b.Append("t", codec.EncodingRaw, 1, nil, nil)
	b.Append("t", codec.EncodingRaw, 2, nil, nil)
	if b.Count() != 2 || b.Next() != 7 {
		t.Fatalf("count %d, next %d", b.Count(), b.Next())
	}
	first := b.Seal(nil)
	b.Append("u", codec.EncodingRaw, 3, nil, nil)
	second := b.Seal(nil)
	if first.First != 5 || first.Last() != 6 || second.First != 7 || second.Last() != 7 {
		t.Errorf("batches %d–%d and %d–%d", first.First, first.Last(), second.First, second.Last())
	}
	if diff := cmp.Diff([]codec.TopicCount{{Name: "u", Count: 1}}, second.Topics); diff != "" {
		t.Errorf("topics of the batch before are left:\n%s", diff)
	}
	if b.Seal(nil) != nil {
		t.Error("a batch of nothing")
	}
}

func TestUnsealedIsSealedOnce(t *testing.T) {
	u := build(testLog, 1, event{Topic: "t"}).Take()
	if u.Count() != 1 {
		t.Errorf("count %d", u.Count())
	}
	if u.Seal(nil) == nil || u.Seal(nil) != nil || u.Count() != 0 {
		t.Error("not sealed exactly once")
	}
}

// An owner takes under its lock and seals outside of it.
func TestTakeAndSealWhileOthersAppend(t *testing.T) {
	const events = 2000
	builder := codec.NewBuilder(testLog, 1)
	var mu sync.Mutex
	var batches []*codec.Batch
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			c := codec.NewCompressor(codec.S2)
			for range events / 4 {
				mu.Lock()
				payload := fmt.Appendf(nil, "%d %s", builder.Next(), strings.Repeat("x", int(builder.Next()%7)*100))
				builder.Append("t", codec.EncodingRaw, 0, nil, payload)
				var u codec.Unsealed
				if builder.Next()%10 == 0 {
					u = builder.Take()
				}
				mu.Unlock()
				if batch := u.Seal(c); batch != nil {
					mu.Lock()
					batches = append(batches, batch)
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if last := builder.Seal(nil); last != nil {
		batches = append(batches, last)
	}
	got := 0
	for _, b := range batches {
		for i, e := range read(t, b) {
			if want := fmt.Sprintf("%d ", b.First+uint64(i)); !strings.HasPrefix(string(e.Payload), want) {
				t.Fatalf("event %s is %.20q", want, e.Payload)
			}
			got++
		}
	}
	if got != events {
		t.Errorf("%d events, want %d", got, events)
	}
}

// Big batches own the builder's buffer, small ones are copied out of it; payloads may
// be larger than any buffer; many topics need more headroom than there is.
func TestSealAtEverySize(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 1000, 20_000, 36_000, 37_000, 65_000, 73_000, 200_000, 5 << 20} {
		for _, topics := range []int{1, 2, 3, 9, 40, 300} {
			builder := codec.NewBuilder(testLog, 1)
			var want []event
			for i := range topics {
				e := event{
					Topic:   fmt.Sprintf("topic.number.%d", i),
					Payload: bytes.Repeat([]byte{byte(i)}, size/topics),
				}
				builder.Append(e.Topic, e.Encoding, e.Time, e.Headers, e.Payload)
				want = append(want, e)
			}
			batch := builder.Seal(nil)
			// The next batch must not write where this one is.
			builder.Append("other", codec.EncodingRaw, 0, nil, bytes.Repeat([]byte{0xee}, size))
			builder.Seal(nil)
			parsed, err := codec.ParseBatch(bytes.Clone(batch.Bytes()), maxRaw)
			if err != nil {
				t.Fatalf("%d bytes, %d topics: %v", size, topics, err)
			}
			if !same(want, read(t, parsed)) {
				t.Fatalf("%d bytes, %d topics: events differ", size, topics)
			}
		}
	}
}

func TestFits(t *testing.T) {
	b := codec.NewBuilder(testLog, 1)
	for i := range codec.MaxTopicsPerBatch {
		topic := fmt.Sprint("t", i)
		if !b.Fits(topic) {
			t.Fatalf("%d topics do not fit", i+1)
		}
		b.Append(topic, codec.EncodingRaw, 0, nil, nil)
	}
	if b.Fits("another") || !b.Fits("t0") || !b.Fits("t1023") {
		t.Error("a full table has room for the topics in it, and no other")
	}
	mustPanic(t, "no room", func() { b.Append("another", codec.EncodingRaw, 0, nil, nil) })
	size := b.Size()
	batch := b.Seal(nil)
	if len(batch.Topics) != codec.MaxTopicsPerBatch || batch.Count != codec.MaxTopicsPerBatch || len(batch.Bytes()) > size {
		t.Errorf("%d topics, %d events, %d bytes", len(batch.Topics), batch.Count, len(batch.Bytes()))
	}
	if !b.Fits("another") {
		t.Error("an empty batch has room")
	}
}

func TestAppendPanicsOnBrokenPromises(t *testing.T) {
	b := codec.NewBuilder(testLog, 1)
	big := []codec.Header{{Key: "k", Value: strings.Repeat("v", codec.MaxHeaders)}}
	mustPanic(t, "topic", func() { b.Append("", codec.EncodingRaw, 0, nil, nil) })
	mustPanic(t, "topic", func() { b.Append(strings.Repeat("t", 256), codec.EncodingRaw, 0, nil, nil) })
	mustPanic(t, "topic", func() { b.Append("\xff", codec.EncodingRaw, 0, nil, nil) })
	mustPanic(t, "encoding", func() { b.Append("t", 3, 0, nil, nil) })
	mustPanic(t, "headers", func() { b.Append("t", codec.EncodingRaw, 0, big, nil) })
	if b.Count() != 0 || b.Size() != 0 || b.Next() != 1 || b.Seal(nil) != nil {
		t.Error("a refused event left something behind")
	}
	mustPanic(t, "used up", func() {
		codec.NewBuilder(testLog, math.MaxUint64).Append("t", codec.EncodingRaw, 0, nil, nil)
	})
	mustPanic(t, "begins at 1", func() { codec.NewBuilder(testLog, 0) })
	mustPanic(t, "lane", func() { codec.NewBuilder(codec.LogID{Lane: codec.MaxLane + 1}, 1) })
}

func mustPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.Contains(got, text) {
			t.Errorf("panic is %q, want %q", got, text)
		}
	}()
	f()
}

func TestHeadersUpToTheLimit(t *testing.T) {
	value := strings.Repeat("v", codec.MaxHeaders-1-2-3)
	headers := []codec.Header{{Key: "k", Value: value}}
	if got := codec.HeadersSize(headers); got != codec.MaxHeaders {
		t.Fatalf("%d bytes", got)
	}
	b := build(testLog, 1, event{Topic: "t", Headers: headers}).Seal(nil)
	if got := read(t, b)[0].Headers; !cmp.Equal(got, headers) {
		t.Error("headers differ")
	}
}

func TestRawHeaders(t *testing.T) {
	b := build(testLog, 1,
		event{Topic: "t", Headers: []codec.Header{{Key: "a", Value: "1"}, {Key: "", Value: ""}, {Key: "a", Value: "2"}}},
		event{Topic: "t"},
	).Seal(nil)
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	var e codec.Event
	r.Next(&e)
	if v, ok := e.Headers.Get("a"); v != "1" || !ok {
		t.Errorf("a is %q, %v: want the first", v, ok)
	}
	if v, ok := e.Headers.Get(""); v != "" || !ok {
		t.Error("the empty key is a key")
	}
	if _, ok := e.Headers.Get("b"); ok {
		t.Error("b is not there")
	}
	for key := range e.Headers.All() {
		if key != "a" {
			t.Error("iteration went on after break")
		}
		break
	}
	r.Next(&e)
	if _, ok := e.Headers.Get("a"); ok || e.Headers.Len() != 0 {
		t.Error("headers of the event before are left")
	}
	for range e.Headers.All() {
		t.Error("a header of none")
	}
}
