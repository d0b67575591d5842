package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/verbose-bus/verbose/cmd/verbose/internal/demo"
	"golang.org/x/term"
)

type demoCommand struct {
	Fast bool   `help:"Take 2 seconds instead of 10."`
	Seed uint64 `help:"Chooses which connections are cut, and when." default:"1" placeholder:"N"`
}

func (*demoCommand) Help() string {
	return `It needs no set-up and no network: four nodes in one process, linked over loopback by QUIC, TCP and QUIC, with
certificates of a CA of their own. The same cuts hit plain connections of the same kinds beside it. The exit status is 1 if anything is missing, duplicated or out of order.

Example:

  verbose demo`
}

func (c *demoCommand) Run(ctx context.Context, s *streams) error {
	terminal := term.IsTerminal(int(s.out.file.Fd())) && os.Getenv("TERM") != "dumb"
	color := terminal && os.Getenv("NO_COLOR") == ""
	result, err := demo.Run(ctx, demo.Config{Fast: c.Fast, Seed: c.Seed, Out: s.out, Terminal: terminal, Color: color})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("the demo could not run: %w", err)
	}
	result.Print(s.out, color)
	if !result.Bus.Intact() {
		return errors.New("the demo failed: events are missing, duplicated, damaged or out of order; please report this with the output above")
	}
	return nil
}
