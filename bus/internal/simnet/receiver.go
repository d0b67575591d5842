package simnet

// receiveBytes is what a side holds that was not read.
const receiveBytes = 256 << 10

// receiver is the receiving half of a side.
type receiver struct {
	ready []byte              // in order, not read yet
	next  uint64              // the position that is expected
	early map[uint64]*segment // that came before what is expected, by position
	ended bool                // ready is the last

	told uint64 // the limit that the peer was told last
}

// limit is the position up to which there is room.
func (i *receiver) limit() uint64 { return i.next + uint64(max(0, receiveBytes-len(i.ready))) }

// take takes a segment in, and reports whether it is held now, and whether there is more to read.
func (i *receiver) take(s *segment) (held, more bool) {
	switch {
	case s.at < i.next: // a copy
		return true, false
	case s.at+uint64(len(s.data)) > i.limit():
		return false, false
	case s.at > i.next:
		if i.early == nil {
			i.early = make(map[uint64]*segment)
		}
		i.early[s.at] = s
		return true, false
	}
	for ; s != nil; s = i.early[i.next] {
		delete(i.early, s.at)
		i.ready = append(i.ready, s.data...)
		i.next += s.places()
		i.ended = s.end
	}
	return true, true
}

// receiveData takes a segment of data. One that finds no room is answered as well: it may have been sent to ask for some.
func (c *Conn) receiveData(s *segment) {
	held, more := c.in.take(s)
	if more {
		c.changed.tell()
	}
	if held {
		c.acknowledge(s.number)
	} else {
		c.acknowledge(0)
	}
}

// read moves bytes to p. It reports whether the peer should hear of the room.
func (i *receiver) read(p []byte) (n int, update bool) {
	n = copy(p, i.ready)
	if i.ready = i.ready[n:]; len(i.ready) == 0 {
		i.ready = nil
	}
	return n, i.limit()-i.told >= receiveBytes/4
}

// acknowledge tells the peer what has arrived, as the answer to a transmission or, for 0, unasked.
func (c *Conn) acknowledge(of uint64) {
	c.in.told = c.in.limit()
	c.send(&segment{kind: segmentAck, of: of, next: c.in.next, limit: c.in.told})
}
