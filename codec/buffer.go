package codec

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
)

const (
	// headroom is kept free in front of a body, for the header to be put there
	// when the batch is sealed. It is enough for about a dozen topics.
	headroom = 512
	// fewTopics are found by looking at each; more, by a map.
	fewTopics = 8
)

// buffer holds the events of a batch that is not sealed yet.
type buffer struct {
	bytes  []byte  // headroom, then the body
	memory *Memory // that bytes is in; nil if it is in none
	count  uint32
	start  int64 // time of the first event, in µs
	time   int64 // time of the last event, in µs
	topics []TopicCount
	table  int            // bound on what topics take in the header
	index  map[string]int // of topics, beyond fewTopics
	last   int            // index of the last event's topic
}

// buffers are the empty buffers of all builders. A builder takes one with its first
// event, so that idle ones hold no memory.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	if b.memory == nil {
		b.memory = NewMemory(builderSize)
	}
	b.bytes = b.memory.Bytes()[:headroom]
	return b
}

// grow makes room for n bytes more than there are.
func (b *buffer) grow(n int) {
	m := NewMemory(len(b.bytes) + n)
	if m != nil {
		b.bytes = append(m.Bytes()[:0], b.bytes...)
	} else {
		b.bytes = slices.Grow(b.bytes, n)
	}
	if b.memory != nil {
		b.memory.Free()
	}
	b.memory = m
}

// recycle empties the buffer for the next builder. Its memory goes with it unless handed over to a batch, which
// sets it to nil before.
func (b *buffer) recycle() {
	if b.memory != nil && b.memory.class > builderClass { // one that is idle holds little
		b.memory.Free()
		b.memory = nil
	}
	clear(b.topics) // the strings are the application's
	if len(b.index) > 64 {
		b.index = nil // clearing takes as long as the map was ever big
	}
	clear(b.index)
	*b = buffer{memory: b.memory, topics: b.topics[:0], index: b.index}
	buffers.Put(b)
}

func (b *buffer) body() []byte { return b.bytes[headroom:] }

// find returns the index of topic, or -1.
func (b *buffer) find(topic string) int {
	if len(b.topics) > fewTopics {
		if i, ok := b.index[topic]; ok {
			return i
		}
		return -1
	}
	for i := range b.topics {
		if b.topics[i].Name == topic {
			return i
		}
	}
	return -1
}

// use returns the index of topic after adding it where it is new.
func (b *buffer) use(topic string) int {
	i := b.find(topic)
	if i >= 0 {
		return i
	}
	if !validTopic(topic) {
		panic("codec: a topic must be 1 to 255 bytes of UTF-8")
	}
	i = len(b.topics)
	if i == MaxTopicsPerBatch {
		panic("codec: no room for another topic: seal the batch first")
	}
	b.topics = append(b.topics, TopicCount{Name: topic})
	b.table += len(topic) + TopicOverhead
	if len(b.topics) > fewTopics {
		b.indexTopics()
	}
	return i
}

func (b *buffer) indexTopics() {
	if b.index == nil {
		b.index = make(map[string]int, 4*fewTopics)
	}
	for i := len(b.index); i < len(b.topics); i++ {
		b.index[b.topics[i].Name] = i
	}
}

// fits reports whether an event with this topic can be added.
func (b *buffer) fits(topic string) bool {
	if b.count == math.MaxUint32 {
		return false
	}
	return len(b.topics) < MaxTopicsPerBatch || b.find(topic) >= 0
}

// append adds an event.
func (b *buffer) append(topic string, enc Encoding, micros int64, headers []Header, payload []byte) {
	if enc > maxEncoding {
		panic("codec: unknown encoding")
	}
	need := EventOverhead + len(payload)
	var headersSize int
	if len(headers) > 0 {
		if headersSize = HeadersSize(headers); headersSize > MaxHeaders {
			panic("codec: headers of more than MaxHeaders bytes")
		}
		need += headersSize
	}
	if b.count == 0 {
		b.last = b.use(topic)
		b.start, b.time = micros, micros
	} else if topic != b.topics[b.last].Name {
		b.last = b.use(topic)
	}
	meta := uint64(b.last)<<topicShift | uint64(enc)<<encodingShift
	if len(headers) > 0 {
		meta |= hasHeaders
	}
	if cap(b.bytes)-len(b.bytes) < need {
		b.grow(need)
	}
	p := b.bytes
	p = appendUvarint(p, meta)
	p = appendUvarint(p, zigzag(micros-b.time))
	if len(headers) > 0 {
		p = appendUvarint(p, uint64(headersSize))
		p = appendHeaders(p, headers)
	}
	p = appendUvarint(p, uint64(len(payload)))
	b.bytes = append(p, payload...)
	b.time = micros
	b.topics[b.last].Count++
	b.count++
}

// appendUvarint is binary.AppendUvarint, small enough to be inlined.
func appendUvarint(p []byte, v uint64) []byte {
	if v < 0x80 {
		return append(p, byte(v))
	}
	return binary.AppendUvarint(p, v)
}
