package bus_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// briefly is how long a certificate of this test is valid. Within it, all nodes have to be up.
const briefly = 5 * time.Second

// expiring is a node whose certificate expires while it runs, a peer from before, and one that comes after.
type expiring struct {
	*network
	scheme      string
	file        string
	id          *certs.Identity // from file
	renewed     certs.Info
	reloads     atomic.Int32
	node        *bus.Node
	early, late *bus.Node
	dials       bool      // it does, and not its peers
	inbox       *inbox    // of early
	link        *bus.Link // between the node and late
}

func newExpiring(t *testing.T, scheme string, dials bool) *expiring {
	dir := t.TempDir()
	ca, err := certs.InitCA(dir, "test")
	must(t, err)
	x := &expiring{network: &network{t: t, ca: ca}, scheme: scheme, dials: dials}
	issued, err := ca.Issue(uuid.Nil, "expiring", certs.Valid(time.Now().Add(-time.Hour), time.Now().Add(briefly)))
	must(t, err)
	x.file, err = ca.Store(issued)
	must(t, err)
	x.id, err = certs.LoadIdentity(x.file, filepath.Join(dir, "ca.pem"))
	must(t, err)
	x.id.OnReload(func(err error) {
		x.reloads.Add(1)
		if err != nil {
			t.Error(err)
		}
	})
	x.node, x.early, x.late = x.start(x.id), x.start(x.identity(uuid.Nil, "early")), x.start(x.identity(uuid.Nil, "late"))
	_, err = x.linkTo(x.early).Ready(soon(t))
	must(t, err)
	x.inbox = collect(t, x.early, "t")
	must(t, x.node.WaitInterest(soon(t), "t"))
	return x
}

// start makes a node with a transport of the scheme.
func (x *expiring) start(id *certs.Identity) *bus.Node {
	return x.nodeAs(id, func(cfg *bus.Config) {
		cfg.Transports = []bus.Transport{quictransport.New(quictransport.Config{Identity: id})}
		if x.scheme == "tcp" {
			cfg.Transports = []bus.Transport{tcptransport.New(tcptransport.Config{Identity: id})}
		}
	})
}

// linkTo connects the node and a peer, either way round.
func (x *expiring) linkTo(peer *bus.Node) *bus.Link {
	listener, dialler := x.node, peer
	if x.dials {
		listener, dialler = peer, x.node
	}
	addr, err := listener.Listen(x.t.Context(), x.scheme+"://127.0.0.1:0")
	must(x.t, err)
	link, err := dialler.Connect(x.scheme + "://" + addr.String())
	must(x.t, err)
	return link
}

// beRefused has the late peer and the node fail to connect.
func (x *expiring) beRefused() {
	dialler := x.late
	if x.dials {
		dialler = x.node
	}
	attempts := dialler.Lifecycle(soon(x.t))
	x.link = x.linkTo(x.late)
	awaitLifecycle(x.t, attempts, func(e bus.LifecycleEvent) bool {
		peer, refused := errors.AsType[*bus.PeerError](e.Err)
		return e.Kind == bus.LifecycleBackoff && refused && peer.Code == bus.CloseUntrusted
	})
}

// renew replaces the certificate in its file, and touches nothing else.
func (x *expiring) renew() {
	renewed, err := x.ca.Renew(x.file)
	must(x.t, err)
	must(x.t, renewed.Save(x.file))
	x.renewed = renewed.Info()
}

// wantHealed waits for the link to come up by itself.
func (x *expiring) wantHealed() {
	_, err := x.link.Ready(soon(x.t))
	must(x.t, err)
	if got := x.id.Info(); x.reloads.Load() != 1 || got != x.renewed {
		x.t.Errorf("%d reloads, and a certificate until %s; want 1, %s", x.reloads.Load(), got.NotAfter, x.renewed.NotAfter)
	}
}

// TestExpiredCertificateHeals holds that a node whose certificate has expired connects again as soon as its file holds a
// renewed one, over each transport, dialling and listening; and that a connection from before stays.
func TestExpiredCertificateHeals(t *testing.T) {
	var nodes []*expiring
	for _, scheme := range []string{"quic", "tcp"} {
		for _, dials := range []bool{false, true} {
			nodes = append(nodes, newExpiring(t, scheme, dials))
		}
	}
	expired := time.NewTimer(time.Until(nodes[len(nodes)-1].id.Info().NotAfter))
	defer expired.Stop()
	<-expired.C
	for _, x := range nodes {
		x.beRefused()
		send(t, x.node, "t", "while it is expired")
		x.inbox.want("while it is expired")
		x.renew()
	}
	for _, x := range nodes {
		x.wantHealed()
		send(t, x.node, "t", "later")
		x.inbox.want("while it is expired", "later")
	}
}
