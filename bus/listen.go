package bus

import (
	"context"
	"errors"
	"net"
)

// maxGreeting is how many accepted connections may be without a hello at a time. More wait in
// the transport, which bounds them too.
const maxGreeting = 128

// Listen accepts peers on a URL, as for Connect; port 0 picks one. It returns the address once it is
// bound, and accepts until the node is closed.
func (n *Node) Listen(ctx context.Context, rawURL string) (net.Addr, error) {
	e, err := n.cfg.parseAddress(rawURL)
	if err != nil {
		return nil, err
	}
	ln, err := e.transport.Listen(ctx, e.addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		ln.Close()
		return nil, ErrClosed
	}
	n.listeners = append(n.listeners, listening{ln, reachedAt(e.transport.Scheme(), ln.Addr())})
	n.running.Add(1)
	n.advertise()
	n.mu.Unlock()
	n.lifecycle.publish(LifecycleEvent{Kind: LifecycleListening, Local: ln.Addr(), URL: rawURL})
	go n.accept(ln, e.pref, rawURL) // Node.Close waits for it through running
	return ln.Addr(), nil
}

// accept runs every connection of a listener. Node.Close waits for it.
func (n *Node) accept(ln Listener, pref uint8, rawURL string) {
	defer n.running.Done()
	slots := make(chan struct{}, maxGreeting)
	for {
		select {
		case slots <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		conn, err := ln.Accept(n.ctx)
		if err != nil {
			if n.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				n.withdraw(ln)
				n.log.Error("listener failed", "url", rawURL, "error", err)
				n.lifecycle.publish(LifecycleEvent{Kind: LifecycleListenFailed, URL: rawURL, Err: err})
			}
			return
		}
		p := newPath(n, conn, nil, pref)
		if !n.track(p) {
			p.cancel(ErrClosed)
			p.closeConn()
			return
		}
		over := make(chan struct{})
		go func() { // ends with the path's goroutine below
			select {
			case <-p.up:
			case <-over:
			}
			<-slots
		}()
		go func() { // Node.Close waits for it through running
			defer n.untrack(p)
			err := p.run()
			close(over)
			n.report(p, err)
		}()
	}
}

// report tells of a connection that never became a path, and a path that we had to close.
func (n *Node) report(p *path, err error) {
	if n.ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return
	}
	what := []any{"remote", p.conn.RemoteAddr(), "peer", p.conn.Peer(), "error", err}
	select {
	case <-p.up:
		if isFault(err) {
			n.refusals.warn(n.log, "connection closed", what...)
		}
	default:
		if wasDropped(err) {
			return
		}
		n.refusals.warn(n.log, "connection not accepted", what...)
		n.lifecycle.publish(LifecycleEvent{Kind: LifecycleRejected, Peer: p.conn.Peer(), Remote: p.conn.RemoteAddr(), Err: err})
	}
}

// wasDropped reports whether the other side went on with another connection, or wanted none after all.
func wasDropped(err error) bool {
	var peer *PeerError
	return errors.As(err, &peer) && peer.Remote && (peer.Code == CloseNormal || peer.Code == CloseSurplus)
}

// isFault reports whether a path ended because of what its peer did or failed to do.
func isFault(err error) bool {
	var peer *PeerError
	if !errors.As(err, &peer) || peer.Remote {
		return false
	}
	return peer.Code == CloseViolation || peer.Code == CloseTimeout || peer.Code == CloseTooSlow
}
