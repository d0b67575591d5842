package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

type pingCommand struct {
	URL      string        `arg:"" name:"url" help:"The node's address, such as quic://127.0.0.1:7777."`
	Count    *int          `help:"How many round trips. Default: 10." placeholder:"N"`
	Interval time.Duration `help:"The time between two." default:"100ms" placeholder:"TIME"`
	Wait     time.Duration `help:"How long to wait for the connection, and for each answer." default:"10s" placeholder:"TIME"`
	nodeFlags
}

func (*pingCommand) Help() string {
	return `A round trip goes through both nodes and back, beside the events.

Example:

  verbose ping quic://127.0.0.1:7777 --count 100 --interval 10ms`
}

func (c *pingCommand) Run(ctx context.Context, s *streams) error {
	if c.count() < 1 || c.Interval < 0 || c.Wait <= 0 {
		return &usageError{"ping needs a --count of at least 1, an --interval that is not negative and a --wait above 0"}
	}
	logger := newLogger(s, c.level(slog.LevelError))
	node, err := c.newNode(logger, nil)
	if err != nil {
		return err
	}
	w := watch(node, logger)
	defer w.close()
	defer node.Close()
	peer, err := reach(ctx, node, w, c.URL, c.Wait)
	if err != nil {
		return err
	}
	trips, lost := c.measure(ctx, s, peer)
	if s.out.err != nil {
		return s.out.err
	}
	if len(trips) > 0 {
		fmt.Fprintf(s.out, "%d round trips to %s: %s\n", len(trips), peer.ID(), percentiles(trips))
	}
	switch {
	case c.Count != nil && len(trips)+lost < *c.Count:
		return fmt.Errorf("interrupted: %d of %s answered", len(trips), counted(uint64(*c.Count), "ping"))
	case len(trips)+lost == 0:
		return errors.New("interrupted before an answer came")
	case len(trips) == 0:
		return fmt.Errorf("none of %d pings was answered", c.count())
	case lost > 0:
		return fmt.Errorf("%d of %d pings got no answer", lost, lost+len(trips))
	}
	return nil
}

// count is how many round trips to measure. Who does not say how many may end it sooner.
func (c *pingCommand) count() int {
	if c.Count == nil {
		return 10
	}
	return *c.Count
}

// reach connects to one address, and waits for so long until the peer is there.
func reach(ctx context.Context, node *bus.Node, w *watcher, url string, wait time.Duration) (*bus.Peer, error) {
	link, err := node.Connect(url)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	peer, err := link.Ready(waiting)
	switch {
	case err == nil:
		return peer, nil
	case ctx.Err() != nil:
		return nil, errors.New("interrupted before the connection was up")
	case waiting.Err() == nil:
		return nil, err
	}
	if _, trouble := w.trouble(); trouble != nil {
		return nil, fmt.Errorf("no connection to %s within %v: %w", url, wait, trouble)
	}
	return nil, fmt.Errorf("no connection to %s within %v: check the address, and that a node listens there", url, wait)
}

func (c *pingCommand) measure(ctx context.Context, s *streams, peer *bus.Peer) (trips []time.Duration, lost int) {
	ticker := time.NewTicker(max(c.Interval, 1))
	defer ticker.Stop()
	for i := range c.count() {
		if i > 0 && c.Interval > 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		waiting, cancel := context.WithTimeout(ctx, c.Wait)
		trip, err := peer.Ping(waiting)
		cancel()
		switch {
		case err == nil:
			trips = append(trips, trip)
			fmt.Fprintf(s.out, "%d: %v\n", i+1, trip.Round(time.Microsecond))
		case ctx.Err() == nil:
			lost++
			fmt.Fprintf(s.out, "%d: no answer: %v\n", i+1, err)
		}
		if s.out.err != nil {
			break
		}
	}
	return trips, lost
}

// percentiles are by nearest rank.
func percentiles(trips []time.Duration) string {
	slices.Sort(trips)
	at := func(percent int) time.Duration {
		return trips[(len(trips)*percent+99)/100-1].Round(time.Microsecond)
	}
	return fmt.Sprintf("min %v  p50 %v  p90 %v  p99 %v  max %v", trips[0].Round(time.Microsecond), at(50), at(90), at(99), trips[len(trips)-1].Round(time.Microsecond))
}
