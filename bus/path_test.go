package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

// pathOfNobody is of a node without lanes.
func pathOfNobody(t *testing.T) *path {
	n := &Node{ctx: t.Context()}
	n.engine = newEngine(n, 1)
	return newPath(n, nil, nil, 0)
}

// takesAll is a stream that takes what it is given.
type takesAll struct{}

func (takesAll) TryWrite([]byte) (bool, error) { return true, nil }

// An emitter may come to send what a relay passes on in a lane that its own node does not have.
func TestEmitterSendsForAnotherLane(t *testing.T) {
	s := &sender{path: pathOfNobody(t), lane: 3, try: takesAll{}}
	if !s.trySend() {
		t.Error("something is left")
	}
}

// A path that is to end for two reasons ends for the first, whoever comes to end it.
func TestPathEndsForTheFirstReason(t *testing.T) {
	p := pathOfNobody(t)
	n := p.node
	n.engine.paths[p.id] = p
	first, second := new(todo), new(todo)
	n.engine.handle(protocol.Event{Kind: protocol.EventClose, Code: protocol.CodeTooSlow}, 0, first)
	n.engine.handle(protocol.Event{Kind: protocol.EventClose, Code: protocol.CodeNormal}, 0, second)
	n.engine.act(first)
	n.engine.act(second)
	var peer *PeerError
	if !errors.As(context.Cause(p.ctx), &peer) || peer.Code != CloseTooSlow {
		t.Errorf("it ended with %v", context.Cause(p.ctx))
	}
}
