package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

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

// TestEveryPeerIsMeasured has every peer take part one way, in ping-pong and in an open loop, in processes of their own, for times that say
// nothing about speed.
func TestEveryPeerIsMeasured(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--pattern=one-way,ping-pong,open-loop", "--size=64B", "--cpu=free", "--transport=tcp", "--baseline=tcp", "--load=1",
		"--passes=1", "--time=20ms", "--warmup=10ms", "--out=" + t.TempDir()}
	if err := program().Run(t.Context(), args, &out, os.Stderr); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, kind := range peer.Kinds() {
		if n := strings.Count(out.String(), string(kind)+" "); n != 3 {
			t.Errorf("%s is in %d tables\n%s", kind, n, &out)
		}
	}
	if !strings.Contains(out.String(), "÷ bus/tcp") {
		t.Errorf("peers are not compared with the bus\n%s", &out)
	}
}
