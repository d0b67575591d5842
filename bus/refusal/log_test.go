package refusal

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// TestOneLineASecond feeds the log faster than that, and what is not worth a line.
func TestOneLineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := NewLog(slog.New(slog.NewTextHandler(&lines, nil)), "test")
		from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
		for _, code := range []bus.CloseCode{bus.CloseUntrusted, bus.CloseWrongID, bus.CloseVersion, bus.CloseViolation, bus.CloseHelloTimeout} {
			log.Record(from, &bus.PeerError{Code: code})
		}
		time.Sleep(time.Second)
		for _, nothing := range []error{nil, context.Canceled, net.ErrClosed, &bus.PeerError{Code: bus.CloseNormal, Remote: true}, &bus.PeerError{Code: bus.CloseTimeout}} {
			log.Record(from, nothing)
		}
		log.Record(from, &bus.PeerError{Code: bus.CloseVersion})
		got := strings.Split(strings.TrimSpace(lines.String()), "\n")
		if len(got) != 2 {
			t.Fatalf("log %q, want two lines", lines.String())
		}
		for i, want := range []string{"transport=test remote=192.0.2.1:1 code=untrusted", "code=version"} {
			if !strings.Contains(got[i], want) {
				t.Errorf("line %q, want %q", got[i], want)
			}
		}
		if !strings.HasSuffix(got[0], "suppressed=0") || !strings.HasSuffix(got[1], "suppressed=4") {
			t.Errorf("log %q, want 0 and then 4 suppressed", got)
		}
	})
}

// TestNoLogger holds that a transport without a logger needs no care.
func TestNoLogger(t *testing.T) {
	NewLog(nil, "test").Record(nil, &bus.PeerError{Code: bus.CloseUntrusted})
}
