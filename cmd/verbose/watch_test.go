package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

// Members of a mesh advertise any number of addresses.
func TestWatcherForgets(t *testing.T) {
	w := &watcher{failures: make(map[string]error)}
	failed := func(i int) (repeated bool) {
		return w.remember(bus.LifecycleEvent{Kind: bus.LifecycleBackoff, URL: fmt.Sprint("quic://127.0.0.1:", i), Err: errors.New("refused")})
	}
	for i := range 10 * maxFailures {
		if failed(i) || !failed(i) {
			t.Fatalf("the failure of URL %d is not told from the one before", i)
		}
	}
	if n := len(w.failures); n > maxFailures {
		t.Errorf("%d failures are kept", n)
	}
	if url, err := w.trouble(); url == "" || err == nil {
		t.Error("none is kept")
	}
}
