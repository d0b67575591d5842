package tcptransport

import (
	"fmt"
	"slices"
)

// The streams of a connection, as its reader and its writer see them.

// name makes a stream of ours known by its id. writer.mu is held.
func (c *Conn) name(s *Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.live[s]; ok {
		c.named[s.id] = s
	}
}

// streamFor returns the stream of a frame, or nil if it is over. The first frame of a stream opens it.
func (c *Conn) streamFor(h header) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.named[h.stream]; s != nil {
		return s, nil
	}
	if h.stream%2 != c.peerNext%2 {
		if int(h.stream/2+h.stream%2) > c.opened {
			return nil, violation(fmt.Sprintf("frame on stream %d, which was not opened", h.stream))
		}
		return nil, nil
	}
	switch {
	case h.stream < c.peerNext || c.cause != nil:
		return nil, nil
	case h.stream != c.peerNext || h.kind != kindData && h.kind != kindFin:
		return nil, violation(fmt.Sprintf("frame of kind %d begins stream %d, the next is %d", h.kind, h.stream, c.peerNext))
	case c.theirs == maxStreams:
		return nil, violation("too many streams")
	}
	s := newStream(c, false)
	s.id = h.stream
	c.peerNext += 2
	c.theirs++
	c.live[s], c.named[s.id] = struct{}{}, s
	c.arrived = append(c.arrived, s)
	c.offer.notify()
	return s, nil
}

// allowStreams takes note that the peer lets us open more.
func (c *Conn) allowStreams(n uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > maxStreams || c.slots+int(n) > maxStreams {
		return false
	}
	c.slots += int(n)
	c.slot.notify()
	return true
}

// credited takes note that the peer is told of room for n more streams. Until then it may not open any in place of those that
// are over, and what has to be sent for these has a bound. writer.mu is held.
func (c *Conn) credited(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs -= int(n)
}

// forget lets go of a stream that is over in both directions. One that the peer opened makes room for another.
func (c *Conn) forget(s *Stream) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	delete(c.live, s)
	delete(c.named, s.id)
	switch {
	case !s.ours:
		if i := slices.Index(c.arrived, s); i >= 0 { // reset before anybody saw it
			c.arrived = slices.Delete(c.arrived, i, i+1)
		}
	default:
		c.ours--
		if s.id == 0 { // the peer never heard of it
			c.slots++
		}
		c.slot.notify()
	}
	c.mu.Unlock()
	if !s.ours {
		c.writer.creditStream()
	}
}
