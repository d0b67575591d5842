package bustest_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// test runs what a test would, where there is only an example.
func test(body func(t testing.TB)) {
	t := &example{}
	ctx, cancel := context.WithCancel(context.Background())
	t.ctx = ctx
	body(t)
	cancel()
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// example is as much of a testing.TB as bustest needs.
type example struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
}

func (e *example) Helper()                           {}
func (e *example) Context() context.Context          { return e.ctx }
func (e *example) Cleanup(f func())                  { e.cleanups = append(e.cleanups, f) }
func (e *example) Error(args ...any)                 { panic(args) }
func (e *example) Fatal(args ...any)                 { panic(args) }
func (e *example) Fatalf(format string, args ...any) { panic(format) }
