package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/codec"
)

type emitCommand struct {
	Topic string   `arg:"" help:"The topic to emit under."`
	Args  []string `arg:"" optional:"" name:"arg" help:"The values of one event: JSON where they parse as such, else strings. Put -- before one that begins with a hyphen."`
	Stdin bool     `help:"Emit each line of the input as one event of its bytes, without the newline."`
	Null  bool     `short:"z" help:"The input's lines end with a NUL byte instead of a newline."`
	addressFlags
	String bool          `help:"Take every argument as a string."`
	Codec  string        `help:"How the arguments are encoded: json or cbor." enum:"json,cbor" default:"json"`
	Header []header      `short:"H" sep:"none" help:"Add a header, as key=value. Repeatable." placeholder:"K=V"`
	Key    string        `help:"Events of one key stay in order where --lanes spreads them. Default: the topic." placeholder:"KEY"`
	Lanes  int           `help:"Spread events over so many independent ordered logs, by key." default:"1" placeholder:"N"`
	Wait   time.Duration `help:"How long to wait for a node that listens for the topic; 0 does not wait." default:"10s" placeholder:"TIME"`
	nodeFlags
}

func (*emitCommand) Help() string {
	return `It waits until a node listens for the topic, and exits 0 once everything is done at every connected
peer: handled where somebody listens, held where it is passed on. Peers may be there first or come later.

Examples:

  verbose emit orders.new 17 '{"name": "tea"}' --connect quic://127.0.0.1:7777
  verbose emit log.web --stdin --connect quic://127.0.0.1:7777 < access.log`
}

// header is one -H.
type header bus.Header

// UnmarshalText splits key=value.
func (h *header) UnmarshalText(text []byte) error {
	key, value, found := strings.Cut(string(text), "=")
	if !found || key == "" {
		return fmt.Errorf("%q is not key=value", text)
	}
	*h = header{Key: key, Value: value}
	return nil
}

func (c *emitCommand) Run(ctx context.Context, s *streams) error {
	if err := c.check("emit"); err != nil {
		return err
	}
	if c.Stdin && len(c.Args) > 0 {
		return &usageError{"emit takes either arguments or --stdin"}
	}
	if c.Stdin && c.String {
		return &usageError{"--string is about arguments: leave it out with --stdin"}
	}
	if c.Null && !c.Stdin {
		return &usageError{"-z is about the input's lines: give --stdin too"}
	}
	logger := newLogger(s, c.level(slog.LevelWarn))
	node, err := c.newNode(logger, func(config *bus.Config) {
		c.configure(config)
		config.Lanes, config.BlockTimeout = c.Lanes, pauseTime
		if c.Codec == "cbor" {
			config.Encoding = codec.EncodingCBOR
		}
	})
	if err != nil {
		return err
	}
	w := watch(node, logger)
	defer w.close()
	defer node.Close()
	if _, err := c.open(ctx, s, node); err != nil {
		return err
	}
	e := &emitter{node: node, topic: c.Topic, key: c.Key, say: s.say}
	for _, h := range c.Header {
		e.headers = append(e.headers, bus.Header(h))
	}
	if err := c.awaitInterest(ctx, node, w); err != nil {
		return err
	}
	e.meet()
	if c.Stdin {
		err = c.emitInput(ctx, s, e)
	} else {
		err = c.emitArgs(ctx, e)
	}
	drained := e.drain(ctx)
	switch {
	case err == nil && drained == nil:
		e.sayDone()
		return nil
	case errors.Is(err, errInterrupted) && drained == nil:
		return fmt.Errorf("interrupted: %s emitted, all done; %w", counted(e.emitted.Load(), "event"), err)
	}
	return errors.Join(err, drained)
}

// awaitInterest waits for somebody who listens for the topic.
func (c *emitCommand) awaitInterest(ctx context.Context, node *bus.Node, w *watcher) error {
	if c.Wait <= 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	err := node.WaitInterest(waiting, c.Topic)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted while waiting for somebody who listens; nothing was emitted")
	case waiting.Err() == nil:
		return &usageError{err.Error()} // the topic is none
	}
	nobody := fmt.Sprintf("nobody listens for %q within %v; nothing was emitted", c.Topic, c.Wait)
	url, trouble := w.trouble()
	switch peers := len(node.Peers()); {
	case peers > 0:
		return fmt.Errorf("%s: connected to %s, so check the topic, and the pattern of verbose on", nobody, counted(uint64(peers), "peer"))
	case trouble != nil && url != "":
		return fmt.Errorf("%s: no connection to %s: %w", nobody, url, trouble)
	case trouble != nil:
		return fmt.Errorf("%s: a peer was refused: %w", nobody, trouble)
	}
	return fmt.Errorf("%s: no peer connected, so check the addresses and that the other side runs", nobody)
}

func (c *emitCommand) emitArgs(ctx context.Context, e *emitter) error {
	values, err := parseValues(c.Args, c.String, c.Codec)
	if err != nil {
		return err
	}
	return e.emit(ctx, bus.Message{Args: values})
}
