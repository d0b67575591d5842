package bus

import (
	"context"
	"slices"
	"testing"
	"time"
)

// A reader that was too slow is told how much it missed, and that the node is closed.
func TestLifecycleOverrun(t *testing.T) {
	n := new(Node)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // only bounds a failure
	defer cancel()
	stream := n.Lifecycle(ctx)
	for range maxNotes + 10 {
		n.lifecycle.publish(LifecycleEvent{Kind: LifecyclePeerUp})
	}
	n.lifecycle.publish(LifecycleEvent{Kind: LifecycleClosed})
	kinds := make([]LifecycleKind, 0, maxNotes+2)
	missed := 0
	for e := range stream {
		kinds = append(kinds, e.Kind)
		missed += e.Count
	}
	want := append(slices.Repeat([]LifecycleKind{LifecyclePeerUp}, maxNotes), LifecycleOverrun, LifecycleClosed)
	if !slices.Equal(kinds, want) || missed != 10 {
		t.Errorf("%d events that end with %v, %d missed", len(kinds), kinds[max(0, len(kinds)-2):], missed)
	}
}
