package losstest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bench/netem"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// The bounds of every node, which its events exceed many times in the long variants.
const (
	bufferMax    = 4096
	bufferBytes  = 1 << 20
	receiveBytes = 1 << 20
)

// field is a network with nodes of one transport, all of whom receive what the others emit.
type field struct {
	t       *testing.T
	ctx     context.Context // ends when nothing can be right any more
	scheme  string
	timeout time.Duration // bus.Config.Timeout
	network *netem.Network
	ca      *certs.CA
	members []*member
}

// member is a node, alone on its host.
type member struct {
	host   *netem.Host
	node   *bus.Node
	ledger *ledger
	url    string       // where others dial it
	link   *bus.Link    // to whom it dials; nil: it does not
	peak   atomic.Int64 // bytes that it held
}

const port = 4000

func newField(t *testing.T, scheme string, timeout time.Duration, names ...string) *field {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("it took more than %v", patience))
	t.Cleanup(cancel)
	ca, err := certs.NewCA("losstest")
	must(t, err)
	f := &field{t: t, ctx: ctx, scheme: scheme, timeout: timeout, network: netem.Test(t, 1), ca: ca}
	for _, name := range names {
		f.add(name)
	}
	return f
}

// patience ends a test that hangs.
const patience = 2 * time.Minute

func (f *field) add(name string) {
	f.t.Helper()
	host, err := f.network.NewHost(name)
	must(f.t, err)
	m := &member{host: host, ledger: newLedger(), url: fmt.Sprintf("%s://%s:%d", f.scheme, host.Addr(), port)}
	m.node, err = bus.New(bus.Config{
		Name: name, Transports: []bus.Transport{f.transport(host)}, Timeout: f.timeout,
		BufferMax: bufferMax, BufferBytes: bufferBytes, ReceiveBytes: receiveBytes,
	})
	must(f.t, err)
	f.t.Cleanup(func() {
		if err := m.node.Close(); err != nil {
			f.t.Errorf("%s: %v", name, err)
		}
	})
	_, err = m.node.Listen(f.ctx, fmt.Sprintf("%s://:%d", f.scheme, port)) // its address may change
	must(f.t, err)
	_, err = m.node.On("events", m.ledger.handle, bus.OnGap(m.ledger.gap))
	must(f.t, err)
	// Known after the other, so who knows of this one knows of both.
	_, err = m.node.On("at."+name, func(context.Context, bus.Event) {})
	must(f.t, err)
	f.members = append(f.members, m)
}

func (f *field) transport(host *netem.Host) bus.Transport {
	identity, err := f.ca.Issue(uuid.Nil, host.String())
	must(f.t, err)
	if f.scheme == "tcp" {
		return tcptransport.New(tcptransport.Config{Identity: identity, Dial: host.Dial, Listen: host.Listen})
	}
	return quictransport.New(quictransport.Config{Identity: identity, ListenPacket: host.ListenPacket})
}

// connect has one member dial another over a link with a profile, both by their numbers. It does not wait.
func (f *field) connect(from, to int, profile netem.Profile) *netem.Link {
	f.t.Helper()
	link := f.link(from, to)
	link.Set(profile)
	var err error
	f.members[from].link, err = f.members[from].node.Connect(f.members[to].url)
	must(f.t, err)
	return link
}

// link is that between two members.
func (f *field) link(from, to int) *netem.Link {
	return f.network.Link(f.members[from].host, f.members[to].host)
}

// meet waits until all know that all others listen.
func (f *field) meet() {
	f.t.Helper()
	for _, m := range f.members {
		for _, other := range f.members {
			if m != other {
				must(f.t, m.node.WaitInterest(f.ctx, "at."+other.host.String()))
			}
		}
	}
}

// watchMemory notes the most that a node holds, and holds it to its bounds.
func (m *member) watchMemory() error {
	s := m.node.Stats()
	for peak := m.peak.Load(); s.Bytes > peak && !m.peak.CompareAndSwap(peak, s.Bytes); peak = m.peak.Load() {
	}
	// For peers that are away the bounds of a buffer are those of each log; what is received has a bound in all, and 64 KiB more
	// for each log.
	bytes := receiveBytes + int64(s.Logs)*(bufferBytes+64<<10)
	if s.Bytes > bytes || s.Events > int64(s.Logs*bufferMax) {
		return fmt.Errorf("%s holds %d bytes and %d events in %d logs", m.host, s.Bytes, s.Events, s.Logs)
	}
	return nil
}
