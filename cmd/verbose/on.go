package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

type onCommand struct {
	Pattern string `arg:"" help:"Topics to listen for: * stands for one token, a final > for one or more."`
	addressFlags
	Count  uint64 `help:"End after so many events." placeholder:"N"`
	Format string `help:"json: one object a line with topic, payload, origin and more. payload: the payload alone." enum:"json,payload" default:"json"`
	Null   bool   `short:"z" help:"End each event with a NUL byte instead of a newline."`
	nodeFlags
}

func (*onCommand) Help() string {
	return `Each event is one line of JSON: "args" for values, "payload" for text, "payload_base64" for other
bytes. "time" is left out where its year is not one of four digits. An event counts as done, and
its emitter may end, once it was written. Exit status 3 says that events are missing; stderr says
which.

Example:

  verbose on 'orders.>' --listen quic://127.0.0.1:7777 | jq .args`
}

func (c *onCommand) Run(ctx context.Context, s *streams) error {
	if err := c.check("on"); err != nil {
		return err
	}
	logger := newLogger(s, c.level(slog.LevelWarn))
	node, err := c.newNode(logger, func(config *bus.Config) {
		c.configure(config)
		config.BlockTimeout = pauseTime
	})
	if err != nil {
		return err
	}
	w := watch(node, logger)
	defer w.close()
	defer node.Close()
	sub, err := node.Subscribe(c.Pattern)
	if err != nil {
		return &usageError{err.Error()}
	}
	if _, err := c.open(ctx, s, node); err != nil {
		return err
	}
	printed := make(chan error, 1)
	// Not waited for when it is interrupted while the output is blocked: only the process's end ends that write.
	go func() { printed <- c.print(ctx, s, node, sub) }()
	return lastWritten(ctx, printed)
}

// lastWrite is how long a write may still take after a signal. Supervisors give a process 10 s and more.
const lastWrite = 2 * time.Second

// lastWritten waits for the end of print, but of one that is interrupted not for long. Its node is closed then.
func lastWritten(ctx context.Context, printed <-chan error) error {
	select {
	case err := <-printed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-printed:
		return err
	case <-time.After(lastWrite):
		return errors.New("interrupted while the output was blocked: what was left to write is not done")
	}
}

// print writes events until it is told to end. An event is done when the loop asks for the next, and so only
// when it was written: nothing is buffered here. Where the loop ends early, on a signal or a failed write, the node is closed
// first, so that it can't report what was not written as done.
func (c *onCommand) print(ctx context.Context, s *streams, node *bus.Node, sub *bus.Subscription) error {
	var dropped atomic.Uint64 // before the end, which drops what is left
	stop := context.AfterFunc(ctx, func() {
		dropped.Store(sub.Stats().Dropped)
		node.Close()
	})
	defer stop()
	format := newFormatter(c.Format, c.Null)
	var written, missing uint64
	for event, err := range sub.Events(context.Background()) {
		var gap *bus.GapError
		switch {
		case errors.As(err, &gap):
			if gap.To > 0 {
				missing += gap.To - gap.From + 1
			}
			s.say("missing: %v", gap)
			continue
		case ctx.Err() != nil && errors.Is(err, bus.ErrClosed):
			continue // it was closed for the signal
		case err != nil:
			return err
		}
		if err := c.write(s, format, event); err != nil {
			node.Close()
			return errors.Join(err, missed(missing))
		}
		if written++; written == c.Count {
			break
		}
	}
	return errors.Join(c.tooFew(written), missed(max(missing, dropped.Load())))
}

// tooFew is the end before as many events came as were asked for.
func (c *onCommand) tooFew(written uint64) error {
	if written >= c.Count {
		return nil
	}
	return fmt.Errorf("interrupted: %d of %s came", written, counted(c.Count, "event"))
}

func (c *onCommand) write(s *streams, format *formatter, event bus.Event) error {
	line, err := format.append(event)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(line); err != nil {
		return fmt.Errorf("%w; the events from there on are not done", err)
	}
	return nil
}

func missed(events uint64) error {
	if events == 0 {
		return nil
	}
	return &missingError{fmt.Sprintf("up to %s missing from the output", counted(events, "event"))}
}
