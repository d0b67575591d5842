package tcptransport

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/verbose-bus/verbose/bus"
)

func TestBulk(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.streams(t)
	const total = 64 << 20
	random := rand.NewChaCha8([32]byte{1})
	sent, got := sha256.New(), sha256.New()
	var g errgroup.Group
	g.Go(func() error {
		_, err := io.CopyN(io.MultiWriter(opened, sent), random, total)
		return errors.Join(err, opened.CloseWrite())
	})
	n, err := io.Copy(got, accepted)
	if err := errors.Join(err, g.Wait()); err != nil {
		t.Fatal(err)
	}
	if n != total || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%d bytes of %d arrived, or other ones", n, total)
	}
}

// TestBackPressure holds that a reader that does not read stops the writer
// within the windows, and that the writer resumes.
func TestBackPressure(t *testing.T) {
	p := newPair(t)
	opened, accepted := p.streams(t)
	const total = 24 << 20
	if err := opened.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := opened.Write(make([]byte, total))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > maxWindow+smallSize {
		t.Fatalf("%d bytes written with no reader, error %v; want at most the window, and the deadline", n, err)
	}
	opened.SetWriteDeadline(time.Time{})
	var g errgroup.Group
	g.Go(func() error {
		_, err := opened.Write(make([]byte, total-n))
		return errors.Join(err, opened.CloseWrite())
	})
	read, err := io.Copy(io.Discard, accepted)
	if err := errors.Join(err, g.Wait()); err != nil || read != total {
		t.Errorf("read %d of %d, %v", read, total, err)
	}
}

// TestStreamsInAnyOrder opens all the streams a peer allows and drains them backwards.
func TestStreamsInAnyOrder(t *testing.T) {
	p := newPair(t)
	text := func(i int) string { return fmt.Sprintf("stream %d %s", i, bytes.Repeat([]byte{'x'}, 4<<10)) }
	accepted := make([]bus.Stream, maxStreams)
	for i := range accepted {
		s, err := p.dialled.OpenStream(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(s, text(i)); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if accepted[i], err = p.arrived.AcceptStream(p.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := len(accepted) - 1; i >= 0; i-- {
		got, err := io.ReadAll(accepted[i])
		if err != nil || string(got) != text(i) {
			t.Errorf("stream %d: %d bytes, %v", i, len(got), err)
		}
		if err := accepted[i].CloseWrite(); err != nil {
			t.Error(err)
		}
	}
}
