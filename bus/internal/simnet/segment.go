package simnet

import "net/netip"

// segment is what the two sides of a connection send each other. Positions count bytes; the end takes one.
type segment struct {
	kind segmentKind

	// Of data.
	number uint64 // of this transmission: 1, 2, 3…
	at     uint64 // position of the first byte
	data   []byte
	end    bool // nothing follows

	// Of an acknowledgement.
	of    uint64 // the transmission that it answers, or 0
	next  uint64 // the position that is expected next
	limit uint64 // the position up to which the sender may go
}

type segmentKind uint8

const (
	segmentOpen   segmentKind = iota + 1 // TCP's SYN
	segmentOpened                        // its answer
	segmentData
	segmentAck
	segmentReset
)

// places is how many positions the segment takes.
func (s *segment) places() uint64 {
	if s.end {
		return uint64(len(s.data)) + 1
	}
	return uint64(len(s.data))
}

// connKey tells the connections of a host apart.
type connKey struct {
	port   uint16 // here
	remote netip.AddrPort
}

// receiveSegment takes a segment that has arrived. What is for no connection here is answered by a reset. The lock is held.
func (h *Host) receiveSegment(p packet) {
	key := connKey{p.to.Port(), p.from}
	c := h.conns[key]
	if c == nil && p.segment.kind == segmentOpen && h.listeners[key.port] != nil {
		h.listeners[key.port].open(key, p.segment)
		return
	}
	switch {
	case c != nil:
		c.receive(p.segment)
	case p.segment.kind != segmentReset:
		h.network.send(h, packet{from: p.to, to: p.from, segment: &segment{kind: segmentReset}})
	}
}
