package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bench/host"
	"github.com/verbose-bus/verbose/bench/netem"
	"github.com/verbose-bus/verbose/bench/peers/peer"
	"github.com/verbose-bus/verbose/bench/suite"
)

func TestMain(m *testing.M) {
	if suite.IsChild() { // a process of a test
		if err := program().Child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// TestEveryPeerIsMeasured has every peer take part one way and in ping-pong, in processes of their own, for times that say nothing about
// speed. An open loop has the same ends.
func TestEveryPeerIsMeasured(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--pattern=one-way,ping-pong", "--size=64B", "--cpu=free", "--transport=tcp", "--baseline=tcp",
		"--passes=1", "--time=20ms", "--warmup=10ms", "--out=" + t.TempDir()}
	if err := program().Run(t.Context(), args, &out, os.Stderr); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, kind := range peer.Kinds() {
		if n := strings.Count(out.String(), string(kind)+" "); n != 2 {
			t.Errorf("%s is in %d tables\n%s", kind, n, &out)
		}
	}
	if !strings.Contains(out.String(), "÷ bus/tcp") {
		t.Errorf("peers are not compared with the bus\n%s", &out)
	}
}

// TestEveryPeerCrossesLinks has them do so across a link of the emulator, which nobody's figures are wanted of either. A busy machine may have a
// pass rejected; a peer that did not pass its events on has an error.
func TestEveryPeerCrossesLinks(t *testing.T) {
	netem.Test(t, 0)
	p := program()
	p.Links = true
	var out bytes.Buffer
	args := []string{"--pattern=one-way", "--rtt=10ms", "--loss=0", "--congestion=cubic", "--passes=1", "--time=60ms", "--warmup=10ms",
		"--out=" + t.TempDir()}
	if err := p.Run(t.Context(), args, &out, os.Stderr); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, kind := range peer.Kinds() {
		congestion := " cubic "
		switch {
		case kind.IsQUIC():
			congestion = " "
		case peer.OpensSockets(kind):
			congestion = " " + host.CongestionInUse("") + " "
		}
		if n := strings.Count(out.String(), "  "+string(kind)+congestion+" "); n != 1 {
			t.Errorf("%s is in %d tables\n%s", kind, n, &out)
		}
	}
	if n := strings.Count(out.String(), "Of 2, "); n != 1 {
		t.Errorf("not the bus alone is judged\n%s", &out)
	}
}
