package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/verbose-bus/verbose/bench/peers/behaviour"
	"github.com/verbose-bus/verbose/bench/peers/original"
	"github.com/verbose-bus/verbose/bench/peers/peer"
	"github.com/verbose-bus/verbose/bench/suite"
)

// root is the repository's, from this directory.
const root = "../.."

func main() {
	if len(os.Args) < 2 || os.Args[1] != "behaviour" {
		program().Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := behaviour.Run(ctx, root, os.Args[2:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "behaviour:", err)
		os.Exit(1)
	}
}

// program measures every peer.
func program() suite.Program {
	p := suite.Program{New: peer.New, Root: root}
	for _, kind := range peer.Kinds() {
		p.Peers = append(p.Peers, suite.Peer{Kind: kind})
	}
	p.Peers = append(p.Peers, suite.Peer{Kind: original.Kind, Aside: true, Command: original.Command})
	return p
}
