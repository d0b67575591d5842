package losstest

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests wait for packets most of the time, so several run on one processor.
	flag.Set("test.parallel", "6")
	goleak.VerifyTestMain(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// long skips a test that takes minutes.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 for the long variant")
	}
}
