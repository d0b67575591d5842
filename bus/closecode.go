package bus

import (
	"fmt"

	"github.com/google/uuid"
)

// CloseCode tells a peer why a connection ended (PROTOCOL.md, "Close codes"). Transports carry it as
// their application error code.
type CloseCode uint32

// The close codes. Their numbers are on the wire and never change meaning.
const (
	CloseNormal       CloseCode = 0  // the node was closed or the peer disconnected on purpose
	CloseInternal     CloseCode = 1  // a bug or a lack of resources on the closing side
	CloseViolation    CloseCode = 2  // the peer broke the protocol
	CloseVersion      CloseCode = 3  // no protocol version in common
	CloseChannel      CloseCode = 4  // the peer's Config.Channel is another
	CloseUntrusted    CloseCode = 5  // the peer's certificate is not trusted here
	CloseWrongID      CloseCode = 6  // the peer is not the node that was expected
	CloseFull         CloseCode = 7  // Config.MaxPeers is reached
	CloseSelf         CloseCode = 8  // the node dialled itself
	CloseSuperseded   CloseCode = 9  // a newer run of the same node id is connected
	CloseSurplus      CloseCode = 10 // another path to the same peer is better
	CloseTimeout      CloseCode = 11 // silent for longer than Config.Timeout
	CloseHelloTimeout CloseCode = 12 // no hello in time
	CloseTooSlow      CloseCode = 13 // the overflow policy Disconnect cut a laggard off
)

var closeTexts = [...]struct{ name, advice string }{
	CloseNormal:       {"normal", "the peer ended the connection"},
	CloseInternal:     {"internal", "the peer failed; its log says why"},
	CloseViolation:    {"violation", "a peer broke the protocol; run the same release on both sides"},
	CloseVersion:      {"version", "no protocol version in common; upgrade the older node"},
	CloseChannel:      {"channel", "the nodes have different channels; give both the same channel"},
	CloseUntrusted:    {"untrusted", "the certificate is not trusted; issue both nodes' certificates from the same CA"},
	CloseWrongID:      {"wrong id", "another node answers at this address; correct the address or the expected id"},
	CloseFull:         {"full", "the node has all the peers it accepts; raise its MaxPeers or connect elsewhere"},
	CloseSelf:         {"self", "the address leads back to the node itself; connect to another"},
	CloseSuperseded:   {"superseded", "a newer run of the same node id is connected; give each process an identity of its own"},
	CloseSurplus:      {"surplus", "another path to the same peer is in use"},
	CloseTimeout:      {"timeout", "the peer was silent for too long"},
	CloseHelloTimeout: {"hello timeout", "the peer connected and did not introduce itself"},
	CloseTooSlow:      {"too slow", "the peer did not keep up and its policy is to be disconnected"},
}

// String is the code's name, such as "channel".
func (c CloseCode) String() string {
	if int(c) < len(closeTexts) {
		return closeTexts[c].name
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// Advice says in a few words what the code means and what to do about it.
func (c CloseCode) Advice() string {
	if int(c) < len(closeTexts) {
		return closeTexts[c].advice
	}
	return "the peer gave a reason this release does not know; upgrade the older node"
}

// PeerError is the end of a connection, or of an attempt at one, that a side
// gave a code for.
type PeerError struct {
	Code   CloseCode
	Peer   uuid.UUID // uuid.Nil if the peer was not known yet
	Remote bool      // the peer closed, not this side
	Reason string    // what the closing side said
	Err    error     // the transport's own error, if any
}

func (e *PeerError) Error() string {
	side := "closed here"
	if e.Remote {
		side = "closed by the peer"
	}
	text := fmt.Sprintf("%s (%s): %s", side, e.Code, e.Code.Advice())
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Unwrap returns the transport's own error.
func (e *PeerError) Unwrap() error { return e.Err }
