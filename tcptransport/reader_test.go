package tcptransport

import (
	"bytes"
	"errors"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// frames is a connection without goroutines and without a peer: what a peer sends is given to its reader.
type frames struct{ *Conn }

func newFrames(t testing.TB) *frames {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	c := newConn(socket{here, newWire(here)}, uuid.Nil, nil, false, time.Minute)
	c.reader.into = newChunk()
	return &frames{c}
}

// receive has the reader read b, a record at a time.
func (f *frames) receive(b []byte) error {
	r := &f.reader
	for len(b) > 0 {
		n := copy(r.into.data[r.end:], b[:min(len(b), 16<<10)])
		if err := r.consume(n); err != nil {
			return err
		}
		if r.end >= headerSize+maxSignal {
			return errors.New("more is kept than the reader has room for")
		}
		b = b[n:]
	}
	return nil
}

func data(stream uint32, p []byte) []byte {
	return append(appendHeader(nil, header{kindData, len(p), stream}), p...)
}

func fin(stream uint32) []byte { return appendHeader(nil, header{kindFin, 0, stream}) }

func repeat(frame func(i int) []byte, n int) (b []byte) {
	for i := range n {
		b = append(b, frame(i)...)
	}
	return b
}

// TestViolations has a peer that breaks the rules, in every way there is, and what it may do without breaking any.
func TestViolations(t *testing.T) {
	x := []byte("x")
	full := make([]byte, maxData)
	number := func(k kind, stream, n uint32) []byte { return appendNumber(nil, k, stream, n) }
	for _, test := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"unknown kind", []byte{99, 0, 0, 0, 0, 0, 0, 0}, false},
		{"stream of ours that does not exist", data(2, x), false},
		{"stream number left out", data(3, x), false},
		{"stream begins with a window", number(kindWindow, 1, 1), false},
		{"stream begins with a reset", number(kindReset, 1, 1), false},
		{"data after the end", bytes.Join([][]byte{data(1, x), fin(1), data(1, x)}, nil), false},
		{"two ends", bytes.Join([][]byte{data(1, x), fin(1), fin(1)}, nil), false},
		{"the whole window", bytes.Join([][]byte{repeat(func(int) []byte { return data(1, full) }, 8), data(1, make([]byte, firstWindow-8*maxData))}, nil), true},
		{"beyond the window", repeat(func(int) []byte { return data(1, full) }, 9), false},
		{"as many streams as are allowed", repeat(func(i int) []byte { return data(uint32(2*i+1), x) }, maxStreams), true},
		{"too many streams", repeat(func(i int) []byte { return data(uint32(2*i+1), x) }, maxStreams+1), false},
		{"a window without bounds", append(data(1, x), repeat(func(int) []byte { return number(kindWindow, 1, 1<<31-1) }, 2)...), false},
		{"streams allowed that are not used", number(kindStreams, 0, 1), false},
		{"streams allowed without bounds", number(kindStreams, 0, 1<<32-1), false},
		{"a stream that is over", bytes.Join([][]byte{data(1, x), number(kindReset, 1, 0), data(1, full), fin(1), fin(1), number(kindWindow, 1, 1), number(kindReset, 1, 0)}, nil), true},
		{"many pings", repeat(func(i int) []byte { return appendToken(nil, kindPing, uint64(i)) }, 1000), true},
		{"a pong nobody asked for", appendToken(nil, kindPong, 5), true},
	} {
		for _, step := range []int{len(test.b), 1, 7} {
			f := newFrames(t)
			var err error
			for at := 0; at < len(test.b) && err == nil; at += step {
				err = f.receive(test.b[at:min(at+step, len(test.b))])
			}
			var violation *bus.PeerError
			if test.ok && err != nil || !test.ok && (!errors.As(err, &violation) || violation.Code != bus.CloseViolation || violation.Remote) {
				t.Errorf("%s, %d bytes at a time: %v", test.name, step, err)
			}
		}
	}
}

// TestLastStreamNumber holds that the largest number there is does not pass for a stream that was opened.
func TestLastStreamNumber(t *testing.T) {
	f := newFrames(t)
	f.peerNext = 2 // as if it had dialled
	if err := f.receive(fin(1<<32 - 1)); err == nil {
		t.Error("a frame on a stream that was not opened is let through")
	}
}

// TestRapidReset holds that streams which are reset at once take no memory, accepted or not, and
// that the peer is allowed as many again.
func TestRapidReset(t *testing.T) {
	f := newFrames(t)
	for i := range uint32(10_000) {
		if err := f.receive(append(data(2*i+1, []byte("x")), appendNumber(nil, kindReset, 2*i+1, 0)...)); err != nil {
			t.Fatal(err)
		}
		if run := f.run(t); len(run) != 1 || run[0].kind != kindStreams {
			t.Fatalf("after a reset %+v is sent, want that another stream is allowed", run)
		}
	}
	if len(f.live)+len(f.named)+len(f.arrived)+f.theirs != 0 {
		t.Errorf("%d streams live, %d named, %d wait; %d count", len(f.live), len(f.named), len(f.arrived), f.theirs)
	}
}

// TestRapidResetByUs has a peer that reads nothing open streams that are reset here. It is held to what it was allowed, so that
// what is to be sent has a bound.
func TestRapidResetByUs(t *testing.T) {
	f := newFrames(t)
	next := uint32(1)
	open := func() error {
		err := f.receive(data(next, []byte("x")))
		next += 2
		return err
	}
	resetAll := func() {
		t.Helper()
		for range maxStreams {
			if err := open(); err != nil {
				t.Fatal(err)
			}
			s, err := f.AcceptStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.Reset(bus.CloseNormal)
		}
		if n := len(f.writer.notes); n != maxStreams || len(f.live) != 0 {
			t.Fatalf("%d resets wait, of %d streams that are reset, and %d live", n, maxStreams, len(f.live))
		}
	}
	resetAll()
	if run := f.run(t); len(run) != maxStreams+1 || run[maxStreams].kind != kindStreams {
		t.Fatalf("%d frames are sent, want a reset each and that as many are allowed", len(run))
	}
	resetAll()
	err := open()
	if violation, ok := errors.AsType[*bus.PeerError](err); !ok || violation.Code != bus.CloseViolation {
		t.Errorf("one stream more than was allowed: %v, want a violation", err)
	}
}

// FuzzReader gives a connection what a peer might send, in pieces, beside an application that uses the streams.
func FuzzReader(f *testing.F) {
	f.Add(data(1, []byte("hello")), uint8(3))
	f.Add(bytes.Join([][]byte{data(1, make([]byte, 900)), fin(1), data(3, []byte("x")), appendNumber(nil, kindReset, 3, 9)}, nil), uint8(200))
	f.Add(bytes.Join([][]byte{appendToken(nil, kindPing, 1), data(1, []byte("x")), appendNumber(nil, kindWindow, 1, 1000), fin(1)}, nil), uint8(8))
	f.Add(append(appendNumber(nil, kindWindow, 2, 100), appendClose(nil, bus.CloseFull, "a reason")...), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		whole, pieces := newFrames(t), newFrames(t)
		want := whole.receive(b)
		var got error
		for at := 0; at < len(b) && got == nil; at += int(step) + 1 {
			got = pieces.receive(b[at:min(at+int(step)+1, len(b))])
		}
		if (want == nil) != (got == nil) || want != nil && want.Error() != got.Error() {
			t.Errorf("at once: %v; in pieces: %v", want, got)
		}

		used := newFrames(t)
		if _, err := used.tryOpen(); err != nil {
			t.Fatal(err)
		}
		var run [runSize]byte
		for at := 0; at < len(b); at += int(step) + 1 {
			if err := used.receive(b[at:min(at+int(step)+1, len(b))]); err != nil {
				used.close(&bus.PeerError{Code: bus.CloseViolation})
				break
			}
			unread := 0
			for _, id := range slices.Sorted(maps.Keys(used.named)) { // in the same order each time
				s := used.named[id]
				if unread += s.in.unread; s.in.unread > 0 && at%3 == 0 {
					s.Read(run[:1+at%5000])
					if s.out.w+100 <= smallSize { // it would wait for room otherwise
						s.Write(run[:100])
					}
				}
				if at%7 == 6 {
					s.CloseWrite()
				}
				if at%31 == 30 {
					s.Reset(bus.CloseNormal)
				}
			}
			if unread > maxStreams*firstWindow+growthBudget || len(used.live) > maxStreams+1 || len(used.arrived) > maxStreams {
				t.Fatalf("%d bytes of %d streams", unread, len(used.live))
			}
			if out, last := used.writer.gather(run[:0]); last || len(out) > runSize {
				t.Fatalf("%d bytes to send, last %t", len(out), last)
			}
		}
	})
}
