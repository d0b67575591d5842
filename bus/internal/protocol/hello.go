package protocol

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// hello opens the control stream in both directions (§5).
type hello struct {
	min, max uint8 // versions spoken
	node     uuid.UUID
	epoch    uint64
	known    uint64 // the highest epoch of the receiver's id that the sender has seen
	nonce    uint64 // orders a dialler's attempts
	pref     uint8  // the transport's place in the sender's configuration
	maxBatch int
	timeout  time.Duration
	name     string
	channel  string
}

func (h hello) append(b []byte) []byte {
	b = append(b, h.min, h.max)
	b = append(b, h.node[:]...)
	b = binary.AppendUvarint(b, h.epoch)
	b = binary.AppendUvarint(b, h.known)
	b = binary.AppendUvarint(b, h.nonce)
	b = append(b, h.pref)
	b = binary.AppendUvarint(b, uint64(h.maxBatch))
	b = binary.AppendUvarint(b, uint64(h.timeout/time.Millisecond))
	b = appendText(b, h.name)
	return appendText(b, h.channel)
}

// parseHello reads what every version has first, and the rest only of a version we speak.
func parseHello(body []byte) (h hello, err error) {
	r := reader{b: body}
	h.min, h.max = r.byte(), r.byte()
	if r.err == nil && (h.min > Version || h.max < Version) {
		return h, &CloseError{CodeVersion, versionText(h)}
	}
	h.node = r.id()
	h.epoch = r.seq()
	h.known = r.seq()
	h.nonce = r.seq()
	h.pref = r.byte()
	h.maxBatch = int(r.seq())
	h.timeout = time.Duration(min(r.seq(), 1<<31)) * time.Millisecond
	h.name = r.text(maxName)
	h.channel = r.text(maxName)
	return h, r.end("hello")
}
