package proxy

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// UDP passes on packets, and the answers to them. All methods may be called concurrently.
type UDP struct {
	passage passage
	front   *net.UDPConn
	trigger trigger
	running sync.WaitGroup

	mu     sync.Mutex
	target netip.AddrPort
	flows  map[netip.AddrPort]*net.UDPConn // by who sends: the socket its packets go on from
	closed bool
}

// socketBuffer is room for what comes while the proxy is not scheduled, in bytes.
const socketBuffer = 4 << 20

// NewUDP listens on a port of loopback, and passes packets on to the target.
func NewUDP(target string) (*UDP, error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return nil, err
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	front.SetReadBuffer(socketBuffer)
	p := &UDP{front: front, target: to, flows: make(map[netip.AddrPort]*net.UDPConn)}
	p.running.Go(p.forward)
	return p, nil
}

// Addr is where to send to.
func (p *UDP) Addr() string { return p.front.LocalAddr().String() }

// Redirect has packets from now on passed on to another target.
func (p *UDP) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = netip.MustParseAddrPort(target)
	p.dropFlows()
}

// dropFlows closes the sockets that packets go on from, so that the next ones get new ones. The lock is held.
func (p *UDP) dropFlows() {
	for _, socket := range p.flows {
		socket.Close()
	}
	clear(p.flows)
}

// Strike has all that passes suffer a fault once so many bytes more have passed, both ways together. Then struck is
// called. A strike that has not happened yet is replaced.
func (p *UDP) Strike(f Fault, after int, struck func()) { p.trigger.arm(&strike{f, after, struck}) }

// Mend ends every stall and hole.
func (p *UDP) Mend() {
	p.passage.fill()
	p.passage.resume()
}

// Close ends the proxy, and waits until nothing is left of it.
func (p *UDP) Close() {
	p.front.Close()
	p.mu.Lock()
	p.closed = true
	p.dropFlows()
	p.mu.Unlock()
	p.passage.resume()
	p.running.Wait()
}

// forward passes on what the dialling side sends.
func (p *UDP) forward() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := p.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if p.admit(out, n) {
			if socket := p.flow(from); socket != nil {
				socket.Write(buf[:n])
			}
		}
	}
}

// answer passes on what comes back to one sender.
func (p *UDP) answer(socket *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 64<<10)
	for {
		n, err := socket.Read(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // nobody listens at the target
		case p.admit(back, n):
			p.front.WriteToUDPAddrPort(buf[:n], to)
		}
	}
}

// flow is the socket that packets of one sender go on from. It is nil if there can be none.
func (p *UDP) flow(from netip.AddrPort) *net.UDPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if socket := p.flows[from]; socket != nil || p.closed {
		return socket
	}
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.target))
	if err != nil {
		return nil
	}
	socket.SetReadBuffer(socketBuffer)
	p.flows[from] = socket
	p.running.Go(func() { p.answer(socket, from) })
	return socket
}

// admit says whether a packet of n bytes passes. One that a fault strikes at suffers it already.
func (p *UDP) admit(way, n int) bool {
	if _, s := p.trigger.take(n); s != nil {
		p.passage.harm(s.fault, way)
		if s.fault == Rebind {
			p.mu.Lock()
			p.dropFlows()
			p.mu.Unlock()
		}
		s.done()
	}
	return !p.passage.enter(way)
}
