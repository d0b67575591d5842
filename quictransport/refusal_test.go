package quictransport

import (
	"log/slog"
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

func TestWrongALPN(t *testing.T) {
	ca := pair.NewCA(t, "test")
	ctx := pair.Context(t)
	client := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	server := newTransport(t, Config{Identity: pair.Issue(t, ca)})
	e, err := server.open(ctx, pair.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.quic.Listen(server.config.Identity.ServerTLS("verbose/999"), server.quicConfig())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Dial(ctx, l.Addr().String(), uuid.Nil)
	pair.WantPeerError(t, err, bus.CloseVersion, true)
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
