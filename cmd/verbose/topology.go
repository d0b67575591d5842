package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

type topologyCommand struct {
	URL    string        `arg:"" name:"url" help:"The address of any node, such as quic://127.0.0.1:7777."`
	Format string        `help:"table: for people. json: one object a line. dot: a graph for Graphviz." enum:"table,json,dot" default:"table" env:"VERBOSE_TOPOLOGY_FORMAT"`
	Watch  bool          `help:"Print it again after each change, until interrupted."`
	Wait   time.Duration `help:"How long to wait for the connection." default:"10s" placeholder:"TIME"`
	nodeFlags
}

func (*topologyCommand) Help() string {
	return `It joins the bus, and prints every node that can be reached: how many links away, through which peers, whom it
is linked to and what it listens for. This command's own node is the first. Round-trip times are of its own
connection; nodes do not tell theirs.

Example:

  verbose topology quic://127.0.0.1:7777
  verbose topology quic://127.0.0.1:7777 --format dot | dot -Tsvg > bus.svg`
}

func (c *topologyCommand) Run(ctx context.Context, s *streams) error {
	if c.Wait <= 0 {
		return &usageError{"topology needs a --wait above 0"}
	}
	logger := newLogger(s, c.level(slog.LevelError))
	node, err := c.newNode(logger, nil)
	if err != nil {
		return err
	}
	w := watch(node, logger)
	defer w.close()
	defer node.Close()
	if _, err := reach(ctx, node, w, c.URL, c.Wait); err != nil {
		return err
	}
	view, err := settled(ctx, node, w)
	if err != nil {
		return err
	}
	if err := c.print(s, view); err != nil || !c.Watch {
		return err
	}
	return c.follow(ctx, s, node, w, view)
}

// follow prints the topology whenever it differs from the last that was printed.
func (c *topologyCommand) follow(ctx context.Context, s *streams, node *bus.Node, w *watcher, last bus.Topology) error {
	for {
		select {
		case <-w.topology:
		case <-ctx.Done():
			return nil
		}
		view, err := settled(ctx, node, w)
		if err != nil {
			return nil // interrupted, as it is meant to end
		}
		if reflect.DeepEqual(withoutPaths(view), withoutPaths(last)) {
			continue
		}
		if c.Format == "table" {
			fmt.Fprintln(s.out)
		}
		if err := c.print(s, view); err != nil {
			return err
		}
		last = view
	}
}

// withoutPaths leaves out what is measured, which is never the same.
func withoutPaths(t bus.Topology) bus.Topology {
	t.Members = slices.Clone(t.Members)
	for i := range t.Members {
		t.Members[i].Paths = nil
	}
	return t
}

// settling is how long the news of a change may be on its way before it is printed as far as it has come.
const settling = time.Second

// settled waits until what each node says of its links agrees with what the others say.
func settled(ctx context.Context, node *bus.Node, w *watcher) (bus.Topology, error) {
	timer := time.NewTimer(settling)
	defer timer.Stop()
	for {
		view := node.Topology()
		if agrees(view) {
			return view, nil
		}
		select {
		case <-w.topology:
		case <-timer.C:
			return view, nil
		case <-ctx.Done():
			return view, errors.New("interrupted before the topology was known")
		}
	}
}

// agrees says whether both ends of each link name each other.
func agrees(t bus.Topology) bool {
	names := make(map[[2]uuid.UUID]bool)
	for _, m := range t.Members {
		for _, id := range m.Neighbours {
			names[[2]uuid.UUID{m.ID, id}] = true
		}
	}
	for ends := range names {
		if !names[[2]uuid.UUID{ends[1], ends[0]}] {
			return false
		}
	}
	return true
}
