package codec

import "bytes"

// Event is one event of a batch. Topic, Payload and Headers are views of the batch:
// valid for as long as they are held, and holding the batch with them.
type Event struct {
	Topic      string
	TopicIndex int    // of Topic in [Batch.Topics]
	Seq        uint64 // in its log
	Time       int64  // in µs since the Unix epoch, by its origin's clock
	Encoding   Encoding
	Payload    []byte // must not be changed
	Headers    RawHeaders
}

// Clone returns a copy of the event that does not hold on to the batch.
func (e *Event) Clone() Event {
	c := *e
	c.Topic = string([]byte(e.Topic))
	c.Payload = bytes.Clone(e.Payload)
	c.Headers = e.Headers.Clone()
	return c
}

// Reader iterates over the events of an opened batch, allocating nothing. It is a
// value: a copy goes on from where the original is. Not safe for concurrent use;
// each user of a batch opens its own.
type Reader struct {
	body   []byte
	at     int
	topics []TopicCount
	seq    uint64 // of the next event
	time   int64  // of the event before it
}

// Next sets e to the next event and reports whether there was one. It cannot fail:
// [Batch.Open] has checked the whole body.
func (r *Reader) Next(e *Event) bool {
	if r.at >= len(r.body) {
		return false
	}
	var rec record
	r.at, _ = rec.read(r.body, r.at)
	r.time += rec.delta
	e.Topic = r.topics[rec.topic].Name
	e.TopicIndex = int(rec.topic)
	e.Seq = r.seq
	e.Time = r.time
	e.Encoding = rec.encoding
	e.Payload = rec.payload
	e.Headers.p = rec.headers
	r.seq++
	return true
}
