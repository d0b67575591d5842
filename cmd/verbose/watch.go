package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// watcher logs what happens to a node, and remembers what an error message may need.
type watcher struct {
	logger   *slog.Logger
	cancel   context.CancelFunc
	ended    chan struct{}
	topology chan struct{} // has one when it may have changed

	mu       sync.Mutex
	failures map[string]error // by URL: why the last attempt to connect failed; of maxFailures at most
	rejected error            // why the last connection to us was not accepted
	missing  uint64           // events of ours that others miss
}

// maxFailures is how many addresses are remembered as failing. Those that members of a mesh advertise are without a bound.
const maxFailures = 64

// newLogger logs to stderr from a level on.
func newLogger(s *streams, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
}

// watch follows the node until close.
func watch(node *bus.Node, logger *slog.Logger) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{logger: logger, cancel: cancel, ended: make(chan struct{}), topology: make(chan struct{}, 1), failures: make(map[string]error)}
	events := node.Lifecycle(ctx)
	go func() { // close waits for it
		defer close(w.ended)
		for e := range events {
			w.note(e)
		}
	}()
	return w
}

// close ends the watch. It is called after the node's Close, so that nothing is left out.
func (w *watcher) close() {
	select {
	case <-w.ended: // the node's closing ended the stream
	default:
		w.cancel()
		<-w.ended
	}
	w.cancel()
}

func (w *watcher) note(e bus.LifecycleEvent) {
	repeated := w.remember(e)
	level := slog.LevelInfo
	switch e.Kind {
	case bus.LifecycleConnect, bus.LifecyclePathUp, bus.LifecycleTopology:
		level = slog.LevelDebug
	case bus.LifecycleBackoff:
		if level = slog.LevelWarn; repeated || wentAway(e.Err) {
			level = slog.LevelInfo
		}
	case bus.LifecycleRejected, bus.LifecycleLaggard, bus.LifecycleRefused, bus.LifecycleOverrun:
		level = slog.LevelWarn
	case bus.LifecycleGap, bus.LifecycleReport:
		level = slog.LevelWarn
	case bus.LifecycleListenFailed:
		level = slog.LevelError
	}
	w.logger.Log(context.Background(), level, e.Kind.String(), attributes(e)...)
}

// wentAway says whether a connection ended as its peer wished.
func wentAway(err error) bool {
	var peer *bus.PeerError
	return errors.As(err, &peer) && peer.Code == bus.CloseNormal
}

// remember notes a failure, and says whether it is the same as the one before.
func (w *watcher) remember(e bus.LifecycleEvent) (repeated bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case bus.LifecycleBackoff:
		last, known := w.failures[e.URL]
		if !known && len(w.failures) == maxFailures {
			for url := range w.failures { // any
				delete(w.failures, url)
				break
			}
		}
		repeated = last != nil && e.Err != nil && last.Error() == e.Err.Error()
		w.failures[e.URL] = e.Err
	case bus.LifecyclePathUp:
		delete(w.failures, e.URL)
	case bus.LifecycleRejected:
		w.rejected = e.Err
	case bus.LifecycleTopology:
		select {
		case w.topology <- struct{}{}:
		default:
		}
	case bus.LifecycleReport:
		w.missing += e.Gap.To - e.Gap.From + 1
	}
	return repeated
}

// trouble is why there may be no connection, or nil.
func (w *watcher) trouble() (url string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for url, err := range w.failures {
		if err != nil {
			return url, err
		}
	}
	return "", w.rejected
}

func attributes(e bus.LifecycleEvent) (list []any) {
	add := func(key, value string) {
		if value != "" {
			list = append(list, key, value)
		}
	}
	if e.Peer != uuid.Nil {
		add("peer", e.Peer.String())
	}
	add("name", e.Name)
	add("url", e.URL)
	if e.Local != nil {
		add("local", e.Local.String())
	}
	if e.Remote != nil {
		add("remote", e.Remote.String())
	}
	add("text", e.Text)
	if wait := e.Next.Sub(e.At); wait > 0 {
		add("retry", wait.Round(time.Millisecond).String())
	}
	if e.Gap != nil {
		add("gap", e.Gap.Error())
	}
	if e.Err != nil {
		add("error", e.Err.Error())
	}
	if e.Count > 0 {
		list = append(list, "count", e.Count)
	}
	return list
}
