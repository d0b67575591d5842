package protocol

import (
	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/codec"
)

// PathID names one connection to a peer; the owner chooses it and never reuses it.
type PathID uint64

// LinkID names one of the owner's links; never 0 and never reused.
type LinkID uint64

// Kind tells which fields of an [Event] are set.
type Kind uint8

// The kinds of events.
const (
	EventControl   Kind = iota + 1 // Path: PollControl has something
	EventData                      // Path, Lane: PollData has something
	EventDeliver                   // Log, First, Last, Batch: dispatch, then call Dispatched
	EventGap                       // Log, First, Last, Reason: dispatch, then call Dispatched
	EventReport                    // Log, First, Last, Reason, Peer: a receiver misses events of ours
	EventClose                     // Path, Code, Text: close the connection
	EventUp                        // Path, Peer, Text (name): a path was accepted by both sides
	EventPeerUp                    // Path, Peer: the first path to the peer
	EventPeerDown                  // Path, Peer, Code, Text: its last path is gone
	EventForget                    // Peer: a peer absent for too long is forgotten
	EventRoom                      // Lane: a log of our own has room again, or released events
	EventInterest                  // the interest of others changed
	EventConfirmed                 // Version: every node reachable knows our patterns of that version
	EventLaggard                   // Peer, Log: it made no progress for BlockTimeout and drops now
	EventStalled                   // Log, First: local consumers of that entry block their log too long
	EventPong                      // Path, Token
	EventRefused                   // Log, Text: a log of another was not taken on
	EventBye                       // Path, Count: the peer leaves after Count data streams end
	EventSilent                    // Path, Peer: the peer does not answer on the path
	EventHeard                     // Path, Peer: it does again
	EventDisputed                  // another speaks in our name: a member that lies, or another run of this node, which may be over
	EventDone                      // something may have been done at a peer: receipts and Drain look again
)

// Event is one thing the owner has to act on.
type Event struct {
	Kind    Kind
	Path    PathID
	Lane    uint8
	Peer    uuid.UUID
	Log     codec.LogID
	First   uint64
	Last    uint64 // 0 in a gap: open-ended
	Batch   *codec.Batch
	Reason  Reason
	Code    Code
	Text    string
	Version uint64
	Token   uint64
	Count   int
}

// Reason says why events are missing.
type Reason uint8

// The reasons of a gap. Their numbers are on the wire (§9).
const (
	ReasonBuffer     Reason = 1 // BufferMax or BufferBytes was reached
	ReasonExpired    Reason = 2 // older than BufferTimeout
	ReasonGone       Reason = 3 // no node that can be reached holds them
	ReasonTooLarge   Reason = 4 // larger than the receiver takes
	ReasonDecode     Reason = 5 // the batch arrived and cannot be read
	ReasonStalled    Reason = 6 // the subscription made no progress for BlockTimeout
	ReasonOverflow   Reason = 7 // the subscription's queue was full
	ReasonUnfinished Reason = 8 // the origin ended without saying where
	reasonUnjudged   Reason = 9 // skipped by a node that did not know of the receiver: never declared
)

// Code is a close code as the protocol uses it; bus.CloseCode has the table.
type Code uint32

// The codes that the protocol itself closes with.
const (
	CodeNormal       Code = 0
	CodeInternal     Code = 1
	CodeViolation    Code = 2
	CodeVersion      Code = 3
	CodeChannel      Code = 4
	CodeWrongID      Code = 6
	CodeFull         Code = 7
	CodeSelf         Code = 8
	CodeSuperseded   Code = 9
	CodeSurplus      Code = 10
	CodeTimeout      Code = 11
	CodeHelloTimeout Code = 12
	CodeTooSlow      Code = 13
)
