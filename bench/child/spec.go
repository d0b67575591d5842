package child

import (
	"fmt"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/stats"
	"github.com/verbose-bus/verbose/codec"
)

// Role is what a process does.
type Role string

// The roles.
const (
	Source Role = "source" // sends
	Sink   Role = "sink"   // receives and counts
	Relay  Role = "relay"  // passes on
	Echo   Role = "echo"   // answers each message with itself
)

// Load is how a source sends.
type Load string

// The loads.
const (
	Saturate Load = "saturate"  // as fast as the ends take it
	PingPong Load = "ping-pong" // the next when the answer to the last is there
	Paced    Load = "paced"     // Spec.Rate a second, in an open loop
)

// Spec tells a process what to be.
type Spec struct {
	Role Role           `json:"role"`
	Kind contender.Kind `json:"kind"`
	Load Load           `json:"load"` // of the measurement, whatever the role
	Ends int            `json:"ends"` // how many of its kind are in this process

	Listen  bool   `json:"listen,omitempty"`  // each end listens
	Address string `json:"address,omitempty"` // at this one; "" for loopback
	Dial    string `json:"dial,omitempty"`    // what each end dials
	Dialled int    `json:"dialled,omitempty"` // how many ends dial each one here

	Counts        bool          `json:"counts,omitempty"` // it is this process's events that are measured
	Size          int           `json:"size"`
	Rate          float64       `json:"rate,omitempty"`
	Slot          time.Duration `json:"slot,omitempty"`    // of the timeline; 0 where there is none
	Events        string        `json:"events,omitempty"`  // the file payloads are cut from; "" for random ones
	Unheard       bool          `json:"unheard,omitempty"` // sinks listen for nothing
	Subscriptions int           `json:"subscriptions"`
	Compression   codec.Mode    `json:"compression"`
	Borrow        bool          `json:"borrow"`
	Lanes         int           `json:"lanes,omitempty"`
	Congestion    string        `json:"congestion,omitempty"`
	Count         bool          `json:"count,omitempty"` // count packets, also where that changes the socket
	CA            string        `json:"ca"`              // the directory of the CA
	Profile       string        `json:"profile,omitempty"`
}

// Order is what a process is told after its Spec.
type Order string

// The orders.
const (
	Go    Order = "go"
	Flow  Order = "flow"
	Begin Order = "begin"
	Watch Order = "watch"
	Next  Order = "next"
	End   Order = "end"
	Stop  Order = "stop"
)

// Report answers a Spec or an Order.
type Report struct {
	Error    string            `json:"error,omitempty"`
	Addrs    []string          `json:"addrs,omitempty"` // of the ends that listen, in answer to a Spec
	At       time.Duration     `json:"at"`              // since the process began
	Sent     uint64            `json:"sent"`            // events: each once, however many ends hear it
	Received uint64            `json:"received"`        // events, at all ends together
	Usage    host.Usage        `json:"usage"`
	Traffic  contender.Traffic `json:"traffic"`
	// Latency is a histogram, as stats.Recorder encodes it: of round trips, or from the scheduled time to the receiver.
	// Late is one of how far behind the schedule the source of an open loop sent.
	Latency []byte `json:"latency,omitempty"`
	Late    []byte `json:"late,omitempty"`
	// Timeline is of the events since Watched.
	Timeline *stats.Timeline `json:"timeline,omitempty"`
	Watched  time.Time       `json:"watched,omitzero"`
}

// minStamped is what a paced event needs for the time it was scheduled for, in bytes.
const minStamped = 8

func (s Spec) validate() error {
	switch {
	case s.Ends < 1 || s.Size < 1 || s.Subscriptions < 1:
		return fmt.Errorf("ends, size and subscriptions have to be at least 1: %+v", s)
	case s.Load == Paced && (s.Size < minStamped || s.Rate <= 0):
		return fmt.Errorf("an open loop needs a rate and events of at least %d bytes", minStamped)
	case s.Load != Saturate && s.Role == Source && s.Ends != 1:
		return fmt.Errorf("%s has one source", s.Load)
	}
	return nil
}
