package codec

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	wireVersion = 1

	// minRecord is the size of the smallest event in a body: meta, time, payload length.
	minRecord = 3
	// minTopicEntry is the size of the smallest entry of the topic table.
	minTopicEntry = 3

	// maxFixedHeader bounds the header of a batch without its topic table.
	maxFixedHeader = 1 + 1 + 16 + 4*maxVarint + 5
)

// batchHeader is what the header of a batch is written from.
type batchHeader struct {
	log         LogID
	first       uint64
	count       uint32
	time        int64
	compression Compression
	rawSize     int
	topics      []TopicCount
	topicsSize  int // what the entries of topics take, see topicEntrySize
}

func (h *batchHeader) size() int {
	return 1 + 1 + len(h.log.Node) +
		uvarintLen(h.log.Epoch) + uvarintLen(h.first) + uvarintLen(uint64(h.count)) +
		uvarintLen(zigzag(h.time)) + uvarintLen(uint64(h.rawSize)) +
		uvarintLen(uint64(len(h.topics))) + h.topicsSize
}

func (h *batchHeader) append(dst []byte) []byte {
	dst = append(dst, wireVersion<<4|byte(h.compression), h.log.Lane)
	dst = append(dst, h.log.Node[:]...)
	dst = binary.AppendUvarint(dst, h.log.Epoch)
	dst = binary.AppendUvarint(dst, h.first)
	dst = binary.AppendUvarint(dst, uint64(h.count))
	dst = binary.AppendUvarint(dst, zigzag(h.time))
	dst = binary.AppendUvarint(dst, uint64(h.rawSize))
	dst = binary.AppendUvarint(dst, uint64(len(h.topics)))
	for i := range h.topics {
		dst = appendString(dst, h.topics[i].Name)
		dst = binary.AppendUvarint(dst, uint64(h.topics[i].Count))
	}
	return dst
}

func topicEntrySize(t TopicCount) int {
	return stringSize(t.Name) + uvarintLen(uint64(t.Count))
}

// headerParser reads a header front to back. After its first error it reads zeros.
type headerParser struct {
	p   []byte
	at  int
	err error
}

func (r *headerParser) fail(at int, format string, args ...any) {
	if r.err == nil {
		r.err = malformed("batch header", at, format, args...)
	}
}

func (r *headerParser) uvarint(field string) uint64 {
	if r.err != nil {
		return 0
	}
	v, next := uvarint(r.p, r.at)
	if next < 0 {
		r.fail(r.at, "%s is no varint", field)
		return 0
	}
	r.at = next
	return v
}

func (r *headerParser) bytes(field string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.p)-r.at {
		r.fail(r.at, "%s is cut short", field)
		return nil
	}
	p := r.p[r.at : r.at+n]
	r.at += n
	return p
}

// parseHeader sets all fields of b from b.bytes.
func (b *Batch) parseHeader(maxRaw int) error {
	r := headerParser{p: b.bytes}
	b.parseOrigin(&r)
	b.parseRange(&r)
	raw := r.uvarint("body size")
	if r.err == nil && (maxRaw < 0 || raw > uint64(maxRaw)) {
		r.fail(r.at, "a body of %d bytes, %d allowed", raw, maxRaw)
	}
	if r.err == nil && raw/minRecord < uint64(b.Count) {
		r.fail(r.at, "a body of %d bytes for %d events", raw, b.Count)
	}
	b.parseTopics(&r)
	if r.err != nil {
		return r.err
	}
	b.RawSize, b.bodyAt = int(raw), r.at
	switch n := len(b.bytes) - b.bodyAt; {
	case b.Compression == CompressionOff && n != b.RawSize:
		r.fail(r.at, "a body of %d bytes, %d present", b.RawSize, n)
	case b.Compression != CompressionOff && (n == 0 || n >= b.RawSize):
		r.fail(r.at, "a body of %d bytes compressed to %d", b.RawSize, n)
	}
	return r.err
}

func (b *Batch) parseOrigin(r *headerParser) {
	if fixed := r.bytes("version and lane", 2); r.err == nil {
		if v := fixed[0] >> 4; v != wireVersion {
			r.fail(0, "version %d", v)
		}
		if b.Compression = Compression(fixed[0] & 0xf); b.Compression > maxCompression {
			r.fail(0, "%v", b.Compression)
		}
		if b.Log.Lane = fixed[1]; b.Log.Lane > MaxLane {
			r.fail(1, "lane %d", b.Log.Lane)
		}
	}
	if node := r.bytes("node id", len(uuid.UUID{})); r.err == nil {
		b.Log.Node = uuid.UUID(node)
	}
	b.Log.Epoch = r.uvarint("epoch")
}

func (b *Batch) parseRange(r *headerParser) {
	b.First = r.uvarint("first")
	if r.err == nil && b.First == 0 {
		r.fail(r.at, "first is 0")
	}
	count := r.uvarint("count")
	if r.err == nil && (count == 0 || count > math.MaxUint32 || b.First > math.MaxUint64-count) {
		r.fail(r.at, "%d events from %d on", count, b.First)
	}
	b.Count = uint32(count)
	b.Time = unzigzag(r.uvarint("time"))
}

func (b *Batch) parseTopics(r *headerParser) {
	n := r.uvarint("topic count")
	if r.err != nil {
		return
	}
	if n == 0 || n > MaxTopicsPerBatch || n > uint64(b.Count) || n > uint64(len(r.p)-r.at)/minTopicEntry {
		r.fail(r.at, "%d topics for %d events", n, b.Count)
		return
	}
	b.Topics = b.few[:0]
	if n > uint64(len(b.few)) {
		b.Topics = make([]TopicCount, 0, n)
	}
	var total uint64
	for range n {
		at := r.at
		name := r.bytes("topic", int(min(r.uvarint("topic length"), MaxTopic+1)))
		count := r.uvarint("topic events")
		if r.err != nil {
			return
		}
		if !validTopic(view(name)) {
			r.fail(at, "topic %.*q", MaxTopic, name)
			return
		}
		total += count
		if count == 0 || count > uint64(b.Count) {
			r.fail(at, "topic %q with %d of %d events", name, count, b.Count)
			return
		}
		b.Topics = append(b.Topics, TopicCount{view(name), uint32(count)})
	}
	if total != uint64(b.Count) {
		r.fail(r.at, "topics add up to %d of %d events", total, b.Count)
		return
	}
	if name, again := repeated(b.Topics); again {
		r.fail(r.at, "topic %q twice", name)
	}
}

// validTopic holds topics to what the format needs of them. Their grammar is the bus's.
func validTopic(s string) bool {
	return len(s) > 0 && len(s) <= MaxTopic && utf8.ValidString(s)
}

// repeated returns a topic that is there twice.
func repeated(topics []TopicCount) (string, bool) {
	const few = 16
	if len(topics) <= few {
		for i := range topics {
			for j := range i {
				if topics[i].Name == topics[j].Name {
					return topics[i].Name, true
				}
			}
		}
		return "", false
	}
	seen := make(map[string]struct{}, len(topics))
	for i := range topics {
		if _, ok := seen[topics[i].Name]; ok {
			return topics[i].Name, true
		}
		seen[topics[i].Name] = struct{}{}
	}
	return "", false
}
