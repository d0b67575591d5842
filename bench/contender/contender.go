package contender

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
)

// Kind names a contender.
type Kind string

// The contenders.
const (
	BusQUIC Kind = "bus/quic" // nodes of the bus over quictransport
	BusTCP  Kind = "bus/tcp"  // nodes of the bus over tcptransport
	RawQUIC Kind = "raw/quic" // quic-go alone, with its defaults
	RawTLS  Kind = "raw/tls"  // crypto/tls over TCP
	RawTCP  Kind = "raw/tcp"  // TCP, not encrypted
)

// IsBus reports whether the contender is the bus, and not a baseline.
func (k Kind) IsBus() bool { return k == BusQUIC || k == BusTCP }

// IsQUIC reports whether the contender runs over QUIC, and not over TCP.
func (k Kind) IsQUIC() bool { return strings.HasSuffix(string(k), "/quic") }

// IsRaw reports whether the contender is a baseline.
func (k Kind) IsRaw() bool { return k == RawQUIC || k == RawTLS || k == RawTCP }

// Maker makes an end that has no connection yet. [New] is one.
type Maker func(Config) (End, error)

// End is one end of a conversation. Listen and Dial come first, then Ready; Send and Flush belong to one goroutine.
type End interface {
	// Listen accepts connections at Config.Address and returns where.
	Listen(ctx context.Context) (addr string, err error)
	// Dial connects, and returns when what the other end sends from now on arrives.
	Dial(ctx context.Context, addr string) error
	// Ready waits until what is sent from now on arrives at as many ends that dialled this one, or at the
	// end that this one dialled.
	Ready(ctx context.Context, dialled int) error
	// Send sends a message to every connected end, which it may keep back until Flush. It waits while they can't
	// take more. The payload is free to use again when it returns.
	Send(payload []byte) error
	Flush() error
	// Sent is what went out on the network so far.
	Sent() Traffic
	Close() error
}

// Traffic is what went out on the network: packets and bytes, without the headers of UDP, TCP and IP.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

func (t *Traffic) add(packets, bytes uint64) {
	t.Packets += packets
	t.Bytes += bytes
}

// Topics of the bus. The baselines have none: what is sent goes out.
const (
	There = "bench.there" // from who starts a conversation
	Back  = "bench.back"  // the answers
)

// Config describes an end.
type Config struct {
	Kind Kind
	CA   *certs.CA // issues an identity for the end
	// Address is the IPv4 address to listen at. Default 127.0.0.1.
	Address string

	// Topic is what Send emits, "" for an end that does not.
	Topic string
	// Unheard has nobody listen for it: Ready does not wait for a listener.
	Unheard bool
	// Pattern is what Receive gets, "" for an end that listens for nothing. A baseline reads all the same.
	Pattern string
	// Subscriptions is how many there are in all, of which one, with Pattern, matches. At least 1 where there is a Pattern.
	Subscriptions int
	// Receive is called for each message. It must not keep the payload.
	Receive func(payload []byte)
	// Told is called with what the contender says of trouble, beside the errors of its methods. It may be nil.
	Told func(Notice)
	// Relay has the end pass on what the ends that dialled it send, to those that it dialled.
	Relay bool

	Compression codec.Mode
	Borrow      bool // the handlers of the bus: bus.Borrow
	// Lanes is bus.Config.Lanes. Where there are several, Send spreads messages over them, and those of one lane keep their order.
	Lanes int
	// Sharing is how many ends of this process share the memory that one node has by default for what it sent. At least 1.
	Sharing    int
	Congestion string // of TCP; "" is the system's
	// Count has Sent count for the bus over QUIC, on a socket of this package's own: what the transport does with
	// its own socket is not measured then.
	Count bool
}

// Notice is something that a contender says to the program that uses it.
type Notice struct {
	Text string
	// Lost is how many events it says are lost, 0 if it gives no number.
	Lost uint64
}

// Host is the address to listen at.
func (c Config) Host() string { return cmp.Or(c.Address, "127.0.0.1") }

// Local is the address to listen at, with any free port.
func (c Config) Local() string { return c.Host() + ":0" }

func (c Config) tell(n Notice) {
	if c.Told != nil {
		c.Told(n)
	}
}

// New makes an end that has no connection yet.
func New(c Config) (End, error) {
	switch c.Kind {
	case BusQUIC, BusTCP:
		return newBusEnd(c)
	case RawQUIC, RawTLS, RawTCP:
		n, err := newNetwork(c)
		if err != nil {
			return nil, err
		}
		return NewStreams(c, n), nil
	}
	return nil, fmt.Errorf("no contender is called %q", c.Kind)
}
