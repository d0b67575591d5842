package codec

import "math"

// Unsealed is the content of a batch, taken out of its [Builder]. It must be sealed
// exactly once, or the log has a hole. The zero value is empty. Not safe for
// concurrent use, but independent of the builder and of what it builds next.
type Unsealed struct {
	log   LogID
	first uint64
	buf   *buffer
}

// Count returns the number of events.
func (u *Unsealed) Count() int {
	if u.buf == nil {
		return 0
	}
	return int(u.buf.count)
}

// Seal makes the batch, compressed by c (nil: not compressed), and leaves u empty.
// It returns nil where u is empty already. The batch takes no more than twice its
// size in memory, and a few hundred bytes.
func (u *Unsealed) Seal(c *Compressor) *Batch {
	buf := u.buf
	if buf == nil {
		return nil
	}
	u.buf = nil
	h := batchHeader{
		log:     u.log,
		first:   u.first,
		count:   buf.count,
		time:    buf.start,
		rawSize: len(buf.body()),
		topics:  buf.topics,
	}
	for i := range buf.topics {
		h.topicsSize += topicEntrySize(buf.topics[i])
	}
	var body []byte
	h.compression, body = c.compress(buf.body())

	b := newBatch(buf.withHeader(&h, body))
	if err := b.parseHeader(math.MaxInt); err != nil {
		panic("codec: sealed what cannot be parsed: " + err.Error())
	}
	if h.compression == CompressionOff {
		b.opened.Store(asStored)
	}
	buf.recycle()
	return b
}

// withHeader returns the header and body of a batch in one slice, and the memory that it is in. Where the body is
// the buffer's own and fills at least half of it, that is the buffer itself, which
// the batch then owns; otherwise it is a copy, in a memory of its own if there is one so large.
func (b *buffer) withHeader(h *batchHeader, body []byte) ([]byte, *Memory) {
	size := h.size()
	if h.compression == CompressionOff && size <= headroom && len(body) >= cap(b.bytes)/2 {
		at := headroom - size
		h.append(b.bytes[at:at:headroom])
		m := b.memory
		b.memory = nil
		return b.bytes[at:len(b.bytes):len(b.bytes)], m
	}
	m := NewMemory(size + len(body))
	var p []byte
	if m != nil {
		p = m.Bytes()[:0]
	} else {
		p = make([]byte, 0, size+len(body))
	}
	return append(h.append(p), body...), m
}
