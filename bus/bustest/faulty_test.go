package bustest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// recorder is the testing.TB of a rule that is itself tested.
type recorder struct {
	testing.TB // of the test around it, for what rules do not call

	mu       sync.Mutex
	failures []string
	skipped  string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Error(args ...any) { r.record(fmt.Sprint(args...)) }

func (r *recorder) Errorf(format string, args ...any) { r.record(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.record(fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.record(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (r *recorder) Skip(args ...any) {
	r.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) record(failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, failure)
}

// failures tries a rule on the transports, in virtual time, and returns what it reports.
func (f *faulty) failures(t *testing.T, r rule) []string {
	t.Helper()
	return f.try(t, r).failures
}

func (f *faulty) try(t *testing.T, r rule) *recorder {
	t.Helper()
	rec := &recorder{TB: t}
	synctest.Test(t, func(t *testing.T) {
		f.over = make(chan struct{})
		f.breakage(f)
		run := func(f func()) { // and survive a Fatal in it
			done := make(chan struct{})
			go func() {
				defer close(done)
				f()
			}()
			<-done
		}
		run(func() { r.try(rec, f.factory()) })
		for i := len(rec.cleanups) - 1; i >= 0; i-- {
			run(rec.cleanups[i])
		}
		f.end()
	})
	return rec
}

// faulty makes transports in memory, each wrapped in what a breakage puts in place of its
// methods. Hooks that are nil leave what they stand for as it is.
type faulty struct {
	breakage func(f *faulty) // sets the hooks
	over     chan struct{}   // closed when the rule is done with: ends what hangs
	inner    []bus.Transport
	plain    bool // nothing is there that a transport need not have

	listeners []bus.Listener
	frozen    atomic.Bool // while a peer is

	transport func(tr *faultyTransport) bus.Transport // in place of each transport
	dial      func(ctx context.Context, dial func(context.Context, uuid.UUID) (bus.Conn, error), want uuid.UUID) (bus.Conn, error)
	accept    func(ctx context.Context, l bus.Listener) (bus.Conn, error)
	unbind    func(l bus.Listener) error
	close     func(tr bus.Transport) error
	conn      func(c *faultyConn)   // sets hooks of each new connection
	stream    func(s *faultyStream) // sets hooks of each new stream
}

func (f *faulty) factory() Factory {
	inner := inMemory(NewNetwork(1))
	wrap := func(tr bus.Transport) bus.Transport {
		f.inner = append(f.inner, tr)
		broken := &faultyTransport{tr, f}
		if f.transport != nil {
			return f.transport(broken)
		}
		return broken
	}
	if f.plain {
		return Factory{New: func(t testing.TB) bus.Transport { return wrap(inner.New(t)) }, Listen: inner.Listen}
	}
	return Factory{
		New:      func(t testing.TB) bus.Transport { return wrap(inner.New(t)) },
		Listen:   inner.Listen,
		Stranger: func(t testing.TB) bus.Transport { return wrap(inner.Stranger(t)) },
		Freezing: func(t testing.TB) (tr bus.Transport, freeze, thaw func()) {
			tr, stall, resume := inner.Freezing(t)
			freeze = func() { f.frozen.Store(true); stall() }
			thaw = func() { f.frozen.Store(false); resume() }
			return wrap(tr), freeze, thaw
		},
	}
}

// timing is a transport that can be told a timeout, and does with it what a breakage says.
type timing struct {
	*faultyTransport
	set func(d time.Duration)
}

func (t *timing) SetTimeout(d time.Duration) { t.set(d) }

// end ends what a broken transport has left.
func (f *faulty) end() {
	close(f.over)
	for _, tr := range f.inner {
		tr.Close()
	}
	time.Sleep(time.Hour) // in virtual time
}

type faultyTransport struct {
	bus.Transport
	f *faulty
}

func (t *faultyTransport) Dial(ctx context.Context, addr string, want uuid.UUID) (bus.Conn, error) {
	dial := func(ctx context.Context, want uuid.UUID) (bus.Conn, error) { return t.Transport.Dial(ctx, addr, want) }
	if t.f.dial != nil {
		c, err := t.f.dial(ctx, dial, want)
		return t.f.wrap(c, err)
	}
	return t.f.wrap(dial(ctx, want))
}

func (t *faultyTransport) Listen(ctx context.Context, addr string) (bus.Listener, error) {
	l, err := t.Transport.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	t.f.listeners = append(t.f.listeners, l)
	return &faultyListener{l, t.f}, nil
}

func (t *faultyTransport) Close() error {
	if t.f.close != nil {
		return t.f.close(t.Transport)
	}
	return t.Transport.Close()
}

type faultyListener struct {
	bus.Listener
	f *faulty
}

func (l *faultyListener) Accept(ctx context.Context) (bus.Conn, error) {
	if l.f.accept != nil {
		return l.f.wrap(l.f.accept(ctx, l.Listener))
	}
	return l.f.wrap(l.Listener.Accept(ctx))
}

func (l *faultyListener) Close() error {
	if l.f.unbind != nil {
		return l.f.unbind(l.Listener)
	}
	return l.Listener.Close()
}

func (f *faulty) wrap(c bus.Conn, err error) (bus.Conn, error) {
	if err != nil {
		return nil, err
	}
	w := &faultyConn{Conn: c, f: f}
	if f.conn != nil {
		f.conn(w)
	}
	return w, nil
}

type faultyConn struct {
	bus.Conn
	f *faulty

	open          func(ctx context.Context) (bus.Stream, error)
	acceptStream  func(ctx context.Context) (bus.Stream, error)
	peer          func() uuid.UUID
	context       func() context.Context
	closeWithCode func(code bus.CloseCode, reason string) error
	lock          chan struct{} // for breakages
}

func (c *faultyConn) OpenStream(ctx context.Context) (bus.Stream, error) {
	if c.open != nil {
		return c.wrap(c.open(ctx))
	}
	return c.wrap(c.Conn.OpenStream(ctx))
}

func (c *faultyConn) AcceptStream(ctx context.Context) (bus.Stream, error) {
	if c.acceptStream != nil {
		return c.wrap(c.acceptStream(ctx))
	}
	return c.wrap(c.Conn.AcceptStream(ctx))
}

func (c *faultyConn) Peer() uuid.UUID {
	if c.peer != nil {
		return c.peer()
	}
	return c.Conn.Peer()
}

func (c *faultyConn) Context() context.Context {
	if c.context != nil {
		return c.context()
	}
	return c.Conn.Context()
}

func (c *faultyConn) CloseWithCode(code bus.CloseCode, reason string) error {
	if c.closeWithCode != nil {
		return c.closeWithCode(code, reason)
	}
	return c.Conn.CloseWithCode(code, reason)
}

func (c *faultyConn) wrap(s bus.Stream, err error) (bus.Stream, error) {
	if err != nil {
		return nil, err
	}
	if c.f.plain {
		return struct{ bus.Stream }{s}, nil
	}
	w := &faultyStream{Stream: s, conn: c}
	if c.f.stream != nil {
		c.f.stream(w)
	}
	return w, nil
}

type faultyStream struct {
	bus.Stream
	conn *faultyConn

	read, write                 func(p []byte) (int, error)
	tryWrite                    func(p []byte) (bool, error)
	push                        func(sink bus.Sink) error
	closeWrite                  func() error
	reset                       func(code bus.CloseCode)
	readDeadline, writeDeadline func(t time.Time) error
}

func (s *faultyStream) Read(p []byte) (int, error) {
	if s.read != nil {
		return s.read(p)
	}
	return s.Stream.Read(p)
}

func (s *faultyStream) Write(p []byte) (int, error) {
	if s.write != nil {
		return s.write(p)
	}
	return s.Stream.Write(p)
}

func (s *faultyStream) TryWrite(p []byte) (bool, error) {
	if s.tryWrite != nil {
		return s.tryWrite(p)
	}
	return s.Stream.(bus.TryWriter).TryWrite(p)
}

func (s *faultyStream) Push(sink bus.Sink) error {
	if s.push != nil {
		return s.push(sink)
	}
	return s.Stream.(bus.Pusher).Push(sink)
}

func (s *faultyStream) CloseWrite() error {
	if s.closeWrite != nil {
		return s.closeWrite()
	}
	return s.Stream.CloseWrite()
}

func (s *faultyStream) Reset(code bus.CloseCode) {
	if s.reset != nil {
		s.reset(code)
		return
	}
	s.Stream.Reset(code)
}

func (s *faultyStream) SetReadDeadline(t time.Time) error {
	if s.readDeadline != nil {
		return s.readDeadline(t)
	}
	return s.Stream.SetReadDeadline(t)
}

func (s *faultyStream) SetWriteDeadline(t time.Time) error {
	if s.writeDeadline != nil {
		return s.writeDeadline(t)
	}
	return s.Stream.SetWriteDeadline(t)
}
