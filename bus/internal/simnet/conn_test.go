package simnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// connect returns both ends of a connection that a dialled.
func (p pair) connect(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := p.b.Listen(t.Context(), ":80")
	must(t, err)
	defer l.Close()
	dialled, err = p.a.Dial(t.Context(), "10.0.0.2:80")
	must(t, err)
	accepted, err = l.Accept()
	must(t, err)
	return dialled, accepted
}

// chunk is what one Read returned, and when.
type chunk struct {
	bytes int
	after time.Duration
}

// transfer writes data at one end, and checks that the other reads just that and the end.
func transfer(t *testing.T, from, to net.Conn, data []byte) (chunks []chunk) {
	t.Helper()
	began := time.Now()
	wrote := make(chan error, 1)
	go func() {
		_, err := from.Write(data)
		wrote <- errors.Join(err, from.Close())
	}()
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := to.Read(buf)
		got = append(got, buf[:n]...)
		chunks = append(chunks, chunk{n, time.Since(began)})
		if err == io.EOF {
			break
		}
		must(t, err)
	}
	must(t, <-wrote)
	must(t, to.Close())
	if !bytes.Equal(got, data) {
		t.Fatalf("%d bytes arrived, not the %d that were sent", len(got), len(data))
	}
	return chunks
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

var rough = Conditions{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.05, Burst: 0.002, BurstLen: 4, Reorder: 0.1, Duplicate: 0.05,
	Rate: 20_000_000}

func TestBytesArriveOnceInOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(seed)
			p.Link(p.a, p.b).Set(rough)
			a, b := p.connect(t)
			transfer(t, a, b, noise(300<<10))
			time.Sleep(10 * time.Minute)
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.a.conns)+len(p.b.conns)+len(p.agenda) > 0 {
				t.Errorf("seed %d: %d and %d connections are left, and %d events", seed, len(p.a.conns), len(p.b.conns), len(p.agenda))
			}
		})
	}
}

func TestConnSeedRepeats(t *testing.T) {
	trace := func(seed uint64) (chunks []chunk) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(seed)
			p.Link(p.a, p.b).Set(rough)
			a, b := p.connect(t)
			chunks = transfer(t, a, b, noise(100<<10))
		})
		return chunks
	}
	first := trace(7)
	if !slices.Equal(first, trace(7)) {
		t.Error("the second run of a seed differs from the first")
	}
	if slices.Equal(first, trace(8)) {
		t.Error("another seed makes no difference")
	}
}

// A link's rate is used, and its queue overrun now and then only.
func TestThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		p.Link(p.a, p.b).Set(Conditions{Delay: 10 * ms, Rate: 10_000_000})
		a, b := p.connect(t)
		chunks := transfer(t, a, b, noise(2<<20))
		took := chunks[len(chunks)-1].after
		if ideal := transmission(2<<20, 10_000_000); took > 2*ideal {
			t.Errorf("took %v; at the link's rate it would be %v", took, ideal)
		}
		if c := p.Link(p.a, p.b).Counts(); c.Full > c.Packets/20 {
			t.Errorf("%+v", c)
		}
	})
}

// One lost segment holds up what comes after it, for about a round trip; at the end of the data, for
// the retransmission timeout.
func TestLossDelays(t *testing.T) {
	for segments, want := range map[int][2]time.Duration{10: {30 * ms, 60 * ms}, 1: {200 * ms, 400 * ms}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(1)
			link := p.Link(p.a, p.b)
			link.Set(Conditions{Delay: 10 * ms})
			a, b := p.connect(t)
			a.Write([]byte("x")) // so that the round trip is known
			io.ReadFull(b, make([]byte, 1))
			time.Sleep(time.Second)
			began := time.Now()
			link.Cut()
			a.Write(noise(segmentBytes))
			link.Heal()
			a.Write(noise((segments - 1) * segmentBytes))
			_, err := io.ReadFull(b, make([]byte, segments*segmentBytes))
			must(t, err)
			if took := time.Since(began); took < want[0] || took > want[1] {
				t.Errorf("%d segments after %v, want %v", segments, took, want)
			}
		})
	}
}

// After a silence, a connection tries again at doubling intervals, and gives up in the end.
func TestSilence(t *testing.T) {
	for cut, want := range map[time.Duration][2]time.Duration{
		500 * ms:         {0, 700 * ms},
		7 * time.Second:  {0, 8 * time.Second},
		40 * time.Second: {0, 41 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(1)
			link := p.Link(p.a, p.b)
			link.Set(Conditions{Delay: 10 * ms})
			a, b := p.connect(t)
			link.Cut()
			a.Write([]byte("x"))
			time.Sleep(cut)
			link.Heal()
			began := time.Now()
			_, err := b.Read(make([]byte, 1))
			must(t, err)
			if took := time.Since(began); took < want[0] || took > want[1] {
				t.Errorf("%v after a silence of %v, want %v", took, cut, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		a, b := p.connect(t)
		p.Link(p.a, p.b).Cut()
		a.Write([]byte("x"))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("after a long silence: %v", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("after a long silence: %v", err)
		}
		b.Close()
		time.Sleep(time.Hour)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.b.conns) > 0 {
			t.Error("the closed side still tries")
		}
	})
}

// A peer that does not read holds the writer up, at any time and for as long as it likes.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		link := p.Link(p.a, p.b)
		link.Set(Conditions{Delay: 10 * ms})
		a, b := p.connect(t)
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		data := noise(1 << 20)
		n, err := a.Write(data)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n < receiveBytes || n > receiveBytes+unsentBytes+1 {
			t.Fatalf("%d bytes were taken without a reader: %v", n, err)
		}
		time.Sleep(time.Hour)
		p.Link(p.b, p.a).OneWay().Cut() // news of the room is lost
		got := make([]byte, n)
		_, err = io.ReadFull(b, got[:receiveBytes])
		must(t, err)
		time.Sleep(time.Second)
		link.Heal()
		_, err = io.ReadFull(b, got[receiveBytes:])
		must(t, err)
		if !bytes.Equal(got, data[:n]) {
			t.Error("other bytes arrived")
		}
	})
}

func TestDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		if _, err := p.a.Dial(t.Context(), "10.0.0.2:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := p.a.Dial(ctx, "10.0.0.3:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no such host: %v", err)
		}
		if _, err := p.a.Dial(t.Context(), "10.0.0.3:80"); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("no such host: %v", err)
		}
		l, err := p.b.Listen(t.Context(), ":80")
		must(t, err)
		_, err = p.a.Dial(t.Context(), "10.0.0.2:80")
		must(t, err)
		go func() {
			time.Sleep(time.Second)
			l.Close()
		}()
		l.Accept()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A listener bounds the connections that it has not given away.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		l, err := p.b.Listen(t.Context(), ":80")
		must(t, err)
		for range maxBacklog {
			_, err := p.a.Dial(t.Context(), "10.0.0.2:80")
			must(t, err)
		}
		if _, err := p.a.Dial(t.Context(), "10.0.0.2:80"); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("one too many: %v", err)
		}
		_, err = l.Accept()
		must(t, err)
		c, err := p.a.Dial(t.Context(), "10.0.0.2:80")
		must(t, err)
		l.Close() // resets the others
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("never accepted: %v", err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		a, b := p.connect(t)
		a.Write([]byte("question"))
		must(t, a.(*Conn).CloseWrite())
		question, err := io.ReadAll(b)
		must(t, err)
		b.Write([]byte("answer"))
		b.Close()
		answer, err := io.ReadAll(a)
		must(t, err)
		if string(question) != "question" || string(answer) != "answer" {
			t.Errorf("%q, %q", question, answer)
		}
		if _, err := a.Write(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after CloseWrite: %v", err)
		}
	})
}

// Closing with bytes unread resets the peer, and so does writing to a side that is closed.
func TestCloseResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		a, b := p.connect(t)
		a.Write([]byte("never read"))
		synctest.Wait()
		b.Close()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("closed unread: %v", err)
		}
		a, b = p.connect(t)
		b.Close()
		a.Write([]byte("too late"))
		time.Sleep(time.Second)
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("written after the peer closed: %v", err)
		}
		if _, err := b.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
	})
}

// A new address resets a connection at the host that has it, as soon as that sends. The peer hears nothing.
func TestRebindResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(1)
		a, b := p.connect(t)
		p.a.Rebind("10.0.0.9")
		b.SetReadDeadline(time.Now().Add(time.Minute))
		a.Write([]byte("x"))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("where the address is new: %v", err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("at the other end: %v", err)
		}
		a, b = p.connect(t)
		if b.RemoteAddr().(*net.TCPAddr).IP.String() != "10.0.0.9" {
			t.Errorf("the new connection is from %v", b.RemoteAddr())
		}
		transfer(t, a, b, noise(1000))
	})
}
