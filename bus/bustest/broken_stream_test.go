package bustest

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// brokenStreams break the rules of one stream.
var brokenStreams = []breakage{
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
	{"ResetUnblocksReaderAndWriter", "a reader beside a writer does not notice", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			var writing atomic.Bool
			s.write = func(p []byte) (int, error) {
				writing.Store(true)
				return s.Stream.Write(p)
			}
			s.read = func(p []byte) (int, error) {
				n, err := s.Stream.Read(p)
				if err != nil && writing.Load() {
					<-f.over
				}
				return n, err
			}
		}
	}},
	{"ResetUnblocksReaderAndWriter", "the code is lost", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.reset = func(bus.CloseCode) { s.Stream.Reset(bus.CloseNormal) }
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
	{"DeadlinesMove", "a deadline is not put off under a call", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			var reading atomic.Bool
			s.readDeadline = func(at time.Time) error {
				if reading.Load() && at.After(time.Now()) {
					return nil
				}
				return s.Stream.SetReadDeadline(at)
			}
			s.read = func(p []byte) (int, error) {
				reading.Store(true)
				defer reading.Store(false)
				return s.Stream.Read(p)
			}
		}
	}},
	{"DeadlinesMove", "a call holds up whoever moves its deadline", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			lock := make(chan struct{}, 1)
			s.readDeadline = func(at time.Time) error {
				if at.After(time.Now()) {
					lock <- struct{}{}
					defer func() { <-lock }()
				}
				return s.Stream.SetReadDeadline(at)
			}
			s.read = func(p []byte) (int, error) {
				lock <- struct{}{}
				defer func() { <-lock }()
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
	{"TryWrite", "it waits", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.tryWrite = func(p []byte) (bool, error) {
				_, err := s.Stream.Write(p)
				return err == nil, err
			}
		}
	}},
	{"TryWrite", "it writes some of what it does not take", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.tryWrite = func(p []byte) (bool, error) {
				ok, err := s.Stream.(bus.TryWriter).TryWrite(p)
				if !ok && err == nil {
					s.Stream.(bus.TryWriter).TryWrite(p[:1])
				}
				return ok, err
			}
		}
	}},
	{"TryWrite", "it takes nothing", func(f *faulty) {
		f.stream = func(s *faultyStream) { s.tryWrite = func([]byte) (bool, error) { return false, nil } }
	}},
	{"Push", "it skips what was not read yet", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error {
				s.Stream.SetReadDeadline(time.Time{})
				s.Stream.Read(make([]byte, 1))
				return s.Stream.(bus.Pusher).Push(sink)
			}
		}
	}},
	{"Push", "it heeds the deadline", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error {
				for {
					n, err := s.Stream.Read(sink.Place())
					if err == io.EOF {
						return nil
					}
					if err != nil {
						return err
					}
					if work, _ := sink.Came(n); work != nil {
						work(func() {})
					}
				}
			}
		}
	}},
	{"Push", "it does not stop for the sink", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error { return s.Stream.(bus.Pusher).Push(changed{Sink: sink, error: noError}) }
		}
	}},
	{"Push", "work is left undone", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error { return s.Stream.(bus.Pusher).Push(changed{Sink: sink, work: noWork}) }
		}
	}},
	{"Push", "nobody reads on during work", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error { return s.Stream.(bus.Pusher).Push(changed{Sink: sink, work: aloneAtWork}) }
		}
	}},
	{"Push", "an end is as good as another", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error { s.Stream.(bus.Pusher).Push(sink); return nil }
		}
	}},
	{"Push", "it goes on after it has returned", func(f *faulty) {
		f.stream = func(s *faultyStream) {
			s.push = func(sink bus.Sink) error {
				err := s.Stream.(bus.Pusher).Push(sink)
				time.AfterFunc(time.Millisecond, func() { sink.Place() })
				return err
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
	{"Bulk", "one direction at a time", func(f *faulty) {
		var first atomic.Pointer[faultyStream]
		f.stream = func(s *faultyStream) {
			total := 0
			s.write = func(p []byte) (int, error) {
				n, err := s.Stream.Write(p)
				if total += n; total > 1<<20 && !first.CompareAndSwap(nil, s) && first.Load() != s {
					<-f.over
				}
				return n, err
			}
		}
	}},
}

// changed is a sink of which a stream makes something else.
type changed struct {
	bus.Sink
	error func(error) error
	work  func(bus.Work) bus.Work
}

func (s changed) Came(n int) (bus.Work, error) {
	work, err := s.Sink.Came(n)
	if s.error != nil {
		err = s.error(err)
	}
	if s.work != nil && work != nil {
		work = s.work(work)
	}
	return work, err
}

func noError(error) error { return nil }

func noWork(bus.Work) bus.Work { return nil }

func aloneAtWork(work bus.Work) bus.Work {
	return func(readOn func()) bool {
		if !work(func() {}) {
			readOn()
			return false
		}
		return true
	}
}
