package suite

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bench/contender"
)

// alone is the program without peers.
var alone = Program{New: contender.New, Root: "../.."}

func TestMain(m *testing.M) {
	if IsChild() { // a process of a test
		os.Exit(status(alone.Child()))
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
