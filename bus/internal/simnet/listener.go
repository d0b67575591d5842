package simnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// maxBacklog is how many connections of a listener are opening or wait for Accept. More are not answered.
const maxBacklog = 128

// Listener accepts connections. It implements [net.Listener].
type Listener struct {
	host  *Host
	local netip.AddrPort

	// The network's lock guards the rest.
	opening int
	waiting []*Conn
	closed  bool
	changed notice
}

var _ net.Listener = (*Listener)(nil)

// Listen accepts connections on a local address, as for ListenPacket. Its signature is that of
// tcptransport.Config.Listen.
func (h *Host) Listen(_ context.Context, addr string) (net.Listener, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	port, err := h.port(addr, func(p uint16) bool { return h.listeners[p] != nil })
	if err != nil {
		return nil, err
	}
	l := &Listener{host: h, local: netip.AddrPortFrom(h.addr, port)}
	h.listeners[port] = l
	return l, nil
}

// open answers a peer that dials. The lock is held.
func (l *Listener) open(key connKey, s *segment) {
	if l.opening+len(l.waiting) >= maxBacklog {
		return
	}
	l.opening++
	c := newConn(l.host, l.local, key.remote)
	c.listener, c.out.limit = l, s.limit
	c.knock()
}

// opened takes a connection that both sides know of. The lock is held.
func (l *Listener) opened(c *Conn) {
	l.opening--
	if l.closed {
		c.abort(errReset)
		return
	}
	l.waiting = append(l.waiting, c)
	l.changed.tell()
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	n := l.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for !l.closed {
		if len(l.waiting) > 0 {
			c := l.waiting[0]
			l.waiting = l.waiting[1:]
			return c, nil
		}
		n.wait(&l.changed, noDeadline)
	}
	return nil, fmt.Errorf("simnet: listener %s: %w", l.local, net.ErrClosed)
}

// Close frees the port and resets what nobody accepted. Later calls do nothing.
func (l *Listener) Close() error {
	l.host.network.mu.Lock()
	defer l.host.network.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	delete(l.host.listeners, l.local.Port())
	for _, c := range l.waiting {
		c.abort(errReset)
	}
	l.waiting = nil
	l.changed.tell()
	return nil
}

// Addr is the address that it listens on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.local) }
