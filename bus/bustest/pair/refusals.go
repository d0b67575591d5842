package pair

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// Lines is a log that a test waits for.
type Lines struct {
	// Wrote has a value for each of the first 64 lines.
	Wrote chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// NewLines returns an empty log.
func NewLines() *Lines { return &Lines{Wrote: make(chan struct{}, 64)} }

// Logger writes to the log.
func (l *Lines) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write appends a line.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.Wrote <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

// String is the log so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Maker makes the transport of an identity.
type Maker func(*certs.Identity, *slog.Logger) bus.Transport

// Refusals holds that both sides of a refusal say why, and that the one that was dialled has a line in its log.
func Refusals(t *testing.T, transport Maker) {
	ca := NewCA(t, "ours")
	good := Issue(t, ca)
	for _, test := range []struct {
		name           string
		client, server *certs.Identity
		want           uuid.UUID
		code           bus.CloseCode
		remote         bool
		reason         string
	}{
		{"server of another CA", good, Stranger(t, ca), uuid.Nil, bus.CloseUntrusted, false, `"theirs"`},
		{"wrong id", good, Issue(t, ca), uuid.New(), bus.CloseWrongID, false, "was expected"},
		{"client of another CA", Stranger(t, ca), good, uuid.Nil, bus.CloseUntrusted, true, `from CA "theirs"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := NewLines()
			client := Closing(t, transport(test.client, nil))
			server := Closing(t, transport(test.server, lines.Logger()))
			got := WantPeerError(t, refused(t, client, server, test.want, lines), test.code, test.remote)
			if !strings.Contains(got.Reason, test.reason) {
				t.Errorf("reason %q does not say %q", got.Reason, test.reason)
			}
			if _, ok := errors.AsType[*certs.TrustError](got); !test.remote && !ok {
				t.Errorf("%v wraps no *certs.TrustError", got)
			}
			log, want := lines.String(), "transport="+server.Scheme()+" remote=127.0.0.1:"
			if strings.Count(log, "connection refused") != 1 || !strings.Contains(log, want) {
				t.Errorf("log %q, want one refusal with %q", log, want)
			}
		})
	}
}

// refused dials a server that accepts nobody, and has a line about it. The refusal comes now, or just after as the end of the connection.
func refused(t *testing.T, client, server bus.Transport, want uuid.UUID, lines *Lines) error {
	t.Helper()
	ctx := Context(t)
	l := Listen(t, server, Loopback)
	accepted := make(chan struct{})
	go func() { // ends with the listener; refused waits for it
		defer close(accepted)
		if c, err := l.Accept(ctx); err == nil {
			t.Errorf("%s was accepted", c.Peer())
		}
	}()
	c, err := client.Dial(ctx, l.Addr().String(), want)
	if err == nil {
		err = Gone(t, c)
	}
	select {
	case <-lines.Wrote:
	case <-ctx.Done():
		t.Error("no log line")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
	return err
}
