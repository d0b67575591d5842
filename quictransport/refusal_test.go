package quictransport

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// logBuffer is a log that a test waits for.
type logBuffer struct {
	mu    sync.Mutex
	lines bytes.Buffer
	wrote chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{wrote: make(chan struct{}, 64)} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrote <- struct{}{}
	return b.lines.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}

// refusal dials server as client, which must fail, now or just after.
func refusal(t *testing.T, client, server *certs.Identity, want uuid.UUID) (log string, err error) {
	t.Helper()
	ctx := testContext(t)
	lines := newLogBuffer()
	tr := newTransport(t, Config{Identity: client})
	l := listen(t, newTransport(t, Config{Identity: server, Logger: slog.New(slog.NewTextHandler(lines, nil))}), loopback)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := l.Accept(ctx); err == nil {
			t.Errorf("%s was accepted", c.Peer())
		}
	}()
	c, err := tr.Dial(ctx, l.Addr().String(), want)
	if err == nil {
		err = gone(t, c)
	}
	select {
	case <-lines.wrote:
	case <-ctx.Done():
		t.Error("no log line")
	}
	l.Close()
	<-accepted
	return lines.String(), err
}

func TestRefusals(t *testing.T) {
	now := time.Now()
	ca, foreign := newCA(t, "ours"), newCA(t, "theirs")
	good := issue(t, ca)
	stranger := issue(t, foreign)
	expired := issue(t, ca, certs.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
	early := issue(t, ca, certs.Valid(now.Add(time.Hour), now.Add(2*time.Hour)))
	// Those that trust our CA, while we do not trust theirs.
	oneSided, err := certs.NewIdentity(stranger.Certificate(), ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name           string
		client, server *certs.Identity
		want           uuid.UUID
		code           bus.CloseCode
		remote         bool
		reason         string
	}{
		{"server of another CA", good, stranger, uuid.Nil, bus.CloseUntrusted, false, `"theirs"`},
		{"server expired", good, expired, uuid.Nil, bus.CloseUntrusted, false, "expired at"},
		{"server not yet valid", good, early, uuid.Nil, bus.CloseUntrusted, false, "not valid before"},
		{"wrong id", good, issue(t, ca), uuid.New(), bus.CloseWrongID, false, "was expected"},
		{"client of another CA", oneSided, good, uuid.Nil, bus.CloseUntrusted, true, `from CA "theirs"`},
		{"client expired", expired, good, uuid.Nil, bus.CloseUntrusted, true, "valid from"},
		{"client not yet valid", early, good, uuid.Nil, bus.CloseUntrusted, true, "valid from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, err := refusal(t, test.client, test.server, test.want)
			got := wantPeerError(t, err, test.code, test.remote)
			if !strings.Contains(got.Reason, test.reason) {
				t.Errorf("reason %q does not say %q", got.Reason, test.reason)
			}
			var trust *certs.TrustError
			if !test.remote && !errors.As(err, &trust) {
				t.Errorf("%v wraps no *certs.TrustError", err)
			}
			if strings.Count(log, "connection refused") != 1 || !strings.Contains(log, "remote=127.0.0.1:") {
				t.Errorf("log %q, want one refusal with an address", log)
			}
		})
	}
}

func TestWrongALPN(t *testing.T) {
	ca := newCA(t, "test")
	ctx := testContext(t)
	client := newTransport(t, Config{Identity: issue(t, ca)})
	server := newTransport(t, Config{Identity: issue(t, ca)})
	e, err := server.open(ctx, loopback)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.quic.Listen(server.config.Identity.ServerTLS("verbose/999"), server.quicConfig())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Dial(ctx, l.Addr().String(), uuid.Nil)
	wantPeerError(t, err, bus.CloseVersion, true)
}

// TestRefusalsAreLoggedOnceASecond feeds the log faster than that.
func TestRefusalsAreLoggedOnceASecond(t *testing.T) {
	var lines bytes.Buffer
	log := newRefusalLog(slog.New(slog.NewTextHandler(&lines, nil)))
	from := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for range 5 {
		log.record(from, &certs.TrustError{Reason: certs.Untrusted})
	}
	log.last = log.last.Add(-time.Second)
	log.record(from, &certs.TrustError{Reason: certs.Untrusted})
	log.record(from, context.Canceled) // no refusal
	if strings.Count(lines.String(), "\n") != 2 || !strings.Contains(lines.String(), "suppressed=4") {
		t.Errorf("log %q, want two lines, the second with 4 suppressed", lines.String())
	}
}

func TestBadConfig(t *testing.T) {
	tr := newTransport(t, Config{})
	_, err := tr.Dial(testContext(t), "127.0.0.1:1", uuid.Nil)
	if err == nil || !strings.Contains(err.Error(), "Config.Identity") {
		t.Errorf("dial: %v, want the field's name", err)
	}
	if _, err := tr.Listen(testContext(t), loopback); err == nil || !strings.Contains(err.Error(), "Config.Identity") {
		t.Errorf("listen: %v, want the field's name", err)
	}
}
