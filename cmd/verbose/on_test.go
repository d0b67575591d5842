package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
)

// What is missing is told also if it is read after a signal.
func TestOnTellsOfGapsAfterASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bustest.NewNetwork(1)
		from := network.Node(t, "from", func(c *bus.Config) { c.BufferMax = 10 })
		to := network.Node(t, "to")
		sub, err := to.Subscribe("x")
		check(t, err)
		link := network.Connect(t, "to", "from")
		check(t, sub.Ready(t.Context()))
		check(t, link.Close())
		time.Sleep(time.Second) // until it is known to be away
		const count = 100
		for range count {
			check(t, from.EmitBytes(t.Context(), "x", []byte("payload")))
		}
		network.Connect(t, "to", "from")
		time.Sleep(time.Second)
		if to.Stats().Missed == 0 || sub.Stats().Waiting == 0 {
			t.Fatal("nothing is missing, or nothing came")
		}
		network.Link("to", "from").Stall() // so that closing the node takes a while, in which the subscription is read
		s := &streams{out: &output{file: temporary(t, "out")}, err: temporary(t, "err")}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		command := &onCommand{Format: "payload"}
		if err, missing := command.print(ctx, s, to, sub), (*missingError)(nil); !errors.As(err, &missing) {
			t.Errorf("it ended with %v", err)
		}
		text, err := os.ReadFile(s.err.Name())
		check(t, err)
		if got := string(text); strings.Count(got, "verbose: missing: ") != 1 {
			t.Errorf("it said %q", got)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func temporary(t *testing.T, name string) *os.File {
	file, err := os.Create(filepath.Join(t.TempDir(), name))
	check(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}
