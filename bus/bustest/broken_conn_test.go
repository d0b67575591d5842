package bustest

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// brokenConns break the rules of the streams of a connection, of its end and of its silence.
var brokenConns = []breakage{
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
	{"CancelOpenStream", "OpenStream does not say why its context ended", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.open = func(ctx context.Context) (bus.Stream, error) {
				s, err := c.Conn.OpenStream(ctx)
				return s, withoutCause(ctx, err)
			}
		}
	}},
	{"CancelAcceptStream", "AcceptStream does not say why its context ended", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.acceptStream = func(ctx context.Context) (bus.Stream, error) {
				s, err := c.Conn.AcceptStream(ctx)
				return s, withoutCause(ctx, err)
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
	{"CloseEndsTheConnection", "streams do not say why", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				if err != nil {
					err = errBroken
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
	{"FrozenPeer", "CloseWithCode waits until the peer has heard", func(f *faulty) {
		f.conn = func(c *faultyConn) {
			c.closeWithCode = func(code bus.CloseCode, reason string) error {
				err := c.Conn.CloseWithCode(code, reason)
				if f.frozen.Load() {
					<-f.over
				}
				return err
			}
		}
	}},
	{"FrozenPeer", "a deadline waits for the network", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if f.frozen.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
					<-f.over
				}
				return n, err
			}
		}
	}},
	{"FrozenPeer", "Transport.Close waits until the peers have heard", func(f *faulty) {
		f.close = func(tr bus.Transport) error {
			if f.frozen.Load() {
				<-f.over
			}
			return tr.Close()
		}
	}},
	{"FrozenPeerTimesOut", "the timeout is ignored", func(f *faulty) {
		f.transport = func(tr *faultyTransport) bus.Transport { return &timing{tr, func(time.Duration) {}} }
	}},
	{"IdlePeersLive", "only the application's bytes are a sign of life", func(f *faulty) {
		timeout := time.Hour
		f.transport = func(tr *faultyTransport) bus.Transport {
			return &timing{tr, func(d time.Duration) { timeout = d }}
		}
		f.conn = func(c *faultyConn) {
			time.AfterFunc(timeout, func() { c.Conn.CloseWithCode(bus.CloseTimeout, "") })
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

// limitStreams allows so many streams in the whole life of a connection.
func limitStreams(most int) func(f *faulty) {
	return func(f *faulty) {
		f.conn = func(c *faultyConn) {
			opened := 0
			c.open = func(ctx context.Context) (bus.Stream, error) {
				if opened == most {
					select {
					case <-ctx.Done():
						return nil, context.Cause(ctx)
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
