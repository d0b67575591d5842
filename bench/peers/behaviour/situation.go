package behaviour

import (
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/peers/peer"
)

// Situation is something that goes wrong.
type Situation string

// The situations, as the package's comment has them.
const (
	Cuts    Situation = "cuts"
	Outage  Situation = "outage"
	Diamond Situation = "diamond"
	Stop    Situation = "stop"
)

// Situations are all of them.
func Situations() []Situation { return []Situation{Cuts, Outage, Diamond, Stop} }

// Plan is how far a situation goes.
type Plan struct {
	Cuts     int           `json:"cuts"`
	Hole     time.Duration `json:"hole_ns"`   // how long nothing passes, in a cut of what runs over QUIC
	Outage   time.Duration `json:"outage_ns"` // how long nothing passes in an outage
	Rate     float64       `json:"rate"`      // events a second, but in Stop
	Size     int           `json:"size"`      // of an event, in bytes, but in Stop
	Tail     time.Duration `json:"tail_ns"`   // how long the sender goes on when the trouble is over
	Quiet    time.Duration `json:"quiet_ns"`  // without an event for so long, what has not arrived is lost
	Events   int           `json:"events"`    // of Diamond
	Stop     time.Duration `json:"stop_ns"`   // how long the receiver stops
	StopSize int           `json:"stop_size"` // of an event in Stop, in bytes
	Flood    int           `json:"flood"`     // events in Stop
	Limit    time.Duration `json:"limit_ns"`  // of one trial
}

// Usual is long enough for everyone to connect again by their own defaults, and more in Stop than anyone keeps.
func Usual() Plan {
	return Plan{
		Cuts: 20, Hole: 300 * time.Millisecond, Outage: 40 * time.Second, Rate: 5000, Size: 256, Tail: 3 * time.Second, Quiet: 5 * time.Second,
		Events: 20_000, Stop: 4 * time.Second, StopSize: 1 << 10, Flood: 150_000, Limit: 3 * time.Minute,
	}
}

// applies reports whether a system can be in a situation, and says why not.
func applies(s Situation, kind contender.Kind) (why string) {
	switch s {
	case Outage:
		if !kind.IsQUIC() {
			return "not over QUIC"
		}
	case Diamond:
		switch kind {
		case peer.NATS, peer.NATSTLS:
			return "a client has one server at a time"
		case peer.NATSLeaf, peer.NATSLeafTLS:
			return "leaf links in a loop are taken down by both servers"
		case peer.MQTT, peer.MQTTTLS, peer.MQTTOnce:
			return "a client has one broker, and brokers don't pass on"
		case peer.ZeroMQ:
			return "PUSH shares out, and passes on nothing"
		}
	}
	return ""
}

// reconnects reports whether a system connects again by itself. The others are streams, which end with their connection: also gRPC, whose channel
// connects again, but whose streams don't.
func reconnects(kind contender.Kind) bool {
	switch kind {
	case peer.GRPC, peer.GRPCTLS, peer.DRPC, peer.DRPCTLS, peer.LibP2PQUIC, peer.LibP2PTCP:
		return false
	}
	return !kind.IsRaw()
}
