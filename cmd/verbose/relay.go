package main

import (
	"context"
	"log/slog"
)

type relayCommand struct {
	addressFlags
	nodeFlags
}

func (*relayCommand) Help() string {
	return `It passes events on between its peers, and logs who comes and goes. Ctrl-C ends it politely.
With an --id or --identity of its own, peers notice at once when it was killed and has returned, instead
of after a timeout.

Examples:

  verbose relay --listen quic://0.0.0.0:7777 --connect quic://10.0.0.7:7777
  verbose relay --listen quic://0.0.0.0:7777 --connect quic+dns://bus.default.svc:7777 --mesh`
}

func (c *relayCommand) Run(ctx context.Context, s *streams) error {
	if err := c.check("relay"); err != nil {
		return err
	}
	logger := newLogger(s, c.level(slog.LevelInfo))
	node, err := c.newNode(logger, c.configure)
	if err != nil {
		return err
	}
	w := watch(node, logger)
	defer w.close()
	logger.Info("relay", "id", node.ID())
	if _, err = c.open(ctx, s, node); err == nil {
		<-ctx.Done()
	}
	node.Close()
	return err
}
