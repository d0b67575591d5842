package codec

import "math"

// Builder collects the open batch of one log. Not safe for concurrent use; what
// [Builder.Take] returns may be sealed elsewhere at the same time.
type Builder struct {
	log  LogID
	next uint64
	buf  *buffer // nil where no event is open
}

// NewBuilder returns a builder for a log whose next event is number first. It
// panics where first is 0 or the lane above [MaxLane].
func NewBuilder(log LogID, first uint64) *Builder {
	if first == 0 || log.Lane > MaxLane {
		panic("codec: a log begins at 1, and its lane is at most MaxLane")
	}
	return &Builder{log: log, next: first}
}

// Fits reports whether the open batch has room for an event of this topic: it has
// until its topic table is full. Where it does not, take or seal the batch first.
func (b *Builder) Fits(topic string) bool {
	return b.buf == nil || b.buf.fits(topic)
}

// Append adds an event, which gets the number [Builder.Next] returned before.
// micros is its time in µs since the Unix epoch. The payload and the headers are
// copied; topic is held on to until the batch is sealed.
//
// Append allocates nothing once buffers have grown to their size, and is fastest
// where the topic is that of the event before. Size is the caller's to bound.
//
// It panics on what its caller must not let through: a topic that is not valid
// UTF-8 of 1 to [MaxTopic] bytes or does not fit, headers of more than
// [MaxHeaders] bytes, an unknown encoding, a log that is at its end.
func (b *Builder) Append(topic string, enc Encoding, micros int64, headers []Header, payload []byte) {
	if b.next == math.MaxUint64 {
		panic("codec: sequence numbers used up")
	}
	if b.buf == nil {
		b.buf = newBuffer()
	}
	b.buf.append(topic, enc, micros, headers, payload)
	b.next++
}

// Next returns the number the next event gets.
func (b *Builder) Next() uint64 { return b.next }

// Count returns the number of events in the open batch.
func (b *Builder) Count() int {
	if b.buf == nil {
		return 0
	}
	return int(b.buf.count)
}

// Size returns the size of the open batch in bytes, before compression, give or
// take a few dozen on the safe side: the sealed batch is never larger. An empty
// one has size 0. The next event adds at most [EventOverhead], its headers and
// payload, and its topic with [TopicOverhead] where that is new to the batch.
func (b *Builder) Size() int {
	if b.Count() == 0 {
		return 0
	}
	return maxFixedHeader + b.buf.table + len(b.buf.body())
}

// Take takes the events out of the open batch, to be sealed without the builder.
// The builder goes on with the number after them. Taking is cheap, sealing may not
// be: take under the lock that guards the builder, and seal after unlocking.
func (b *Builder) Take() Unsealed {
	buf := b.buf
	if b.Count() == 0 {
		return Unsealed{}
	}
	b.buf = nil
	return Unsealed{log: b.log, first: b.next - uint64(buf.count), buf: buf}
}

// Seal seals the open batch, with c as in [Unsealed.Seal], and goes on with the
// number after it. It returns nil where the batch is empty.
func (b *Builder) Seal(c *Compressor) *Batch {
	u := b.Take()
	return u.Seal(c)
}
