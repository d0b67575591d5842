package netem

import "time"

// Profile says how one direction of a link treats packets. The zero value delivers all of them at once. Shares are
// drawn for each packet. What is out of range counts as the nearest value in it.
type Profile struct {
	Delay     time.Duration // from one end to the other
	Jitter    time.Duration // up to so much more, evenly spread; packets stay in order
	Rate      int           // bits per second; 0: no limit
	Queue     int           // bytes that may wait where Rate is a limit; what comes on top is dropped. 0: 64 KiB
	Loss      float64       // share of packets that are lost, each by itself
	Burst     Burst         // packets that are lost together
	Reorder   float64       // share of packets that are held back by 1 ms and 0.2 to 1.2 of Delay, so that later ones overtake
	Duplicate float64       // share of packets that arrive twice, the second time within 1 ms and Delay of the first
}

// Burst is loss that comes in bursts: a chain of two states, as Gilbert's (1960) with everything lost in the bad one. Over a
// long time, Begin·Length / (1 + Begin·Length) of all packets are lost.
type Burst struct {
	Begin  float64 // share of packets, of those outside a burst, at which one begins
	Length float64 // packets in a burst on average; fewer than 1 counts as 1
}

const (
	defaultQueue = 64 << 10
	maxFlying    = 1 << 16 // packets on their way in a direction
)
