package tcptransport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
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

// TestOtherProtocols holds that both sides find out when they do not speak the same, whoever is the older.
func TestOtherProtocols(t *testing.T) {
	ca := newCA(t, "test")
	ctx := testContext(t)
	mine := issue(t, ca)
	for _, test := range []struct {
		name   string
		change func(*tls.Config)
		theirs string // what a plain TLS client says
	}{
		{"another ALPN", func(c *tls.Config) { c.NextProtos = []string{"verbose/999"} }, "no application protocol"},
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }, ""},
		{"TLS 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "protocol version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := newLogBuffer()
			server := newTransport(t, Config{Identity: issue(t, ca), Logger: slog.New(slog.NewTextHandler(lines, nil))})
			config := mine.ClientTLS(uuid.Nil, alpn)
			test.change(config)
			conn, err := tls.Dial("tcp", listen(t, server, loopback).Addr().String(), config)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.theirs) {
				t.Errorf("client: %v, want %q", err, test.theirs)
			}
			<-lines.wrote
			if log := lines.String(); !strings.Contains(log, "code=version") {
				t.Errorf("log %q, want code=version", log)
			}

			// And a server like that.
			config = mine.ServerTLS(alpn)
			test.change(config)
			l, err := tls.Listen("tcp", loopback, config)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				if conn, err := l.Accept(); err == nil {
					conn.(*tls.Conn).Handshake()
					io.Copy(io.Discard, conn)
					conn.Close()
				}
			}()
			client := newTransport(t, Config{Identity: issue(t, ca)})
			_, err = client.Dial(ctx, l.Addr().String(), uuid.Nil)
			var refusal *bus.PeerError
			if !errors.As(err, &refusal) || refusal.Code != bus.CloseVersion {
				t.Errorf("dial: %v, want the code version", err)
			}
			l.Close()
			<-served
		})
	}
}

// TestGarbage holds that what is no TLS is refused with one line, and a port scan without any.
func TestGarbage(t *testing.T) {
	lines := newLogBuffer()
	server := newTransport(t, Config{Identity: issue(t, newCA(t, "test")), Logger: slog.New(slog.NewTextHandler(lines, nil))})
	l := listen(t, server, loopback)
	for _, greeting := range []string{"", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, greeting)
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn) // until the server has done with it
		conn.Close()
	}
	<-lines.wrote
	if log := lines.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "does not speak TLS") {
		t.Errorf("log %q, want one line", log)
	}
}

// TestRefusalsAreLoggedOnceASecond feeds the log faster than that.
func TestRefusalsAreLoggedOnceASecond(t *testing.T) {
	var lines bytes.Buffer
	log := newRefusalLog(slog.New(slog.NewTextHandler(&lines, nil)))
	from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for range 5 {
		log.record(from, &bus.PeerError{Code: bus.CloseUntrusted})
	}
	log.last = log.last.Add(-time.Second)
	log.record(from, &bus.PeerError{Code: bus.CloseUntrusted})
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
