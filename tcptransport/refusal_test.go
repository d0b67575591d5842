package tcptransport

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/bustest/pair"
	"github.com/verbose-bus/verbose/certs"
)

func TestRefusals(t *testing.T) {
	pair.Refusals(t, func(id *certs.Identity, logger *slog.Logger) bus.Transport {
		return New(Config{Identity: id, Logger: logger})
	})
}

// TestOtherProtocols holds that both sides find out when they do not speak the same, whoever is the older.
func TestOtherProtocols(t *testing.T) {
	ca := pair.NewCA(t, "test")
	ctx := pair.Context(t)
	mine := pair.Issue(t, ca)
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
			lines := pair.NewLines()
			server := newTransport(t, Config{Identity: pair.Issue(t, ca), Logger: lines.Logger()})
			config := mine.ClientTLS(uuid.Nil, alpn)
			test.change(config)
			conn, err := tls.Dial("tcp", pair.Listen(t, server, pair.Loopback).Addr().String(), config)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.theirs) {
				t.Errorf("client: %v, want %q", err, test.theirs)
			}
			<-lines.Wrote
			if log := lines.String(); !strings.Contains(log, "code=version") {
				t.Errorf("log %q, want code=version", log)
			}

			// And a server like that.
			config = mine.ServerTLS(alpn)
			test.change(config)
			l, err := tls.Listen("tcp", pair.Loopback, config)
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
			client := newTransport(t, Config{Identity: pair.Issue(t, ca)})
			_, err = client.Dial(ctx, l.Addr().String(), uuid.Nil)
			var got *bus.PeerError
			if !errors.As(err, &got) || got.Code != bus.CloseVersion {
				t.Errorf("dial: %v, want the code version", err)
			}
			l.Close()
			<-served
		})
	}
}

// TestGarbage holds that what is no TLS is refused with one line, and a port scan without any.
func TestGarbage(t *testing.T) {
	lines := pair.NewLines()
	server := newTransport(t, Config{Identity: pair.Issue(t, pair.NewCA(t, "test")), Logger: lines.Logger()})
	l := pair.Listen(t, server, pair.Loopback)
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
	<-lines.Wrote
	if log := lines.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "does not speak TLS") {
		t.Errorf("log %q, want one line", log)
	}
}

func TestBadConfig(t *testing.T) {
	tr := newTransport(t, Config{})
	_, err := tr.Dial(pair.Context(t), "127.0.0.1:1", uuid.Nil)
	if err == nil || !strings.Contains(err.Error(), "Config.Identity") {
		t.Errorf("dial: %v, want the field's name", err)
	}
	if _, err := tr.Listen(pair.Context(t), pair.Loopback); err == nil || !strings.Contains(err.Error(), "Config.Identity") {
		t.Errorf("listen: %v, want the field's name", err)
	}
}
