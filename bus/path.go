package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

const (
	helloTimeout = 10 * time.Second
	// leaveTimeout is how long a path that is left may take to send what it can.
	leaveTimeout = 500 * time.Millisecond
	controlLimit = protocol.MaxControlFrame + 1
)

// path runs one connection: a goroutine that reads the control stream, one that
// writes it, one that accepts the peer's data streams, and one per data stream in use and
// direction. They all end when ctx does, and run waits for them.
type path struct {
	node   *Node
	id     protocol.PathID
	conn   Conn
	link   *Link // nil if the peer dialled
	pref   uint8
	wake   signal
	ctx    context.Context // its cause is why the path ends
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	up     chan struct{} // closed when both sides accepted the path
	left   chan struct{} // closed when the path is being left

	// Guarded by the engine's lock.
	senders    [codec.MaxLane + 1]*sender
	streams    int // data streams opened by us
	sending    int // senders that run
	ended      int // data streams of the peer that were read to their end
	byeStreams int // what the peer said of them; -1: it has not left
	leaving    bool
	over       bool // it is about to end
	peer       uuid.UUID
	pings      map[uint64]chan<- struct{}
	lastPing   uint64
	isUp       bool
	silent     bool // the peer does not answer on it
}

func newPath(n *Node, conn Conn, link *Link, pref uint8) *path {
	p := &path{node: n, conn: conn, link: link, pref: pref, wake: newSignal(),
		up: make(chan struct{}), left: make(chan struct{}), byeStreams: -1}
	p.ctx, p.cancel = context.WithCancelCause(n.ctx)
	return p
}

// run drives the path to its end and returns why it ended.
func (p *path) run() error {
	stop := context.AfterFunc(p.ctx, p.closeConn)
	late := time.AfterFunc(helloTimeout, p.giveUp)
	defer late.Stop()
	control, err := p.openControl()
	if err == nil {
		err = p.register()
	}
	if err == nil {
		if s, ok := control.(Prioritizer); ok {
			s.SetPriority(0)
		}
		p.wg.Add(2) // both are waited for below
		go p.writeControl(control)
		go p.acceptStreams()
		err = p.readControl(control)
	}
	p.cancel(p.explain(err))
	cause := context.Cause(p.ctx)
	if stop() {
		p.closeConn()
	}
	p.unregister(cause)
	p.wg.Wait()
	return cause
}

// explain prefers what the connection says of its end over what a stream ran into. A stream that
// fails alone was broken by the peer.
func (p *path) explain(err error) error {
	var peer *PeerError
	if err == nil || errors.As(err, &peer) {
		return err
	}
	select {
	case <-p.conn.Context().Done():
		return context.Cause(p.conn.Context())
	case <-p.ctx.Done():
		return err
	case <-time.After(leaveTimeout): // the connection may be about to tell why
		return &PeerError{Code: CloseViolation, Peer: p.conn.Peer(), Reason: "a stream failed: " + err.Error(), Err: err}
	}
}

// closeConn tells the peer why, as far as it is its business.
func (p *path) closeConn() {
	code, reason := CloseNormal, ""
	var peer *PeerError
	if cause := context.Cause(p.ctx); errors.As(cause, &peer) {
		code, reason = peer.Code, peer.Reason
	} else if !errors.Is(cause, ErrClosed) && !errors.Is(cause, context.Canceled) {
		code = CloseInternal
	}
	p.conn.CloseWithCode(code, reason)
}

func (p *path) openControl() (Stream, error) {
	if p.link != nil {
		return p.conn.OpenStream(p.ctx)
	}
	return p.conn.AcceptStream(p.ctx)
}

// giveUp ends a path that took too long to come up. The machine does not count what it took to have a control stream.
func (p *path) giveUp() {
	select {
	case <-p.up:
	default:
		p.cancel(&PeerError{Code: CloseHelloTimeout, Peer: p.conn.Peer(), Reason: fmt.Sprintf("no hello within %v", helloTimeout)})
	}
}

// register makes the path known to the machine.
func (p *path) register() error {
	e := p.node.engine
	closed := false
	e.do(func(m *protocol.Machine, now time.Duration) {
		if closed = e.closed; closed {
			return
		}
		e.lastPath++
		p.id = e.lastPath
		e.paths[p.id] = p
		info := protocol.PathInfo{ID: p.id, Peer: p.conn.Peer(), Dialed: p.link != nil, Pref: p.pref}
		if p.link != nil {
			info.Link, info.Nonce = p.link.id, uint64(time.Now().UnixMicro())
		}
		m.AddPath(now, info)
	})
	if closed {
		return ErrClosed
	}
	return nil
}

// unregister takes it from the machine; no sender starts after that.
func (p *path) unregister(cause error) {
	if p.id == 0 {
		return
	}
	code, reason := protocol.CodeInternal, ""
	var peer *PeerError
	if errors.As(cause, &peer) {
		code, reason = protocol.Code(peer.Code), peer.Reason
	} else if errors.Is(cause, ErrClosed) || errors.Is(cause, context.Canceled) {
		code = protocol.CodeNormal
	}
	e := p.node.engine
	e.do(func(m *protocol.Machine, now time.Duration) {
		m.PathClosed(now, p.id, code, reason)
		delete(e.paths, p.id)
		for _, s := range p.senders {
			if s != nil {
				s.idle()
			}
		}
		e.wakeWaiters()
	})
}

// accepted notes that both sides accepted the path. The engine's lock is held.
func (p *path) accepted(peer uuid.UUID, t *todo) {
	p.peer, p.isUp = peer, true
	close(p.up)
	t.notes = append(t.notes, LifecycleEvent{Kind: LifecyclePathUp, Peer: peer,
		Local: p.conn.LocalAddr(), Remote: p.conn.RemoteAddr(), URL: p.url()})
}

func (p *path) url() string {
	if p.link != nil {
		return p.link.url
	}
	return ""
}

// readControl reads the control stream, which lasts as long as the path.
func (p *path) readControl(control Stream) error {
	sink := newFrameSink(controlLimit, controlAhead, false, func(kind byte, body []byte, _ *codec.Memory) (err error) {
		p.node.engine.do(func(m *protocol.Machine, now time.Duration) {
			err = m.HandleControl(now, p.id, kind, body)
		})
		return closeError(err, p.conn.Peer())
	})
	return cmp.Or(readFrames(control, sink, nil), io.EOF) // it leaves no work
}

// closeError makes the machine's verdict on a frame a PeerError.
func closeError(err error, peer uuid.UUID) error {
	if verdict, ok := errors.AsType[*protocol.CloseError](err); ok {
		return &PeerError{Code: CloseCode(verdict.Code), Peer: peer, Reason: verdict.Reason, Err: err}
	}
	return err
}

// writeControl writes what the machine has to say, until the path ends or is left.
func (p *path) writeControl(control Stream) {
	defer p.wg.Done()
	var buf []byte
	left := p.left
	for {
		p.node.engine.do(func(m *protocol.Machine, now time.Duration) {
			buf = m.PollControl(now, p.id, buf[:0])
		})
		if len(buf) > 0 {
			if _, err := control.Write(buf); err != nil {
				p.cancel(p.explain(err))
				return
			}
			if cap(buf) > 16<<10 {
				buf = nil
			}
			continue
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		case <-left:
			if p.sayBye() {
				left = nil
			} else {
				<-p.wake // the last sender's end
			}
		}
	}
}

// sayBye announces that we leave, once every sender has ended.
func (p *path) sayBye() (said bool) {
	p.node.engine.do(func(m *protocol.Machine, now time.Duration) {
		if said = p.sending == 0; said {
			m.Bye(now, p.id, p.streams)
		}
	})
	return said
}

// leave ends the path politely: what can be sent at once goes out, then the peer is told, and
// it closes the connection when it has read everything. It returns when that is done, or after leaveTimeout.
func (p *path) leave() {
	e := p.node.engine
	e.mu.Lock()
	first, up := !p.leaving, p.isUp
	p.leaving = true
	if first {
		close(p.left)
	}
	for _, s := range p.senders {
		if s != nil {
			s.wake.notify()
		}
	}
	e.mu.Unlock()
	if up {
		timer := time.NewTimer(leaveTimeout)
		defer timer.Stop()
		select {
		case <-p.conn.Context().Done():
		case <-timer.C:
		case <-p.ctx.Done():
		}
	}
	p.cancel(&PeerError{Code: CloseNormal, Peer: p.conn.Peer(), Err: ErrClosed})
}

// leaveIfDone ends a path whose peer has left and whose streams were read. The
// engine's lock is held.
func (p *path) leaveIfDone(t *todo) {
	if p.byeStreams >= 0 && p.ended >= p.byeStreams {
		p.end(&PeerError{Code: CloseNormal, Peer: p.conn.Peer(), Remote: true}, t)
	}
}

// end has the path end. The engine's lock is held.
func (p *path) end(cause error, t *todo) {
	p.over = true
	t.closes = append(t.closes, verdict{p, cause})
}

// acceptStreams takes the peer's data streams. They may overtake its snapshot on the
// control stream, and wait for that (PROTOCOL.md §5.2).
func (p *path) acceptStreams() {
	defer p.wg.Done()
	select {
	case <-p.up:
	case <-p.ctx.Done():
		return
	}
	for n := 0; ; n++ {
		s, err := p.conn.AcceptStream(p.ctx)
		if err == nil && n > codec.MaxLane {
			err = &PeerError{Code: CloseViolation, Peer: p.conn.Peer(), Reason: "more data streams than lanes"}
		}
		if err != nil {
			p.cancel(p.explain(err))
			return
		}
		p.wg.Add(1)
		newReader(p, s).start()
	}
}

// pong answers a ping of ours. The engine's lock is held.
func (p *path) pong(token uint64) {
	if done := p.pings[token]; done != nil {
		delete(p.pings, token)
		close(done)
	}
}
