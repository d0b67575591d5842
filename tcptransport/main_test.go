package tcptransport

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	loopback = "127.0.0.1:0"
	patience = 20 * time.Second // ends a test that hangs
)

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newCA(t testing.TB, name string) *certs.CA {
	t.Helper()
	ca, err := certs.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t testing.TB, ca *certs.CA, options ...certs.Option) *certs.Identity {
	t.Helper()
	id, err := ca.Issue(uuid.Nil, "", options...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newTransport(t testing.TB, config Config) *Transport {
	t.Helper()
	tr := New(config)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func listen(t testing.TB, tr *Transport, addr string) bus.Listener {
	t.Helper()
	l, err := tr.Listen(testContext(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pair is two nodes of one CA and a connection between them.
type pair struct {
	ctx              context.Context
	client, server   *Transport
	listener         bus.Listener
	dialled, arrived bus.Conn
}

func newPair(t testing.TB) *pair {
	t.Helper()
	ca := newCA(t, "test")
	p := &pair{ctx: testContext(t)}
	p.client = newTransport(t, Config{Identity: issue(t, ca)})
	p.server = newTransport(t, Config{Identity: issue(t, ca)})
	p.listener = listen(t, p.server, loopback)
	p.dialled, p.arrived = connect(t, p.client, p.listener)
	return p
}

func connect(t testing.TB, client *Transport, l bus.Listener) (dialled, arrived bus.Conn) {
	t.Helper()
	ctx := testContext(t)
	dialled, err := client.Dial(ctx, l.Addr().String(), uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	arrived, err = l.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return dialled, arrived
}

// streams opens a stream and returns both ends. One byte makes it known to the peer.
func (p *pair) streams(t testing.TB) (opened, accepted bus.Stream) {
	t.Helper()
	opened, err := p.dialled.OpenStream(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	accepted, err = p.arrived.AcceptStream(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	return opened, accepted
}

// gone waits for the end of a connection and returns its cause.
func gone(t testing.TB, c bus.Conn) error {
	t.Helper()
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-time.After(patience):
		t.Fatal("the connection is still there")
		return nil
	}
}

func wantPeerError(t testing.TB, err error, code bus.CloseCode, remote bool) *bus.PeerError {
	t.Helper()
	var refusal *bus.PeerError
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v (%T), want a *bus.PeerError", err, err)
	}
	if refusal.Code != code || refusal.Remote != remote {
		t.Fatalf("%q: code %s remote %t, want %s %t", err, refusal.Code, refusal.Remote, code, remote)
	}
	return refusal
}

func port(addr net.Addr) int { return addr.(*net.TCPAddr).Port }
