package bustest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// The rules of one stream.

const (
	// tooMuch is more than a stream may take from its writer while nobody reads.
	tooMuch   = mostTaken + 1<<20
	mostTaken = 32 << 20
	bulkBytes = 64 << 20
)

func halfClose(t *trial) {
	opened, accepted := t.streams()
	text := pattern(0, 100_000)
	t.write(opened, text)
	t.must(opened.CloseWrite())
	t.readEOF(accepted, text)
	_, err := await(t, "Write", func() (int, error) { return opened.Write([]byte("x")) })
	t.closedHere("Write after CloseWrite", err)
	// The other direction goes on.
	t.passes(accepted, opened)
	reading := t.startRead(opened)
	reading.waits(t, "Read")
	t.write(accepted, []byte("x"))
	t.must(reading.wait(t, "Read"))
	t.write(accepted, text)
	t.must(accepted.CloseWrite())
	t.readEOF(opened, text)
	// So does the connection.
	t.passes(t.streams())
}

func resetUnblocksReads(t *trial) {
	opened, accepted := t.streams()
	for _, s := range []struct {
		name         string
		resets, peer bus.Stream
	}{{"the opening side", opened, accepted}, {"the accepting side", nil, nil}} {
		if s.resets == nil {
			s.peer, s.resets = t.streams()
		}
		here, there := t.startRead(s.resets), t.startRead(s.peer)
		here.waits(t, "Read")
		there.waits(t, "Read")
		s.resets.Reset(bus.CloseTooSlow)
		err := here.wait(t, "Read where "+s.name+" reset")
		t.ended("Read where "+s.name+" reset", err)
		t.closedHere("Read where "+s.name+" reset", err)
		t.ended("Read when "+s.name+" has reset", there.wait(t, "Read when "+s.name+" has reset"))
		_, err = await(t, "Write", func() (int, error) { return s.resets.Write([]byte("x")) })
		t.ended("Write after Reset", err)
		t.closedHere("Write after Reset", err)
	}
	// Resetting again, and what has ended, does nothing; neither does it to the connection.
	opened.Reset(bus.CloseNormal)
	accepted.Reset(bus.CloseNormal)
	t.passes(t.streams())
	if err := t.dialled.Context().Err(); err != nil {
		t.Errorf("a reset stream ended the connection: %v", context.Cause(t.dialled.Context()))
	}
}

func resetUnblocksWrites(t *trial) {
	opened, accepted := t.streams()
	here, there := t.startWrite(opened), t.startWrite(accepted)
	here.waits(t, "Write of more than the stream takes")
	there.waits(t, "Write of more than the stream takes")
	opened.Reset(bus.CloseTooSlow)
	t.ended("Write where the stream is reset", here.wait(t, "Write where the stream is reset"))
	t.ended("Write when the peer has reset", there.wait(t, "Write when the peer has reset"))
	// Of what was on its way some may still be read, and then no end of file.
	for name, s := range map[string]bus.Stream{"here": opened, "by the peer": accepted} {
		_, err := await(t, "Read", func() (int64, error) {
			n, err := io.Copy(io.Discard, s)
			if err == nil {
				err = io.EOF
			}
			return n, err
		})
		t.ended("Read from a stream that was reset "+name, err)
	}
	t.passes(t.streams())
}

// resetUnblocksReaderAndWriter has both wait on one side, and either side reset.
func resetUnblocksReaderAndWriter(t *trial) {
	for i, name := range []string{"the reader and writer there", "the reader and writer here"} {
		for range 2 { // and the same from the accepting side
			resets, peer := t.streams()
			busy := []bus.Stream{peer, resets}[i]
			reading, writing := t.startRead(busy), t.startWrite(busy)
			reading.waits(t, "Read")
			writing.waits(t, "Write of more than the stream takes")
			resets.Reset(bus.CloseTooSlow)
			t.ended("Read, of "+name, reading.wait(t, "Read, of "+name))
			t.ended("Write, of "+name, writing.wait(t, "Write, of "+name))
			t.dialled, t.arrived = t.arrived, t.dialled
		}
	}
	t.passes(t.streams())
}

// resetReturnsTheWindow fills streams that nobody reads, and resets them from either side.
func resetReturnsTheWindow(t *trial) {
	for i := range 8 {
		opened, accepted := t.streams()
		writing := t.startWrite(opened)
		writing.waits(t, "Write of more than the stream takes")
		if i%2 == 0 {
			opened.Reset(bus.CloseTooSlow)
		} else {
			accepted.Reset(bus.CloseTooSlow)
		}
		t.ended("Write on a stream that is reset", writing.wait(t, "Write on a stream that is reset"))
	}
	opened, accepted := t.streams()
	sent := t.start(func() error { _, err := opened.Write(pattern(0, 1<<20)); return err })
	t.read(accepted, pattern(0, 1<<20))
	t.must(sent.wait(t, "Write after others were reset"))
}

// ended holds that an error is the end of a stream by a reset with CloseTooSlow.
func (t *trial) ended(what string, err error) {
	t.Helper()
	t.broken(what, err)
	if _, ok := errors.AsType[*bus.PeerError](err); ok {
		t.Fatalf("%s: %v (%T), which is the end of a connection", what, err, err)
	}
	if !strings.Contains(err.Error(), bus.CloseTooSlow.String()) {
		t.Fatalf("%s: %v, which does not say %q", what, err, bus.CloseTooSlow)
	}
}

// closedHere holds that an error is about what this side has ended.
func (t *trial) closedHere(what string, err error) {
	t.Helper()
	if !errors.Is(err, net.ErrClosed) {
		t.Fatalf("%s: %v, want net.ErrClosed", what, err)
	}
}

func readDeadline(t *trial) {
	opened, accepted := t.streams()
	t.must(opened.SetReadDeadline(time.Now().Add(-time.Second)))
	for _, when := range []string{"after a deadline", "again", "when the deadline comes"} {
		n, err := await(t, "Read "+when, func() (int, error) { return opened.Read(make([]byte, 1)) })
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read %s: %d bytes, %v, want os.ErrDeadlineExceeded", when, n, err)
		}
		if when == "again" {
			t.passes(opened, accepted) // writing has a deadline of its own
			t.must(opened.SetReadDeadline(time.Now().Add(settle)))
		}
	}
	t.must(opened.SetReadDeadline(time.Time{}))
	t.passes(accepted, opened)
	t.must(opened.SetReadDeadline(time.Now().Add(time.Hour)))
	t.passes(accepted, opened)
}

func writeDeadline(t *trial) {
	opened, accepted := t.streams()
	t.must(opened.SetWriteDeadline(time.Now().Add(settle)))
	what := "Write of more than the stream takes"
	taken, err := await(t, what, func() (int, error) { return opened.Write(pattern(0, tooMuch)) })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: %d bytes, %v, want os.ErrDeadlineExceeded", what, taken, err)
	}
	n, err := await(t, "Write after a deadline", func() (int, error) { return opened.Write([]byte("x")) })
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write after a deadline: %d bytes, %v, want os.ErrDeadlineExceeded", n, err)
	}
	t.passes(accepted, opened) // reading has a deadline of its own
	// What was counted arrives, and after it what is written next.
	t.must(opened.SetWriteDeadline(time.Time{}))
	rest := t.start(func() error {
		_, err := opened.Write(pattern(taken, 1<<20))
		return errors.Join(err, opened.CloseWrite())
	})
	t.readEOF(accepted, pattern(0, taken+1<<20))
	t.must(rest.wait(t, "Write"))
}

// deadlinesMove moves deadlines under calls that wait.
func deadlinesMove(t *trial) {
	opened, accepted := t.streams()
	for _, d := range []struct {
		name string
		set  func(time.Time) error
		call func(bus.Stream) pending
		free func()
	}{
		{"Read", opened.SetReadDeadline, t.startRead, func() { t.write(accepted, []byte("x")) }},
		{"Write", opened.SetWriteDeadline, t.startWrite, func() {
			t.start(func() error { _, err := io.Copy(io.Discard, accepted); return err })
		}},
	} {
		p := d.call(opened)
		p.waits(t, d.name)
		t.must(d.set(time.Now()))
		if err := p.wait(t, d.name+" with a deadline set while it waits"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s with a deadline set while it waits: %v, want os.ErrDeadlineExceeded", d.name, err)
		}
		p = t.putOff(d.name, d.set, func() pending { return d.call(opened) })
		p.waits(t, d.name+" with its deadline put off")
		t.must(d.set(time.Time{}))
		d.free()
		if err := p.wait(t, d.name+" with its deadline removed"); err != nil {
			t.Fatalf("%s with its deadline removed: %v", d.name, err)
		}
	}
}

// putOff begins a call with a deadline, puts that off while the call waits, and returns it after the first deadline. A machine that
// is so busy that the deadline comes before it is put off gets a later one.
func (t *trial) putOff(what string, set func(time.Time) error, call func() pending) pending {
	t.Helper()
	for soon := 10 * settle; soon < patience; soon *= 2 {
		deadline := time.Now().Add(soon)
		t.must(set(deadline))
		p := call()
		t.pause(settle)
		t.must(set(time.Now().Add(time.Hour)))
		if time.Now().Before(deadline) {
			t.pause(time.Until(deadline))
			return p
		}
		t.must(set(time.Now()))
		if err := p.wait(t, what+" with a deadline that has passed"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s with a deadline that has passed: %v, want os.ErrDeadlineExceeded", what, err)
		}
	}
	t.Fatalf("putting the deadline of %s off takes as long as the call, which has up to %v", what, patience)
	return nil
}

func writeKeepsNothing(t *trial) {
	opened, accepted := t.streams()
	var want []byte
	p := make([]byte, 4<<10)
	for i := range 16 {
		copy(p, pattern(i*len(p), len(p)))
		want = append(want, p...)
		t.write(opened, p)
		clear(p)
	}
	t.read(accepted, want)
}

func backPressure(t *trial) {
	opened, accepted := t.streams()
	taken := make(chan int, 1)
	writing := t.start(func() error {
		opened.SetWriteDeadline(time.Now().Add(10 * settle))
		n, err := opened.Write(pattern(0, tooMuch))
		taken <- n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(errors.New("no reader, and Write went on"), err)
		}
		return nil
	})
	t.must(writing.wait(t, "Write of more than the stream takes"))
	n := <-taken
	if n > mostTaken {
		t.Errorf("%d MiB were taken while nobody read, at most %d MiB may be", n>>20, mostTaken>>20)
	}
	t.must(opened.SetWriteDeadline(time.Time{}))
	writing = t.start(func() error {
		_, err := opened.Write(pattern(n, tooMuch))
		return errors.Join(err, opened.CloseWrite())
	})
	writing.waits(t, "Write while nobody reads")
	t.readEOF(accepted, pattern(0, n+tooMuch))
	t.must(writing.wait(t, "Write once somebody reads"))
}

func blockedStreamHoldsUpNoOther(t *trial) {
	blocked, unread := t.streams()
	writing := t.startWrite(blocked)
	writing.waits(t, "Write of more than the stream takes")
	for range 3 {
		opened, accepted := t.streams()
		t.passes(opened, accepted)
		t.passes(accepted, opened)
		t.passes(unread, blocked) // nor the other direction
		text := pattern(0, 1<<20)
		sent := t.start(func() error { _, err := opened.Write(text); return err })
		t.read(accepted, text)
		t.must(sent.wait(t, "Write beside a blocked one"))
	}
	writing.waits(t, "Write of more than the stream takes")
	blocked.Reset(bus.CloseNormal)
	t.broken("Write", writing.wait(t, "Write on a stream that is reset"))
}

// bulk sends both ways at the same time.
func bulk(t *trial) {
	opened, accepted := t.streams()
	sending, receiving := t.bulkFrom(opened, accepted, 1)
	back, there := t.bulkFrom(accepted, opened, 2)
	for what, p := range map[string]pending{
		"writing 64 MiB": sending, "writing 64 MiB back": back,
		"reading 64 MiB": receiving, "reading the 64 MiB that come back": there,
	} {
		t.must(p.wait(t, what))
	}
}

// bulkFrom starts to send random bytes, and to compare what arrives by its digest.
func (t *trial) bulkFrom(from, to bus.Stream, seed byte) (sending, receiving pending) {
	sums := make(chan []byte, 1)
	sending = t.start(func() error {
		random, sum := rand.NewChaCha8([32]byte{seed}), sha256.New()
		_, err := io.CopyN(io.MultiWriter(from, sum), random, bulkBytes)
		sums <- sum.Sum(nil)
		return errors.Join(err, from.CloseWrite())
	})
	receiving = t.start(func() error {
		sum := sha256.New()
		n, err := io.Copy(sum, to)
		if err == nil && (n != bulkBytes || !bytes.Equal(<-sums, sum.Sum(nil))) {
			err = fmt.Errorf("%d bytes of %d arrived, or other ones", n, bulkBytes)
		}
		return err
	})
	return sending, receiving
}
