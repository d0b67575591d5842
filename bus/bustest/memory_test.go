package bustest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// inMemory makes nodes of a network, which trust each other and no stranger.
func inMemory(n *Network) Factory {
	var made atomic.Int32
	name := func() string { return fmt.Sprint("node-", made.Add(1)) }
	members := &circle{strangers: make(map[uuid.UUID]bool)}
	return Factory{
		New:    func(testing.TB) bus.Transport { return &member{n.Transport(name()), members} },
		Listen: ":0",
		Freezing: func(testing.TB) (tr bus.Transport, freeze, thaw func()) {
			frozen := name()
			links := func(do func(*Link)) func() {
				return func() {
					for i := range made.Load() {
						do(n.Link(fmt.Sprint("node-", i+1), frozen))
					}
				}
			}
			return &member{n.Transport(frozen), members}, links((*Link).Stall), links((*Link).Resume)
		},
		Stranger: func(testing.TB) bus.Transport {
			tr := n.Transport(name())
			members.shut(tr.ID())
			return tr
		},
	}
}

// circle is who trusts whom: in memory, a node proves nothing.
type circle struct {
	mu        sync.Mutex
	strangers map[uuid.UUID]bool
}

func (c *circle) shut(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strangers[id] = true
}

// admit closes a connection to a stranger.
func (c *circle) admit(conn bus.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.strangers[conn.Peer()] {
		return nil
	}
	conn.CloseWithCode(bus.CloseUntrusted, "a stranger")
	return &bus.PeerError{Code: bus.CloseUntrusted, Peer: conn.Peer(), Reason: "a stranger"}
}

// member is the transport of a node that trusts a circle.
type member struct {
	bus.Transport
	circle *circle
}

func (m *member) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	c, err := m.Transport.Dial(ctx, addr, want)
	if err != nil {
		return nil, err
	}
	if err := m.circle.admit(c); err != nil {
		return nil, err
	}
	return c, nil
}

func (m *member) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	l, err := m.Transport.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &memberListener{l, m.circle}, nil
}

type memberListener struct {
	bus.Listener
	circle *circle
}

func (l *memberListener) Accept(ctx context.Context) (bus.Conn, error) {
	for {
		c, err := l.Listener.Accept(ctx)
		if err != nil || l.circle.admit(c) == nil {
			return c, err
		}
	}
}

func TestSuiteInMemory(t *testing.T) { RunTransportSuite(t, inMemory(NewNetwork(1))) }

// TestSuiteInVirtualTime holds that nothing here waits but on what testing/synctest knows of.
func TestSuiteInVirtualTime(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.try(t, inMemory(NewNetwork(1))) })
		})
	}
}
