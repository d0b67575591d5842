package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// emitter emits under one topic and sees to it that everything is done.
type emitter struct {
	node    *bus.Node
	topic   string
	key     string
	headers []bus.Header
	say     func(format string, args ...any)
	emitted atomic.Uint64
	checked time.Time // when somebody was last known to listen

	mu  sync.Mutex
	met map[uuid.UUID]*bus.Peer // peers that were connected
}

// The emitter looks whether somebody still listens after so many events, far less than a node keeps for a peer that is
// away, and before each one that comes after a pause.
const (
	checkEvery = 1024
	checkAfter = 10 * time.Millisecond
)

// patience is after how long a wait is explained to the user.
const patience = 3 * time.Second

func (e *emitter) emit(ctx context.Context, m bus.Message) error {
	m.Topic, m.Key, m.Headers = e.topic, e.key, e.headers
	if _, err := e.node.EmitMessage(ctx, m); err != nil {
		return err
	}
	e.emitted.Add(1)
	return nil
}

// emitLine emits bytes, which may be used again afterwards. It waits while nobody listens, so that a listener that is
// away for a while does not miss what it can get later.
func (e *emitter) emitLine(ctx context.Context, line []byte) error {
	if n := e.emitted.Load(); n > 0 && (n%checkEvery == 0 || time.Since(e.checked) > checkAfter) {
		if err := e.awaitListener(ctx); err != nil {
			return err
		}
		e.checked = time.Now()
	}
	if line == nil {
		line = []byte{}
	}
	if len(e.headers) > 0 || e.key != "" {
		return e.emit(ctx, bus.Message{Payload: line})
	}
	if err := e.node.EmitBytes(ctx, e.topic, line); err != nil {
		return err
	}
	e.emitted.Add(1)
	return nil
}

// meet remembers who is connected.
func (e *emitter) meet() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.met == nil {
		e.met = make(map[uuid.UUID]*bus.Peer)
	}
	for _, p := range e.node.Peers() {
		e.met[p.ID()] = p
	}
}

// left is a peer that went away before it was done with everything, or uuid.Nil.
func (e *emitter) left() uuid.UUID {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, p := range e.met {
		if stats, err := p.Stats(); err == nil && !stats.Connected && stats.Undone > 0 {
			return id
		}
	}
	return uuid.Nil
}

func (e *emitter) awaitListener(ctx context.Context) error {
	e.meet()
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := e.node.WaitInterest(soon, e.topic); err == nil || soon.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		e.say("after %d events nobody listens for %q any more; waiting for somebody to return", e.emitted.Load(), e.topic)
	}
	return e.node.WaitInterest(ctx, e.topic)
}

// drain waits until everything is done. After ctx has ended it only says what is left.
func (e *emitter) drain(ctx context.Context) error {
	var left *bus.DrainError
	for told := false; ; told = true {
		e.meet()
		soon, cancel := context.WithTimeout(ctx, patience)
		err := e.node.Drain(soon)
		cancel()
		if !errors.As(err, &left) {
			if err != nil {
				return err
			}
			return e.verdict()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: of %s emitted, %s", counted(e.emitted.Load(), "event"), pending(left))
		}
		if !told {
			e.say("waiting: of %s emitted, %s", counted(e.emitted.Load(), "event"), pending(left))
		}
	}
}

// verdict is the result when nothing is left.
func (e *emitter) verdict() error {
	stats, n := e.node.Stats(), e.emitted.Load()
	if stats.Reported > 0 {
		return &missingError{fmt.Sprintf("%s emitted, and %d reported missing by listeners that could not get them any more", counted(n, "event"), stats.Reported)}
	}
	if id := e.left(); id != uuid.Nil {
		return fmt.Errorf("%s emitted, but peer %s went away before it was done with all of them", counted(n, "event"), id)
	}
	if stats.Unheard > 0 {
		return fmt.Errorf("%s emitted, %d of them while nobody listened for %q", counted(n, "event"), stats.Unheard, e.topic)
	}
	return nil
}

// sayDone says how much was emitted and done.
func (e *emitter) sayDone() {
	e.mu.Lock()
	peers := uint64(len(e.met))
	e.mu.Unlock()
	e.say("%s emitted, all done at %s", counted(e.emitted.Load(), "event"), counted(peers, "peer"))
}

// counted is a number with its noun.
func counted(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func pending(left *bus.DrainError) string {
	var where []string
	for _, p := range left.Pending {
		who := p.Peer.String()
		if p.Peer == uuid.Nil {
			who = "an address that never answered"
		}
		where = append(where, fmt.Sprintf("%d at %s", p.Events, who))
	}
	if len(where) == 0 {
		return "not all known to be done"
	}
	return "not done: " + strings.Join(where, ", ")
}
