package peer

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newEnd(t *testing.T, c contender.Config) contender.End {
	t.Helper()
	e, err := New(c)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

// TestEveryPeerGoesThereAndBack has messages of all sizes, from one buffer that is used again, answered in order.
func TestEveryPeerGoesThereAndBack(t *testing.T) {
	ca, err := certs.NewCA("bench")
	must(t, err)
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			config := contender.Config{Kind: kind, CA: ca, Compression: codec.Off, Subscriptions: 1, Sharing: 1}
			got := make(chan []byte, 100)
			var echo contender.End
			sink, source := config, config
			sink.Topic, sink.Pattern = contender.Back, contender.There
			sink.Receive = func(p []byte) {
				if err := echo.Send(p); err != nil {
					t.Error(err)
				}
				if err := echo.Flush(); err != nil {
					t.Error(err)
				}
			}
			source.Topic, source.Pattern = contender.There, contender.Back
			source.Receive = func(p []byte) { got <- bytes.Clone(p) }
			echo = newEnd(t, sink)
			addr, err := echo.Listen(ctx)
			must(t, err)
			from := newEnd(t, source)
			must(t, from.Dial(ctx, addr))
			must(t, echo.Ready(ctx, 1))
			must(t, from.Ready(ctx, 0))
			sizes := []int{1, 64, 1 << 10, 16 << 10, 1 << 20, 64}
			buffer := make([]byte, 1<<20)
			for i, size := range sizes {
				for j := range size {
					buffer[j] = byte(i + 1)
				}
				must(t, from.Send(buffer[:size]))
			}
			must(t, from.Flush())
			for i, size := range sizes {
				select {
				case p := <-got:
					if !bytes.Equal(p, bytes.Repeat([]byte{byte(i + 1)}, size)) {
						t.Fatalf("answer %d has %d bytes, or others than were sent", i, len(p))
					}
				case <-ctx.Done():
					t.Fatalf("no answer %d", i)
				}
			}
		})
	}
}
