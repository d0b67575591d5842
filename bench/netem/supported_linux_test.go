package netem

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// powerless runs f on a thread without privileges, which ends with it.
func powerless(t *testing.T, f func()) {
	t.Helper()
	failed := make(chan error)
	go func() { // powerless waits for it
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		none := make([]unix.CapUserData, 2)
		err := unix.Capset(&header, &none[0])
		defer func() { failed <- err }()
		if err == nil {
			f()
		}
	}()
	must(t, <-failed)
}

func TestSupportedNamesTheStep(t *testing.T) {
	powerless(t, func() {
		err := Supported()
		if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "make a network namespace") {
			t.Errorf("%v", err)
		}
	})
}

// outcome notes how a test ends.
type outcome struct {
	testing.TB
	text string
}

func (*outcome) Helper() {}

func (o *outcome) Skip(args ...any) {
	o.text = "skipped: " + fmt.Sprint(args...)
	runtime.Goexit()
}

func (o *outcome) Fatal(args ...any) {
	o.text = "failed: " + fmt.Sprint(args...)
	runtime.Goexit()
}

func TestSkipsUnlessRequired(t *testing.T) {
	for value, want := range map[string]string{"": "skipped: ", "require": "failed: "} {
		t.Setenv(Require, value)
		var o outcome
		powerless(t, func() { Test(&o, 1) })
		if !strings.HasPrefix(o.text, want) {
			t.Errorf("with %q: %s", value, o.text)
		}
	}
}
