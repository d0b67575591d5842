//go:build unix

package tcptransport

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
)

// several has a path of its own for each Listen.
type several struct {
	*Transport
	dir  string
	made *atomic.Int32
}

func (s *several) Listen(ctx context.Context, _ string) (bus.Listener, error) {
	return s.Transport.Listen(ctx, filepath.Join(s.dir, strconv.Itoa(int(s.made.Add(1)))))
}

func TestSuiteOverUnixSockets(t *testing.T) {
	ca := pair.NewCA(t, "test")
	dir, made := t.TempDir(), new(atomic.Int32)
	paths := func(config Config) bus.Transport { return &several{NewUnix(config), dir, made} }
	bustest.RunTransportSuite(t, bustest.Factory{
		New: func(t testing.TB) bus.Transport { return paths(Config{Identity: pair.Issue(t, ca)}) },
		Freezing: func(t testing.TB) (tr bus.Transport, freeze, thaw func()) {
			config, ice := onIce("unix")
			config.Identity = pair.Issue(t, ca)
			return paths(config), ice.freeze, ice.thaw
		},
		Stranger: func(t testing.TB) bus.Transport { return paths(Config{Identity: pair.Stranger(t, ca)}) },
	})
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Errorf("%d sockets are left, %v", len(left), err)
	}
}

// TestLeftoverSocket holds that a node takes the path of one that crashed, and of nobody else.
func TestLeftoverSocket(t *testing.T) {
	tr := NewUnix(Config{Identity: pair.Issue(t, pair.NewCA(t, "test"))})
	defer tr.Close()
	path := filepath.Join(t.TempDir(), "bus.sock")
	crashed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetUnlinkOnClose(false)
	if l, err := tr.Listen(pair.Context(t), path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("listens on %v beside a live listener: %v, want EADDRINUSE", l, err)
	}
	crashed.Close()
	l := pair.Listen(t, tr, path)
	if _, err := tr.Listen(pair.Context(t), path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listens twice: %v, want EADDRINUSE", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close left the socket: %v", err)
	}
	// What is no socket is somebody's file.
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Listen(pair.Context(t), path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listens on a file: %v, want EADDRINUSE", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" || err != nil {
		t.Errorf("the file has %q, %v", text, err)
	}
}
