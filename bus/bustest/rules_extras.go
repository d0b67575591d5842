package bustest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// What streams may have beyond bus.Stream.

// tryWrite fills a stream that nobody reads, for as long as that needs no waiting.
func tryWrite(t *trial) {
	opened, accepted := t.streams()
	s, ok := opened.(bus.TryWriter)
	if !ok {
		return
	}
	const each = 1000
	n := 0
	for ok = true; ok && n <= mostTaken; {
		var err error
		ok, err = await(t, "TryWrite", func() (bool, error) {
			p := pattern(n, each)
			defer clear(p)
			return s.TryWrite(p)
		})
		t.must(err)
		if ok {
			n += each
		}
	}
	if n == 0 || n > mostTaken {
		t.Errorf("%d bytes were taken while nobody read, want some and at most %d MiB", n, mostTaken>>20)
	}
	sent := t.start(func() error {
		_, err := opened.Write(pattern(n, 1<<20))
		return errors.Join(err, opened.CloseWrite())
	})
	t.readEOF(accepted, pattern(0, n+(1<<20)))
	t.must(sent.wait(t, "Write after TryWrite"))
	_, err := s.TryWrite([]byte("x"))
	t.closedHere("TryWrite after CloseWrite", err)
}

// fill has a stream fill buffers, in turns with reading, while the bytes come in pieces.
func fill(t *trial) {
	opened, accepted := t.streams()
	s, ok := accepted.(bus.Filler)
	if !ok {
		return
	}
	sizes := []int{1, 70_000, 5000, 300_000, 16 << 10, 2, 1 << 20}
	total := 0
	for _, n := range sizes {
		total += n + 10
	}
	sent := t.start(func() error {
		for n, piece := 0, 1; n < total; piece = 3*piece%65_521 + 1 {
			piece = min(piece, total-n)
			if _, err := opened.Write(pattern(n, piece)); err != nil {
				return err
			}
			n += piece
		}
		return nil
	})
	at := 0
	for _, n := range sizes {
		p := make([]byte, n)
		filling := t.start(func() error { return s.Fill(p) })
		t.must(filling.wait(t, "Fill"))
		if !bytes.Equal(p, pattern(at, n)) {
			t.Fatalf("Fill of %d bytes after %d gave other ones", n, at)
		}
		t.read(accepted, pattern(at+n, 10))
		at += n + 10
	}
	t.must(sent.wait(t, "Write"))

	p := make([]byte, 100_000)
	filling := t.start(func() error { return s.Fill(p) })
	t.write(opened, pattern(0, len(p)-1))
	filling.waits(t, "Fill of what has not come")
	t.write(opened, pattern(len(p)-1, 1))
	t.must(filling.wait(t, "Fill"))
	if !bytes.Equal(p, pattern(0, len(p))) {
		t.Error("a Fill that waited gave other bytes")
	}
	t.fillCutShort()
}

// fillCutShort ends what a buffer is filled from in each way.
func (t *trial) fillCutShort() {
	for what, end := range map[string]func(opened, accepted bus.Stream) error{
		"CloseWrite by the peer": func(opened, _ bus.Stream) error { return opened.CloseWrite() },
		"a reset by the peer":    func(opened, _ bus.Stream) error { opened.Reset(bus.CloseNormal); return nil },
		"a reset here":           func(_, accepted bus.Stream) error { accepted.Reset(bus.CloseNormal); return nil },
		"a deadline":             func(_, accepted bus.Stream) error { return accepted.SetReadDeadline(time.Now()) },
	} {
		opened, accepted := t.streams()
		filling := t.start(func() error { return accepted.(bus.Filler).Fill(make([]byte, 100_000)) })
		t.write(opened, pattern(0, 50_000))
		filling.waits(t, "Fill of what has not come")
		t.must(end(opened, accepted))
		err := filling.wait(t, "Fill that is ended by "+what)
		switch {
		case err == nil:
			t.Errorf("after %s, Fill succeeded", what)
		case what == "a deadline" && !errors.Is(err, os.ErrDeadlineExceeded),
			what == "CloseWrite by the peer" && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF:
			t.Errorf("after %s, Fill: %v", what, err)
		}
		accepted.Reset(bus.CloseNormal)
		opened.Reset(bus.CloseNormal)
	}
}
