package bus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Errors that callers branch on.
var (
	// ErrClosed is returned by a node, link or subscription that was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrTooLarge is returned for a payload larger than Config.MaxEvent, or headers larger
	// than codec.MaxHeaders.
	ErrTooLarge = errors.New("bus: event is too large")
	// ErrBufferFull is returned under the policy Reject while connected peers lag
	// behind by Config.BufferMax events or Config.BufferBytes bytes.
	ErrBufferFull = errors.New("bus: buffer is full: connected peers lag behind")
	// ErrWouldBlock is returned by Emit inside a handler, where waiting for room
	// could wait for the handler itself.
	ErrWouldBlock = errors.New("bus: emit would block inside a handler")
	// ErrNotConnected is returned for a peer that is not connected.
	ErrNotConnected = errors.New("bus: peer is not connected")
)

// ConfigError says which field of a [Config] can't be used.
type ConfigError struct {
	Field string
	Text  string
}

func (e *ConfigError) Error() string { return "bus: Config." + e.Field + ": " + e.Text }

// Origin is one run of one node: a restart is a new epoch.
type Origin struct {
	Node  uuid.UUID
	Epoch uint64
}

// Reason says why events are missing.
type Reason uint8

// The reasons of a gap.
const (
	ReasonBuffer     Reason = 1 // BufferMax or BufferBytes was reached
	ReasonExpired    Reason = 2 // they were older than BufferTimeout
	ReasonGone       Reason = 3 // no node that can be reached holds them
	ReasonTooLarge   Reason = 4 // larger than the receiver takes
	ReasonDecode     Reason = 5 // they arrived and can't be read
	ReasonStalled    Reason = 6 // the subscription made no progress for BlockTimeout
	ReasonOverflow   Reason = 7 // the subscription's queue was full
	ReasonUnfinished Reason = 8 // the origin ended without saying where
)

var reasonTexts = [...]string{
	ReasonBuffer:     "a buffer bound was reached",
	ReasonExpired:    "older than BufferTimeout",
	ReasonGone:       "no reachable node holds them",
	ReasonTooLarge:   "larger than the receiver takes",
	ReasonDecode:     "the batch can't be read",
	ReasonStalled:    "the subscription made no progress",
	ReasonOverflow:   "the subscription's queue was full",
	ReasonUnfinished: "the origin ended without saying where",
}

// String is the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasonTexts) && reasonTexts[r] != "" {
		return reasonTexts[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// GapError is a range of events of one origin and lane that a receiver misses
// for good. It leaves out nothing that is missing. It may include events that the
// receiver did not listen for, and where a subscription gave up some events (ReasonOverflow,
// ReasonStalled) of a batch in which others did not match its pattern, all of that batch.
type GapError struct {
	Origin   Origin
	Lane     uint8
	From, To uint64    // sequence numbers, both included; To is 0 if nobody knows where it ends (ReasonUnfinished)
	Receiver uuid.UUID // who misses them
	Reason   Reason
}

func (e *GapError) Error() string {
	if e.To == 0 {
		return fmt.Sprintf("bus: events from %d on of %s (lane %d) may be missing: %s", e.From, e.Origin.Node, e.Lane, e.Reason)
	}
	return fmt.Sprintf("bus: events %d to %d of %s (lane %d) are missing: %s", e.From, e.To, e.Origin.Node, e.Lane, e.Reason)
}

// DrainError says what a Drain that ended early leaves behind, and where.
type DrainError struct {
	Pending []PendingPeer
	Err     error // of the context
}

// PendingPeer is a peer that is not done with what it is owed.
type PendingPeer struct {
	Peer   uuid.UUID // uuid.Nil: a link that was never up
	Events uint64
}

func (e *DrainError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bus: not drained: %v", e.Err)
	for _, p := range e.Pending {
		who := p.Peer.String()
		if p.Peer == uuid.Nil {
			who = "a link that was never up"
		}
		fmt.Fprintf(&b, "; %d events at %s", p.Events, who)
	}
	return b.String()
}

// Unwrap returns the context's error.
func (e *DrainError) Unwrap() error { return e.Err }
