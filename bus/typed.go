package bus

import (
	"context"

	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

// Topic is a topic whose events carry values of one type. It may be used by
// several nodes, concurrently.
type Topic[T any] struct {
	name  string
	codec codec.Codec[T]
}

// NewTopic names a topic, or, for On alone, a pattern, and how its values are encoded, such as
// codec.JSON[Order]().
func NewTopic[T any](name string, c codec.Codec[T]) (Topic[T], error) {
	if err := topic.ValidatePattern(name); err != nil {
		return Topic[T]{}, err
	}
	return Topic[T]{name, c}, nil
}

// Name is the topic or pattern.
func (t Topic[T]) Name() string { return t.name }

// Emit emits one value, as Node.Emit does.
func (t Topic[T]) Emit(ctx context.Context, n *Node, v T) error {
	buf := argBuffers.Get().(*[]byte)
	defer argBuffers.Put(buf)
	payload, err := t.codec.Append((*buf)[:0], v)
	if err != nil {
		return err
	}
	*buf = payload
	_, _, err = n.emit(ctx, &draft{topic: t.name, encoding: t.codec.Encoding(), payload: payload}, t.name)
	return err
}

// On calls h with each value, as Node.On does. An event whose payload is no such value is
// counted as dropped, and goes to OnGap with ReasonDecode.
func (t Topic[T]) On(n *Node, h func(ctx context.Context, v T, e Event), options ...OnOption) (*Subscription, error) {
	var s *Subscription
	ready := make(chan struct{})
	defer close(ready)
	s, err := n.On(t.name, func(ctx context.Context, e Event) {
		v, err := t.codec.Decode(e.Payload)
		if err != nil {
			<-ready
			s.undecodable(e)
			return
		}
		h(ctx, v, e)
	}, options...)
	return s, err
}

// undecodable reports an event whose payload is not of its topic's type.
func (s *Subscription) undecodable(e Event) {
	s.dropped.Add(1)
	gap := &GapError{Origin: e.Origin, Lane: e.Lane, From: e.Seq, To: e.Seq, Receiver: s.node.cfg.ID, Reason: ReasonDecode}
	s.node.lifecycle.publish(LifecycleEvent{Kind: LifecycleGap, Peer: e.Origin.Node, Gap: gap, Text: s.pattern})
	s.handleGap(gap)
}
