package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bench/child"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" { // a process of a test
		os.Exit(status(child.Run(os.Stdin, os.Stdout)))
	}
	// The race detector has a process sleep for a second as it exits, and there are many here.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
