package codec

const (
	// An event's first number is topic index<<topicShift | encoding<<encodingShift | hasHeaders.
	hasHeaders    = 1
	encodingShift = 1
	encodingMask  = 3
	topicShift    = 3

	// TopicOverhead bounds what a topic takes in the header of a batch beyond its
	// own length, in bytes.
	TopicOverhead = 2 + 5

	// EventOverhead bounds what an event takes in a batch beyond its payload and
	// its headers ([HeadersSize]), in bytes.
	EventOverhead = 2 + maxVarint + 3 + maxVarint
)

// record is an event as it is in a body.
type record struct {
	topic    uint64
	encoding Encoding
	delta    int64
	headers  []byte
	payload  []byte
}

// read sets rec to the event at body[at:] and returns the position after it, or
// what is wrong with it. It does not look into the headers.
func (rec *record) read(body []byte, at int) (next int, wrong string) {
	meta, at := uvarint(body, at)
	if at < 0 {
		return 0, "bad meta"
	}
	delta, at := uvarint(body, at)
	if at < 0 {
		return 0, "bad time"
	}
	rec.topic = meta >> topicShift
	rec.encoding = Encoding(meta >> encodingShift & encodingMask)
	rec.delta = unzigzag(delta)
	if meta&hasHeaders != 0 {
		var size uint64
		if size, at = uvarint(body, at); at < 0 || size > MaxHeaders || size > uint64(len(body)-at) {
			return 0, "bad headers length"
		}
		rec.headers = body[at : at+int(size) : at+int(size)]
		at += int(size)
	}
	size, at := uvarint(body, at)
	if at < 0 || size > uint64(len(body)-at) {
		return 0, "bad payload length"
	}
	rec.payload = body[at : at+int(size) : at+int(size)]
	return at + int(size), ""
}

// checkBody holds a raw body to its batch's header.
func (b *Batch) checkBody(body []byte) error {
	var (
		rec    record
		counts [MaxTopicsPerBatch]uint32
		events uint32
		named  uint64 // topics that events have named so far
	)
	for at := 0; at < len(body); events++ {
		if events == b.Count {
			return malformed("batch body", at, "bytes left after %d events", b.Count)
		}
		rec.headers = nil
		next, wrong := rec.read(body, at)
		switch {
		case wrong != "":
		case rec.topic >= uint64(len(b.Topics)):
			wrong = "no such topic"
		case rec.topic > named:
			wrong = "a topic before those ahead of it in the table"
		case events == 0 && rec.delta != 0:
			wrong = "not at the time of the batch"
		case rec.encoding > maxEncoding:
			wrong = "no such encoding"
		case rec.headers != nil:
			wrong = checkHeaders(rec.headers)
		}
		if wrong != "" {
			return malformed("batch body", at, "event %d of %d: %s", events+1, b.Count, wrong)
		}
		counts[rec.topic]++
		named = max(named, rec.topic+1)
		at = next
	}
	if events != b.Count {
		return malformed("batch body", len(body), "%d events, %d declared", events, b.Count)
	}
	for i := range b.Topics {
		if counts[i] != b.Topics[i].Count {
			return malformed("batch body", len(body), "topic %q: %d events, %d declared",
				b.Topics[i].Name, counts[i], b.Topics[i].Count)
		}
	}
	return nil
}
