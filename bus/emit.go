package bus

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/bus/internal/topic"
	"github.com/verbose-bus/verbose/codec"
)

var argBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Emit emits an event whose payload is the values, encoded by Config.Encoding. It
// returns once the event is accepted: every node that listens for it then
// gets it, or is told that it can't. Emit waits under ctx while the buffer is full for
// connected peers, as Config.Overflow says. It may be called concurrently.
func (n *Node) Emit(ctx context.Context, topic string, args ...any) error {
	return n.emitArgs(ctx, Message{Topic: topic, Args: args})
}

// EmitBytes emits an event with the payload as it is, which is copied. It allocates nothing in
// steady state, and otherwise is as Emit.
func (n *Node) EmitBytes(ctx context.Context, topic string, payload []byte) error {
	_, _, err := n.emit(ctx, &draft{topic: topic, payload: payload}, topic)
	return err
}

// EmitMessage emits an event with headers, a key or other particulars. The receipt
// tells when it is done with.
func (n *Node) EmitMessage(ctx context.Context, m Message) (Receipt, error) {
	if m.Args != nil && m.Payload != nil {
		return Receipt{}, fmt.Errorf("bus: a message has either Args or a Payload")
	}
	buf := argBuffers.Get().(*[]byte)
	defer argBuffers.Put(buf)
	d, key, err := n.draft(m, buf)
	if err != nil {
		return Receipt{}, err
	}
	lane, seq, err := n.emit(ctx, &d, key)
	return Receipt{node: n, lane: lane, Seq: seq}, err
}

func (n *Node) emitArgs(ctx context.Context, m Message) error {
	buf := argBuffers.Get().(*[]byte)
	defer argBuffers.Put(buf)
	if m.Args == nil {
		m.Args = []any{}
	}
	d, key, err := n.draft(m, buf)
	if err != nil {
		return err
	}
	_, _, err = n.emit(ctx, &d, key)
	return err
}

// draft encodes a message, into buf if it has values.
func (n *Node) draft(m Message, buf *[]byte) (d draft, key string, err error) {
	d = draft{topic: m.Topic, payload: m.Payload, plain: m.Uncompressed}
	if m.Args != nil {
		if *buf, err = codec.AppendArgs((*buf)[:0], n.cfg.Encoding, m.Args...); err != nil {
			return d, "", err
		}
		d.encoding, d.payload = n.cfg.Encoding, *buf
	}
	for _, h := range m.Headers {
		d.headers = append(d.headers, codec.Header(h))
	}
	if size := codec.HeadersSize(d.headers); size > codec.MaxHeaders {
		return d, "", fmt.Errorf("%w: headers of %d bytes, at most %d are allowed", ErrTooLarge, size, codec.MaxHeaders)
	}
	if key = m.Key; key == "" {
		key = m.Topic
	}
	return d, key, nil
}

func (n *Node) emit(ctx context.Context, d *draft, key string) (lane uint8, seq uint64, err error) {
	if len(d.payload) > n.cfg.MaxEvent {
		return 0, 0, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(d.payload), n.cfg.MaxEvent)
	}
	if err := ctx.Err(); err != nil {
		return 0, 0, context.Cause(ctx)
	}
	if len(n.lanes) > 1 {
		lane = uint8(maphash.String(n.seed, key) % uint64(len(n.lanes)))
	}
	seq, err = n.lanes[lane].emit(ctx, d)
	return lane, seq, err
}

// checkTopic validates a topic, and remembers it: the next event most often has the same.
func (l *lane) checkTopic(name string) error {
	if err := topic.Validate(name); err != nil {
		return err
	}
	l.valid = string([]byte(name))
	l.wanted.turn()
	l.late.turn()
	return nil
}

// Receipt is the proof that an event was accepted. Its zero value is of no event.
type Receipt struct {
	node *Node
	lane uint8
	Seq  uint64 // the event's number in its lane
}

// Done waits until the event is done with at every peer that wants it and is connected or at the other end of a link: all
// handlers there have returned, or, at a node that only passes it on, it is held. The peer of a link is waited for while it is away, and
// before it has answered at all, until it is forgotten or the link is closed, so ctx had better end. Done returns a *GapError if the event is in
// one that a receiver reports, or in one of the last 1,024 reported.
func (r Receipt) Done(ctx context.Context) error {
	if r.node == nil {
		return nil
	}
	e := r.node.engine
	r.node.lanes[r.lane].flush()
	w := &waiter{lane: r.lane, seq: r.Seq}
	e.mu.Lock()
	w.gap = e.reported.find(r.lane, r.Seq)
	e.waiters[w] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.waiters, w)
		e.mu.Unlock()
	}()
	willWait(ctx)
	var gap *GapError
	done := e.await(ctx.Done(), func(m *protocol.Machine, _ time.Duration) bool {
		gap = w.gap
		_, done := m.DoneAt(r.lane, r.Seq)
		return done || gap != nil
	})
	switch {
	case gap != nil:
		return gap
	case done:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return ErrClosed
}

// WaitInterest waits until a node that can be reached listens for the topic.
func (n *Node) WaitInterest(ctx context.Context, name string) error {
	if err := topic.Validate(name); err != nil {
		return err
	}
	return n.waitFor(ctx, func(m *protocol.Machine, _ time.Duration) bool { return m.Heard(name) })
}

// waitFor waits for a state of the machine.
func (n *Node) waitFor(ctx context.Context, look func(m *protocol.Machine, now time.Duration) bool) error {
	willWait(ctx)
	switch {
	case n.engine.await(ctx.Done(), look):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return ErrClosed
}

// Drain waits until everything emitted is done at every connected peer, and at those
// about to return: peers of open links, and peers that vanished less than Timeout ago.
// What this node relays counts, too. When ctx ends first, the *DrainError says what is left and where.
func (n *Node) Drain(ctx context.Context) error {
	for _, l := range n.lanes {
		l.flush()
	}
	// A peer that vanished and does not return stops counting without an event of its own.
	again := time.AfterFunc(n.cfg.Timeout, n.engine.lookAgain)
	defer again.Stop()
	var left []protocol.Pending
	err := n.waitFor(ctx, func(m *protocol.Machine, now time.Duration) bool {
		again.Reset(n.cfg.Timeout / 4)
		left = m.Pending(now, n.cfg.Timeout)
		return len(left) == 0
	})
	if err == nil || err == ErrClosed {
		return err
	}
	drain := &DrainError{Err: err}
	for _, p := range left {
		drain.Pending = append(drain.Pending, PendingPeer{p.Peer, p.Events})
	}
	return drain
}
