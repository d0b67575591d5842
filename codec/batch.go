package codec

import (
	"sync"
	"sync/atomic"
)

const (
	// MaxTopic is the longest topic, in bytes. The shortest has one.
	MaxTopic = 255
	// MaxTopicsPerBatch is the highest number of distinct topics in a batch.
	MaxTopicsPerBatch = 1024
)

// TopicCount is a topic of a batch and the number of its events there, which is
// not zero. Name is valid UTF-8 of 1 to [MaxTopic] bytes.
type TopicCount struct {
	Name  string
	Count uint32
}

// Batch is an immutable run of consecutive events of one log, with its header
// parsed. It aliases the bytes it was parsed from, and so do its topics and its
// events. The exported fields must not be changed. All methods may be called
// concurrently, as long as the batch has a holder ([Batch.Free]).
type Batch struct {
	Log         LogID
	First       uint64 // sequence number of the first event, from 1
	Count       uint32 // number of events, from 1
	Time        int64  // of the first event, in µs since the Unix epoch
	Compression Compression
	RawSize     int          // size of the body before compression, in bytes
	Topics      []TopicCount // distinct, in the order the events first name them

	bytes  []byte // header and body
	bodyAt int    // where the body begins

	// opened is nil until the body has been found good or bad. opening is held
	// while that is being done, so that it is done once.
	opened  atomic.Pointer[opened]
	opening sync.Mutex

	few [2]TopicCount // what Topics points to, where they fit: most batches have one

	holders atomic.Int32
	memory  *Memory // that bytes is in; nil if it is the collector's
}

// Last returns the sequence number of the last event. It is below the highest
// uint64, so that Last()+1 is a sequence number too.
func (b *Batch) Last() uint64 { return b.First + uint64(b.Count) - 1 }

// Bytes returns the batch as it is sent, stored and relayed. They must not be changed.
func (b *Batch) Bytes() []byte { return b.bytes }

// WithEpoch returns the batch as that of another run of its origin, for a batch that no other
// node has seen.
func (b *Batch) WithEpoch(epoch uint64) *Batch {
	log := b.Log
	log.Epoch = epoch
	h := batchHeader{log: log, first: b.First, count: b.Count, time: b.Time,
		compression: b.Compression, rawSize: b.RawSize, topics: b.Topics}
	for _, t := range b.Topics {
		h.topicsSize += topicEntrySize(t)
	}
	p := append(h.append(make([]byte, 0, h.size()+len(b.body()))), b.body()...)
	renewed, err := ParseBatch(p, b.RawSize)
	if err != nil {
		panic("codec: a batch of our own does not parse: " + err.Error())
	}
	return renewed
}

// body returns the body as it is in the batch, compressed or not.
func (b *Batch) body() []byte { return b.bytes[b.bodyAt:] }

// ParseBatch parses the header of the batch that p is, from its first byte to its
// last. It takes p over: the batch aliases it, and p must never change again.
// A batch whose body would be larger than maxRaw bytes when decompressed is
// refused. The body is not looked at; [Batch.Open] does that.
//
// Errors wrap [ErrMalformed]. Equal headers are equal bytes: no second way to write
// one is accepted.
func ParseBatch(p []byte, maxRaw int) (*Batch, error) {
	return ParseBatchIn(p, nil, maxRaw)
}

// ParseBatchIn is ParseBatch of bytes that are in m, which nobody else uses. M is used again when the batch has no holder any more.
func ParseBatchIn(p []byte, m *Memory, maxRaw int) (*Batch, error) {
	b := newBatch(p, m)
	if err := b.parseHeader(maxRaw); err != nil {
		return nil, err
	}
	return b, nil
}
