package simnet

import "time"

const (
	segmentBytes = 1448
	sendBytes    = 256 << 10 // written and not acknowledged
	unsentBytes  = 64 << 10  // written and not sent, the least that tcptransport asks of the system (TCP_NOTSENT_LOWAT)
	firstWindow  = 10 * segmentBytes
	reordering   = 3 // later transmissions that have arrived when one counts as lost

	minRetry = 200 * time.Millisecond // Linux's; RFC 6298 has a second
	maxRetry = 120 * time.Second
)

// sender is the sending half of a side: what was written and not acknowledged. Lost segments are found as QUIC does
// (RFC 9002 section 6.1), with a number for each transmission; the congestion window is NewReno's.
type sender struct {
	unsent []byte
	flight []*sent // in order of position
	next   uint64  // position of what is sent next
	limit  uint64  // the peer's
	ending bool    // the end follows what is unsent
	ended  bool    // and was sent

	number  uint64 // of the last transmission
	largest uint64 // that was acknowledged
	reduced uint64 // transmissions up to here were paid for with the window

	window, threshold int // bytes
	rtt, deviation    time.Duration
}

// sent is a segment that was sent and not acknowledged yet.
type sent struct {
	segment segment
	when    time.Time
	acked   bool // but something before it was not
	lost    bool
}

func (o *sender) init() { o.window, o.threshold = firstWindow, sendBytes }

// empty says whether the peer has everything, the end included.
func (o *sender) empty() bool { return o.ended && len(o.flight) == 0 }

// store takes as much as there is room for.
func (o *sender) store(p []byte) int {
	k := max(0, min(len(p), unsentBytes-len(o.unsent), sendBytes-len(o.unsent)-o.waiting()))
	o.unsent = append(o.unsent, p[:k]...)
	return k
}

// waiting is how many bytes were sent and not acknowledged in order.
func (o *sender) waiting() int {
	if len(o.flight) == 0 {
		return 0
	}
	return int(o.next - o.flight[0].segment.at)
}

// onTheWay is how many of them may still arrive.
func (o *sender) onTheWay() (bytes int) {
	for _, s := range o.flight {
		if !s.acked && !s.lost {
			bytes += len(s.segment.data)
		}
	}
	return bytes
}

// transmit has a segment sent, for the first time or again.
func (o *sender) transmit(s *sent) *segment {
	o.number++
	s.segment.number, s.when, s.lost = o.number, time.Now(), false
	copied := s.segment
	return &copied
}

// push sends what may be sent: what was lost first.
func (c *Conn) push() {
	if !c.isOpen || c.err != nil {
		return
	}
	o := &c.out
	room := o.window - o.onTheWay()
	for _, s := range o.flight {
		if s.lost && room > 0 {
			c.send(o.transmit(s))
			room -= len(s.segment.data)
		}
	}
	for room > 0 && !o.ended {
		s := o.cut()
		if s == nil {
			break
		}
		o.flight = append(o.flight, s)
		c.send(o.transmit(s))
		room -= len(s.segment.data)
	}
	if waits := len(o.flight) > 0 || len(o.unsent) > 0; waits && c.retryAt.IsZero() {
		c.retryIn(o.patience(c.retries))
	}
}

// cut takes the next segment off what is unsent; nil if the peer has no room or nothing is left.
func (o *sender) cut() *sent {
	k := min(len(o.unsent), segmentBytes, int(o.limit-min(o.limit, o.next)))
	end := o.ending && k == len(o.unsent)
	if k == 0 && !end {
		return nil
	}
	s := &sent{segment: segment{kind: segmentData, at: o.next, data: append([]byte(nil), o.unsent[:k]...), end: end}}
	if o.unsent = o.unsent[k:]; len(o.unsent) == 0 {
		o.unsent = nil
	}
	o.next += s.segment.places()
	o.ended = end
	return s
}

// acknowledged takes an acknowledgement.
func (c *Conn) acknowledged(ack *segment) {
	o := &c.out
	if o.accept(ack) {
		c.retries, c.retryAt = 0, time.Time{}
		c.changed.tell()
	} else {
		c.retries = min(c.retries, maxOrphan-1) // a peer that answers is not given up
	}
	c.push()
	c.forget()
}

// accept notes what the peer has. It reports whether that is more than before.
func (o *sender) accept(ack *segment) (progress bool) {
	progress = ack.limit > o.limit
	o.limit = max(o.limit, ack.limit)
	o.largest = max(o.largest, ack.of)
	for _, s := range o.flight {
		if s.segment.number == ack.of && !s.acked {
			o.measure(time.Since(s.when))
		}
		if !s.acked && (s.segment.number == ack.of || s.segment.at+s.segment.places() <= ack.next) {
			s.acked, s.lost, progress = true, false, true
			o.grow(len(s.segment.data))
		}
	}
	for len(o.flight) > 0 && o.flight[0].segment.at+o.flight[0].segment.places() <= ack.next {
		o.flight[0] = nil
		o.flight = o.flight[1:]
	}
	for _, s := range o.flight {
		if !s.acked && !s.lost && s.segment.number+reordering <= o.largest {
			s.lost = true
			o.shrink(s.segment.number)
		}
	}
	return progress
}

func (o *sender) grow(bytes int) {
	if o.window < o.threshold {
		o.window += bytes
	} else {
		o.window += segmentBytes * bytes / o.window
	}
	o.window = min(o.window, 2*sendBytes)
}

// shrink halves the window, once for all that was sent before.
func (o *sender) shrink(number uint64) {
	if number > o.reduced {
		o.reduced = o.number
		o.window = max(o.window/2, 2*segmentBytes)
		o.threshold = o.window
	}
}

// giveUp counts all that was not acknowledged as lost. If the peer has no room, it is asked for some.
func (o *sender) giveUp() {
	o.threshold = max(o.window/2, 2*segmentBytes)
	o.window, o.reduced = segmentBytes, o.number
	for _, s := range o.flight {
		s.lost = !s.acked
	}
	if len(o.flight) == 0 && o.limit <= o.next {
		o.limit = o.next + 1
	}
}

// measure is RFC 6298 section 2.
func (o *sender) measure(rtt time.Duration) {
	if o.rtt == 0 { // the first, that of the handshake
		o.rtt, o.deviation = rtt, rtt/2
		return
	}
	o.deviation += ((o.rtt - rtt).Abs() - o.deviation) / 4
	o.rtt += (rtt - o.rtt) / 8
}

// patience is how long to wait for an answer, twice as long with each time that none came.
func (o *sender) patience(retries int) time.Duration {
	d := time.Second
	if o.rtt > 0 {
		d = max(minRetry, o.rtt+4*o.deviation)
	}
	return min(d<<retries, maxRetry)
}
