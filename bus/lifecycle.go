package bus

import (
	"context"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// LifecycleKind tells what happened.
type LifecycleKind uint8

// The kinds of lifecycle events. The fields of [LifecycleEvent] that each sets are named.
const (
	LifecycleListening    LifecycleKind = iota + 1 // Local, URL: a listener is up
	LifecycleConnect                               // URL: a link begins an attempt to connect
	LifecyclePathUp                                // Peer, Local, Remote, and URL if a link dialled: a connection was accepted by both sides
	LifecyclePeerUp                                // Peer, Name: a peer is connected
	LifecyclePeerDown                              // Peer, Err: its last connection is gone
	LifecycleBackoff                               // URL, Next, Err: a link waits before its next attempt
	LifecycleRejected                              // Peer, Remote, Err: a connection was not accepted
	LifecycleGap                                   // Peer, Gap: this node misses events of Peer; and Text, its pattern, where a typed topic can't decode one
	LifecycleReport                                // Peer, Gap: another node, Peer, misses events of this one
	LifecycleLaggard                               // Peer: it made no progress, and drops; with Text, a subscription here did, to events of Peer
	LifecycleForgotten                             // Peer: it was away for BufferTimeout, or longest of more than MaxPeers, and is owed nothing more
	LifecycleRefused                               // Peer, Text: its events are not taken on
	LifecycleListenFailed                          // URL, Err: a listener is down
	LifecycleTopology                              // other nodes, their links or patterns may have changed, see Node.Topology; one at most waits for a reader
	LifecycleOverrun                               // Count: the reader of this stream was too slow for so many events
	LifecycleClosed                                // the node is closed; nothing follows
)

var lifecycleNames = [...]string{
	LifecycleListening: "listening", LifecycleConnect: "connect", LifecyclePathUp: "path up",
	LifecyclePeerUp: "peer up", LifecyclePeerDown: "peer down", LifecycleBackoff: "backoff",
	LifecycleRejected: "rejected", LifecycleGap: "gap", LifecycleReport: "gap reported",
	LifecycleLaggard: "laggard", LifecycleForgotten: "forgotten", LifecycleRefused: "refused",
	LifecycleListenFailed: "listen failed", LifecycleTopology: "topology", LifecycleOverrun: "overrun",
	LifecycleClosed: "closed",
}

// String is the kind in words.
func (k LifecycleKind) String() string {
	if int(k) < len(lifecycleNames) && lifecycleNames[k] != "" {
		return lifecycleNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// LifecycleEvent is one thing that happened to a node or one of its peers.
type LifecycleEvent struct {
	Kind          LifecycleKind
	At            time.Time
	Peer          uuid.UUID
	Name          string
	URL           string
	Local, Remote net.Addr
	Next          time.Time // of a backoff: when the next attempt begins
	Gap           *GapError
	Err           error
	Text          string
	Count         int
}

// String is the event in one line.
func (e LifecycleEvent) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Peer != uuid.Nil {
		fmt.Fprintf(&b, " %s", e.Peer)
	}
	for _, s := range []string{e.Name, e.URL, e.Text} {
		if s != "" {
			fmt.Fprintf(&b, " %s", s)
		}
	}
	if !e.Next.IsZero() {
		fmt.Fprintf(&b, " for %v", e.Next.Sub(e.At).Round(time.Millisecond))
	}
	if e.Gap != nil {
		fmt.Fprintf(&b, ": %v", e.Gap)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// lifecycle spreads events to whoever iterates over them.
type lifecycle struct {
	mu      sync.Mutex
	readers map[*lifecycleReader]struct{}
	closed  bool
}

// maxNotes is how many events wait for a reader.
const maxNotes = 4096

type lifecycleReader struct {
	wake     signal
	notes    []LifecycleEvent
	topology bool // one of them is a LifecycleTopology: the reader will look
	overrun  int
}

func (l *lifecycle) publish(e LifecycleEvent) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = l.closed || e.Kind == LifecycleClosed
	for r := range l.readers {
		switch {
		case e.Kind == LifecycleTopology && r.topology:
			continue
		case len(r.notes) >= maxNotes && !l.closed:
			r.overrun++
			continue
		}
		r.topology = r.topology || e.Kind == LifecycleTopology
		r.notes = append(r.notes, e)
		r.wake.notify()
	}
}

// Lifecycle yields what happens to the node from the call on, until ctx ends or the node is
// closed. A reader that is too slow for 4,096 events misses some, and is told how many. The
// stream exists from the call, not only from the first iteration; it may be iterated once.
func (n *Node) Lifecycle(ctx context.Context) iter.Seq[LifecycleEvent] {
	l := &n.lifecycle
	r := &lifecycleReader{wake: newSignal()}
	l.mu.Lock()
	if l.readers == nil {
		l.readers = make(map[*lifecycleReader]struct{})
	}
	l.readers[r] = struct{}{}
	if l.closed {
		r.notes = append(r.notes, LifecycleEvent{Kind: LifecycleClosed, At: time.Now()})
	}
	l.mu.Unlock()
	remove := func() {
		l.mu.Lock()
		delete(l.readers, r)
		l.mu.Unlock()
	}
	stop := context.AfterFunc(ctx, remove)
	return func(yield func(LifecycleEvent) bool) {
		defer stop()
		defer remove()
		for {
			l.mu.Lock()
			notes, overrun := r.notes, r.overrun
			r.notes, r.overrun, r.topology = nil, 0, false
			l.mu.Unlock()
			if overrun > 0 {
				at := min(len(notes), maxNotes) // what comes after that many is the end
				notes = slices.Insert(notes, at, LifecycleEvent{Kind: LifecycleOverrun, At: time.Now(), Count: overrun})
			}
			for _, e := range notes {
				if !yield(e) || e.Kind == LifecycleClosed {
					return
				}
			}
			if len(notes) > 0 {
				continue
			}
			willWait(ctx)
			select {
			case <-r.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
