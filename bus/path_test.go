package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
)

// A path that is to end for two reasons ends for the first, whoever comes to end it.
func TestPathEndsForTheFirstReason(t *testing.T) {
	n := &Node{ctx: t.Context()}
	n.engine = newEngine(n, 1)
	p := newPath(n, nil, nil, 0)
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
