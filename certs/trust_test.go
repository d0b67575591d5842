package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

type outcome struct {
	client, server         error
	seenByClient, byServer uuid.UUID
}

// handshake connects client to server over a pipe.
func handshake(client, server *Identity, want uuid.UUID) outcome {
	return connect(client.ClientTLS(want, "test/1"), server.ServerTLS("test/1"))
}

// buffered lets both ends of a pipe write at once, as sockets do.
type buffered struct {
	net.Conn
	out  chan []byte
	done chan struct{}
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{conn, make(chan []byte, 16), make(chan struct{})}
	go func() {
		defer close(b.done)
		defer conn.Close()
		for p := range b.out {
			if _, err := conn.Write(p); err != nil {
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- bytes.Clone(p):
		return len(p), nil
	case <-b.done:
		return 0, net.ErrClosed
	}
}

// stop ends the writer once what was written is read or the other end is closed.
func (b *buffered) stop() { <-b.done }

func connect(clientConfig, serverConfig *tls.Config) outcome {
	left, right := net.Pipe()
	a, b := newBuffered(left), newBuffered(right)
	defer a.stop()
	defer b.stop()
	c, s := tls.Client(a, clientConfig), tls.Server(b, serverConfig)
	var result outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		result.server = s.Handshake()
		if result.server == nil {
			result.byServer, result.server = PeerID(s.ConnectionState())
		}
		close(b.out)
	}()
	result.client = c.Handshake()
	if result.client == nil {
		result.seenByClient, result.client = PeerID(c.ConnectionState())
		a.SetReadDeadline(time.Now().Add(10 * time.Second))
		a.Read(make([]byte, 1)) // the server's alert, or its close
	}
	close(a.out)
	<-done
	return result
}

func TestMutualTrust(t *testing.T) {
	ca := newCA(t, "test")
	a, b := issue(t, ca, "a"), issue(t, ca, "b")
	got := handshake(a, b, b.ID())
	if got.client != nil || got.server != nil || got.seenByClient != b.ID() || got.byServer != a.ID() {
		t.Errorf("%+v, want %s and %s to know each other", got, a.ID(), b.ID())
	}
}

func wantTrustError(t *testing.T, err error, reason Reason, peer uuid.UUID, parts ...string) {
	t.Helper()
	var refused *TrustError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a *TrustError", err)
	}
	if refused.Reason != reason || refused.Peer != peer {
		t.Errorf("reason %d peer %s, want %d %s", refused.Reason, refused.Peer, reason, peer)
	}
	wantError(t, err, parts...)
}

func TestRefusals(t *testing.T) {
	now := time.Now()
	past, future := Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)), Valid(now.Add(time.Hour), now.Add(2*time.Hour))
	ca := newCA(t, "ours")
	judge := issue(t, ca, "judge")

	t.Run("foreign CA", func(t *testing.T) {
		peer := issue(t, newCA(t, "theirs"), "peer")
		text := []string{peer.ID().String(), `"theirs" (key `, `"ours" (key `, "from one CA"}
		wantTrustError(t, handshake(judge, peer, uuid.Nil).client, Untrusted, peer.ID(), text...)
		// As the server, with a client that trusts it.
		both, err := NewIdentity(peer.Certificate(), ca.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		wantTrustError(t, handshake(both, judge, uuid.Nil).server, Untrusted, peer.ID(), text...)
	})
	t.Run("same name", func(t *testing.T) {
		peer := issue(t, newCA(t, "ours"), "peer")
		err := handshake(judge, peer, uuid.Nil).client
		wantTrustError(t, err, Untrusted, peer.ID())
		if strings.Count(err.Error(), `"ours" (key `) != 2 {
			t.Errorf("%q does not tell the CAs apart", err)
		}
	})
	t.Run("expired", func(t *testing.T) {
		peer := issue(t, ca, "peer", past)
		wantTrustError(t, handshake(judge, peer, uuid.Nil).client, Expired, peer.ID(), "expired at", "issue it anew")
		wantTrustError(t, handshake(peer, judge, uuid.Nil).server, Expired, peer.ID())
	})
	t.Run("not yet valid", func(t *testing.T) {
		peer := issue(t, ca, "peer", future)
		wantTrustError(t, handshake(judge, peer, uuid.Nil).client, NotYetValid, peer.ID(), "not valid before", "clock")
	})
	t.Run("expired CA", func(t *testing.T) {
		old := newCA(t, "old", past)
		peer := issue(t, old, "peer", Valid(now.Add(-time.Hour), now.Add(time.Hour)))
		judge := issue(t, old, "judge", Valid(now.Add(-time.Hour), now.Add(time.Hour)))
		wantTrustError(t, handshake(judge, peer, uuid.Nil).client, Expired, peer.ID(), `CA "old"`)
	})
	t.Run("wrong id", func(t *testing.T) {
		peer, want := issue(t, ca, "peer"), uuid.New()
		wantTrustError(t, handshake(judge, peer, want).client, WrongID, peer.ID(), want.String())
	})
	t.Run("no certificate", func(t *testing.T) {
		config := judge.ClientTLS(uuid.Nil, "test/1")
		config.Certificates = nil
		if err := connect(config, judge.ServerTLS("test/1")).server; err == nil {
			t.Error("a client without a certificate was let in")
		}
		_, err := PeerID(tls.ConnectionState{})
		wantTrustError(t, err, NoCertificate, uuid.Nil)
	})
	t.Run("no id", func(t *testing.T) {
		config := judge.ServerTLS("test/1")
		config.Certificates = []tls.Certificate{foreign(t)}
		wantTrustError(t, connect(judge.ClientTLS(uuid.Nil, "test/1"), config).client, NoID, uuid.Nil, "no node id")
	})
	t.Run("node as CA", func(t *testing.T) {
		// A node's key must not be able to issue further nodes.
		node := issue(t, ca, "node")
		key := node.Certificate().PrivateKey
		rogue := &CA{certificate: node.Certificate().Leaf, key: key.(crypto.Signer)}
		peer := issue(t, rogue, "peer")
		config := judge.ServerTLS("test/1")
		chain := peer.Certificate()
		chain.Certificate = append(chain.Certificate, node.Certificate().Certificate...)
		config.Certificates = []tls.Certificate{chain}
		wantTrustError(t, connect(judge.ClientTLS(uuid.Nil, "test/1"), config).client, Untrusted, peer.ID())
	})
}

func TestOldTLSIsRefused(t *testing.T) {
	id := issue(t, newCA(t, "test"), "a")
	config := id.ClientTLS(uuid.Nil, "test/1")
	config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if err := connect(config, id.ServerTLS("test/1")).server; err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

// TestNewCAIsTrustedBesideOld is the change of a CA: nodes of both are let in meanwhile.
func TestNewCAIsTrustedBesideOld(t *testing.T) {
	first, second := newCA(t, "first"), newCA(t, "second")
	both := func(ca *CA) *Identity {
		id, err := NewIdentity(issue(t, ca, "").Certificate(), first.Certificate(), second.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if got := handshake(both(first), both(second), uuid.Nil); got.client != nil || got.server != nil {
		t.Errorf("%+v", got)
	}
}

// TestVirtualTime holds that Valid reaches the clock of testing/synctest and
// that validity follows that clock.
func TestVirtualTime(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	window := Valid(start.Add(-time.Hour), start.Add(time.Hour))
	ca := newCA(t, "test", window)
	a, b := issue(t, ca, "a", window), issue(t, ca, "b", window)
	synctest.Test(t, func(t *testing.T) {
		if got := handshake(a, b, uuid.Nil); got.client != nil || got.server != nil {
			t.Errorf("at the start: %+v", got)
		}
		<-time.After(2 * time.Hour)
		wantTrustError(t, handshake(a, b, uuid.Nil).client, Expired, b.ID())
	})
}
