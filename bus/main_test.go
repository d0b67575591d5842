package bus_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("VERBOSE_TEST_ROLE"); role != "" {
		os.Exit(child(role)) // one end of a test between two processes
	}
	goleak.VerifyTestMain(m)
}
