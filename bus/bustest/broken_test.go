package bustest

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

var errBroken = errors.New("broken on purpose")

// breakages each break one rule. In virtual time a call that never returns costs nothing.
var breakages = []struct {
	rule, what string
	apply      func(f *faulty)
}{
	{"IDsOnBothSides", "Peer is made up", func(f *faulty) {
		f.conn = func(c *faultyConn) { c.peer = uuid.New }
	}},
	{"IDsOnBothSides", "a goroutine is left behind", func(f *faulty) {
		f.conn = func(*faultyConn) { go func() { <-f.over }() }
	}},
	{"WrongIDIsRefused", "Dial takes whoever answers", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, _ uuid.UUID) (bus.Conn, error) { return dial(ctx, uuid.Nil) }
	}},
	{"WrongIDIsRefused", "the refusal is no PeerError", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				err = errBroken
			}
			return c, err
		}
	}},
	{"ManyConnections", "the second peer counts as the first", func(f *faulty) {
		var first uuid.UUID
		var once sync.Once
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err != nil {
				return nil, err
			}
			once.Do(func() { first = c.Peer() })
			return &faultyConn{Conn: c, f: f, peer: func() uuid.UUID { return first }}, nil
		}
	}},
	{"DataBeforeAccept", "Dial waits for Accept", func(f *faulty) {
		accepted := make(chan struct{}, 100)
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			select {
			case <-accepted:
			case <-f.over:
			}
			return c, err
		}
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			accepted <- struct{}{}
			return c, err
		}
	}},
	{"CancelDial", "Dial does not look at its context", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			if ctx.Err() != nil {
				return nil, ctx.Err() // but where it waits
			}
			return dial(context.WithoutCancel(ctx), want)
		}
	}},
	{"CancelAccept", "Accept does not look at its context", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			return l.Accept(context.WithoutCancel(ctx))
		}
	}},
	{"CancelAccept", "a cancelled Accept swallows a connection", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			got := make(chan bus.Conn, 1)
			go func() {
				if c, err := l.Accept(context.WithoutCancel(ctx)); err == nil {
					got <- c
				}
			}()
			select {
			case c := <-got:
				return c, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}},
	{"DialToClosedAddress", "Listener.Close goes on accepting", func(f *faulty) {
		f.unbind = func(bus.Listener) error { return nil }
	}},
	{"DialToClosedAddress", "Dial tries for a minute", func(f *faulty) {
		f.dial = func(ctx context.Context, dial dialFunc, want uuid.UUID) (bus.Conn, error) {
			c, err := dial(ctx, want)
			if err != nil {
				<-time.After(time.Minute)
			}
			return c, err
		}
	}},
	{"ListenerClose", "Accept's error is not net.ErrClosed", func(f *faulty) {
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err != nil {
				err = errBroken
			}
			return c, err
		}
	}},
	{"ListenerClose", "accepted connections end with it", func(f *faulty) {
		var accepted []bus.Conn
		f.accept = func(ctx context.Context, l bus.Listener) (bus.Conn, error) {
			c, err := l.Accept(ctx)
			if err == nil {
				accepted = append(accepted, c)
			}
			return c, err
		}
		f.unbind = func(l bus.Listener) error {
			for _, c := range accepted {
				c.CloseWithCode(bus.CloseNormal, "")
			}
			return l.Close()
		}
	}},
	{"HalfClose", "CloseWrite ends both directions", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			var closed atomic.Bool
			s.closeWrite = func() error { closed.Store(true); return s.Stream.CloseWrite() }
			s.read = func(p []byte) (int, error) {
				if closed.Load() {
					return 0, io.EOF
				}
				return s.Stream.Read(p)
			}
		}
	}},
	{"HalfClose", "the end of file comes before the last byte", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p[:max(1, len(p)-1)])
				return min(n+1, len(p)), err
			}
		}
	}},
	{"HalfClose", "CloseWrite tells nobody", func(f *faulty) {
		f.stream = func(s *faultyStream) { s.closeWrite = func() error { return nil } }
	}},
	{"ResetUnblocksReads", "Reset is only a CloseWrite", func(f *faulty) {
		f.stream = func(s *faultyStream) { s.reset = func(bus.CloseCode) { s.Stream.CloseWrite() } }
	}},
	{"ResetUnblocksReads", "a reset reads as io.EOF", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				if err != nil {
					err = io.EOF
				}
				return n, err
			}
		}
	}},
	{"ResetUnblocksReads", "Reset ends the connection", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.reset = func(code bus.CloseCode) { s.conn.CloseWithCode(code, "") }
		}
	}},
	{"ResetUnblocksWrites", "Write does not notice", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if err != nil {
					<-f.over
				}
				return n, err
			}
		}
	}},
	{"ReadDeadline", "it is ignored", func(f *faulty) {
		f.stream = func(s *faultyStream) { s.readDeadline = func(time.Time) error { return nil } }
	}},
	{"ReadDeadline", "it is that of writes, too", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.readDeadline = func(at time.Time) error {
				return errors.Join(s.Stream.SetReadDeadline(at), s.Stream.SetWriteDeadline(at))
			}
		}
	}},
	{"WriteDeadline", "the count of what was written is wrong", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if err != nil {
					n = min(n, 1)
				}
				return n, err
			}
		}
	}},
	{"WriteDeadline", "the error is another", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = errBroken
				}
				return n, err
			}
		}
	}},
	{"DeadlinesMove", "deadlines count from the next call on", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			var next atomic.Pointer[time.Time]
			s.readDeadline = func(at time.Time) error { next.Store(&at); return nil }
			s.read = func(p []byte) (int, error) {
				if at := next.Load(); at != nil {
					s.Stream.SetReadDeadline(*at)
				}
				return s.Stream.Read(p)
			}
		}
	}},
	{"WriteKeepsNothing", "Write sends its argument later", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				time.AfterFunc(time.Millisecond, func() { s.Stream.Write(p) })
				return len(p), nil
			}
		}
	}},
	{"BackPressure", "writes are queued without a bound", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			queue := make(chan []byte, 1<<16)
			go func() {
				for {
					select {
					case p := <-queue:
						s.Stream.Write(p)
					case <-f.over:
						return
					}
				}
			}()
			s.write = func(p []byte) (int, error) {
				queue <- append([]byte(nil), p...)
				return len(p), nil
			}
		}
	}},
	{"BackPressure", "a writer that waited is not woken", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			var waited atomic.Bool
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if waited.Swap(waited.Load() || errors.Is(err, os.ErrDeadlineExceeded)) {
					<-f.over
				}
				return n, err
			}
		}
	}},
	{"BlockedStreamHoldsUpNoOther", "the streams of a connection take turns", func(f *faulty) {
		f.conn = func(c *faultyConn) { c.lock = make(chan struct{}, 1) }
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				s.conn.lock <- struct{}{}
				defer func() { <-s.conn.lock }()
				return s.Stream.Write(p)
			}
		}
	}},
	{"Bulk", "a bit flips after 50 MB", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			read := 0
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				if before := read; n > 0 && before < 50e6 && before+n >= 50e6 {
					p[0] ^= 1
				}
				read += n
				return n, err
			}
		}
	}},
	{"EightyStreams", "64 have to do", limitStreams(64)},
	{"StreamsInAnyOrder", "all streams share a small window", shareWindow(256 << 10)},
	{"ResetReturnsTheWindow", "what was not read counts for ever", shareWindow(1 << 20)},
	{"CancelOpenStream", "OpenStream does not look at its context", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.open = func(ctx context.Context) (bus.Stream, error) { return c.Conn.OpenStream(context.WithoutCancel(ctx)) }
		}
	}},
	{"CancelAcceptStream", "AcceptStream does not look at its context", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.acceptStream = func(ctx context.Context) (bus.Stream, error) {
				return c.Conn.AcceptStream(context.WithoutCancel(ctx))
			}
		}
	}},
	{"EndedStreamMakesRoom", "100 streams are all there ever are", limitStreams(100)},
	{"ConcurrentUse", "Read and Write exclude each other", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			lock := make(chan struct{}, 1)
			s.read = func(p []byte) (int, error) {
				lock <- struct{}{}
				defer func() { <-lock }()
				return s.Stream.Read(p)
			}
			s.write = func(p []byte) (int, error) {
				lock <- struct{}{}
				defer func() { <-lock }()
				return s.Stream.Write(p)
			}
		}
	}},
	{"CloseCodesArrive", "the code is lost", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.closeWithCode = func(_ bus.CloseCode, reason string) error { return c.Conn.CloseWithCode(bus.CloseNormal, reason) }
		}
	}},
	{"CloseCodesArrive", "the reason is lost", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.closeWithCode = func(code bus.CloseCode, _ string) error { return c.Conn.CloseWithCode(code, "") }
		}
	}},
	{"CloseCodesArrive", "Remote is not set", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			ctx, cancel := context.WithCancelCause(context.Background())
			context.AfterFunc(c.Conn.Context(), func() {
				cause := context.Cause(c.Conn.Context())
				if peer, ok := errors.AsType[*bus.PeerError](cause); ok {
					local := *peer
					local.Remote = false
					cause = &local
				}
				cancel(cause)
			})
			c.context = func() context.Context { return ctx }
		}
	}},
	{"CloseCodesArrive", "the Context has no cause", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			ctx, cancel := context.WithCancel(context.Background())
			context.AfterFunc(c.Conn.Context(), cancel)
			c.context = func() context.Context { return ctx }
		}
	}},
	{"CloseEndsTheConnection", "CloseWithCode only begins to", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.closeWithCode = func(code bus.CloseCode, reason string) error {
				time.AfterFunc(time.Second, func() { c.Conn.CloseWithCode(code, reason) })
				return nil
			}
		}
	}},
	{"CloseEndsTheConnection", "a close reads as io.EOF", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				if err != nil {
					err = io.EOF
				}
				return n, err
			}
		}
	}},
	{"CloseTwice", "the second is an error", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.closeWithCode = func(code bus.CloseCode, reason string) error {
				err := context.Cause(c.Conn.Context())
				c.Conn.CloseWithCode(code, reason)
				return err
			}
		}
	}},
	{"PeerVanishes", "Transport.Close leaves connections alone", func(f *faulty) {
		f.close = func(bus.Transport) error { return nil }
	}},
	{"PeerVanishes", "AcceptStream does not notice", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.acceptStream = func(ctx context.Context) (bus.Stream, error) {
				s, err := c.Conn.AcceptStream(ctx)
				if err != nil {
					<-f.over
				}
				return s, err
			}
		}
	}},
	{"TransportClose", "connections go on", func(f *faulty) {
		f.close = func(bus.Transport) error {
			for _, l := range f.listeners {
				l.Close()
			}
			return nil
		}
	}},
	{"TransportClose", "the second is an error", func(f *faulty) {
		closed := make(map[bus.Transport]bool)
		f.close = func(tr bus.Transport) error {
			if closed[tr] {
				return errBroken
			}
			closed[tr] = true
			return tr.Close()
		}
	}},
	{"NoGoroutineLeft", "a goroutine of a connection lives until Transport.Close", func(f *faulty) {
		closed := make(chan struct{})
		var once sync.Once
		f.conn = func(*faultyConn) { go func() { <-closed }() }
		f.close = func(tr bus.Transport) error {
			once.Do(func() { close(closed) })
			return tr.Close()
		}
	}},
}

type dialFunc = func(context.Context, uuid.UUID) (bus.Conn, error)

// limitStreams allows so many streams in the whole life of a connection.
func limitStreams(most int) func(f *faulty) {
	return func(f *faulty) {
		f.conn = func(c *faultyConn) {
			opened := 0
			c.open = func(ctx context.Context) (bus.Stream, error) {
				if opened == most {
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-c.Conn.Context().Done():
						return nil, context.Cause(c.Conn.Context())
					}
				}
				opened++
				return c.Conn.OpenStream(ctx)
			}
		}
	}
}

// shareWindow lets no stream write while so many bytes of all of them are not read.
func shareWindow(most int64) func(f *faulty) {
	return func(f *faulty) {
		var unread atomic.Int64
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (n int, err error) {
				for n < len(p) && err == nil {
					for unread.Load() >= most {
						select {
						case <-time.After(time.Millisecond):
						case <-f.over:
							return n, errBroken
						}
					}
					k := min(len(p)-n, 32<<10)
					unread.Add(int64(k))
					k, err = s.Stream.Write(p[n : n+k])
					n += k
				}
				return n, err
			}
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				unread.Add(-int64(n))
				return n, err
			}
		}
	}
}

// TestBrokenTransports holds that each rule finds what it is there to find.
func TestBrokenTransports(t *testing.T) {
	byName, tested := make(map[string]rule), make(map[string]bool)
	for _, r := range rules {
		byName[r.name] = r
	}
	for _, b := range breakages {
		tested[b.rule] = true
		t.Run(b.rule+"/"+b.what, func(t *testing.T) {
			f := &faulty{breakage: b.apply}
			failures := f.failures(t, byName[b.rule])
			if len(failures) == 0 {
				t.Error("the rule holds")
			}
			for _, failure := range failures {
				t.Logf("%.300s", failure)
			}
		})
	}
	for name := range byName {
		if !tested[name] {
			t.Errorf("no transport breaks the rule %s", name)
		}
	}
}

// TestWholeTransport holds that the wrapper of the broken ones breaks nothing itself.
func TestWholeTransport(t *testing.T) {
	for _, r := range rules {
		f := &faulty{breakage: func(*faulty) {}}
		for _, failure := range f.failures(t, r) {
			t.Errorf("%s: %s", r.name, failure)
		}
	}
}
