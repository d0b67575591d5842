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
	if suite.IsChild() || len(os.Args) < 2 {
		program().Main(nil)
	}
	switch os.Args[1] {
	case "behaviour":
		watch(os.Args[2:])
	case "links":
		p := program()
		p.Links = true
		p.Main(os.Args[2:])
	}
	program().Main(os.Args[1:])
}

// watch has things go wrong, and ends the process.
func watch(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := behaviour.Run(ctx, root, args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "behaviour:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program measures every peer.
func program() suite.Program {
	p := suite.Program{New: peer.New, Root: root}
	for _, kind := range peer.Kinds() {
		p.Peers = append(p.Peers, suite.Peer{Kind: kind, OpensSockets: peer.OpensSockets(kind)})
	}
	p.Peers = append(p.Peers, suite.Peer{Kind: original.Kind, Aside: true, OpensSockets: true, Command: original.Command})
	return p
}
