package proxy

import (
	"io"
	"net"
	"sync"
)

// TCP passes on connections. All methods may be called concurrently.
type TCP struct {
	listener *net.TCPListener
	trigger  trigger
	running  sync.WaitGroup

	mu     sync.Mutex
	target string
	joints map[*joint]struct{}
	closed bool
}

// joint is a connection of each side.
type joint struct {
	passage
	near, far *net.TCPConn // far from who dialled
}

// NewTCP listens on a port of loopback, and passes connections on to the target.
func NewTCP(target string) (*TCP, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &TCP{listener: l, target: target, joints: make(map[*joint]struct{})}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where to connect to.
func (p *TCP) Addr() string { return p.listener.Addr().String() }

// Redirect has connections from now on passed on to another target.
func (p *TCP) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Strike has a connection suffer a fault once so many bytes more have passed, both ways and over all connections
// together; a hole swallows all that there are. Then struck is called. A strike that has not happened yet is replaced.
func (p *TCP) Strike(f Fault, after int, struck func()) { p.trigger.arm(&strike{f, after, struck}) }

// Mend ends every stall.
func (p *TCP) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := range p.joints {
		j.resume()
	}
}

// Close ends all connections, and waits until nothing is left of them.
func (p *TCP) Close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for j := range p.joints {
		j.reset()
		j.resume()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *TCP) accept() {
	for {
		near, err := p.listener.AcceptTCP()
		if err != nil {
			return
		}
		p.running.Go(func() { p.join(near) })
	}
}

// join passes both ways, to the end of both.
func (p *TCP) join(near *net.TCPConn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	far, err := net.Dial("tcp", target)
	if err != nil {
		near.SetLinger(0)
		near.Close()
		return
	}
	j := &joint{near: near, far: far.(*net.TCPConn)}
	p.mu.Lock()
	p.joints[j] = struct{}{}
	if p.closed {
		j.reset()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(j, out, j.near, j.far) })
	both.Go(func() { p.pass(j, back, j.far, j.near) })
	both.Wait()
	j.near.Close()
	j.far.Close()
	p.mu.Lock()
	delete(p.joints, j)
	p.mu.Unlock()
}

// pass carries one direction to its end.
func (p *TCP) pass(j *joint, way int, from, to *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.carry(j, way, to, buf[:n]) {
			j.reset()
			return
		}
		switch {
		case err == nil:
		case j.enter(way): // nobody is told
			return
		case err == io.EOF:
			to.CloseWrite()
			return
		default:
			j.reset()
			return
		}
	}
}

// carry returns false if the other end takes no more.
func (p *TCP) carry(j *joint, way int, to *net.TCPConn, b []byte) bool {
	for len(b) > 0 {
		if j.enter(way) {
			return true
		}
		n, s := p.trigger.take(len(b))
		if _, err := to.Write(b[:n]); err != nil {
			return false
		}
		if b = b[n:]; s != nil {
			j.suffer(s.fault, way)
			if s.fault == Hole || s.fault == HalfHole {
				p.harmAll(s.fault, way)
			}
			s.done()
		}
	}
	return true
}

// harmAll has the other connections suffer it, too: one that is about to replace the one struck, or that it has just replaced.
func (p *TCP) harmAll(f Fault, way int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := range p.joints {
		j.harm(f, way)
	}
}

func (j *joint) suffer(f Fault, way int) {
	j.harm(f, way)
	switch f {
	case End: // what comes after is read and swallowed: closing with bytes unread would be a reset
		j.near.CloseWrite()
		j.far.CloseWrite()
	case Reset:
		j.reset()
	}
}

func (j *joint) reset() {
	for _, c := range []*net.TCPConn{j.near, j.far} {
		c.SetLinger(0)
		c.Close()
	}
}
