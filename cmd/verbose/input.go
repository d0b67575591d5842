package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// maxLine is the largest line: that of the largest event.
const maxLine = 16 << 20

// errInterrupted ends the input early.
var errInterrupted = errors.New("the rest of the input was not emitted")

// emitInput emits every line of the input.
func (c *emitCommand) emitInput(ctx context.Context, s *streams, e *emitter) error {
	delim := byte('\n')
	if c.Null {
		delim = 0
	}
	bar := newBar(s)
	failed := make(chan error, 1)
	// Not waited for when interrupted: a read of a terminal or pipe can't be ended, only its process.
	go func() {
		failed <- eachLine(bar.wrap(s.in), delim, func(line []byte) error { return e.emitLine(ctx, line) })
	}()
	select {
	case err := <-failed:
		bar.finish()
		if err != nil && ctx.Err() != nil {
			return errInterrupted
		}
		return err
	case <-ctx.Done():
		return errInterrupted
	}
}

// eachLine calls f with each line, which is valid until f returns. A last line need not be ended.
func eachLine(in io.Reader, delim byte, f func(line []byte) error) error {
	r := bufio.NewReaderSize(in, 64<<10)
	var long []byte
	for n := 1; ; n++ {
		part, err := r.ReadSlice(delim)
		for long = long[:0]; err == bufio.ErrBufferFull; part, err = r.ReadSlice(delim) {
			if long = append(long, part...); len(long) > maxLine {
				return fmt.Errorf("line %d of the input is larger than %d MiB, the most an event can have", n, maxLine>>20)
			}
		}
		line := part
		if len(long) > 0 {
			long = append(long, part...)
			line = long
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("can't read line %d of the input: %w", n, err)
		}
		ended := err == nil
		if ended {
			line = line[:len(line)-1]
		}
		if ended || len(line) > 0 {
			if len(line) > maxLine {
				return fmt.Errorf("line %d of the input is larger than %d MiB, the most an event can have", n, maxLine>>20)
			}
			if err := f(line); err != nil {
				return err
			}
		}
		if !ended {
			return nil
		}
	}
}

// bar shows how much of the input was read. Its zero value shows nothing.
type bar struct{ *progressbar.ProgressBar }

// newBar returns a bar if somebody watches and the input's length is known.
func newBar(s *streams) bar {
	info, err := s.in.Stat()
	if err != nil || !info.Mode().IsRegular() || !term.IsTerminal(int(s.err.Fd())) {
		return bar{}
	}
	size := info.Size()
	if at, err := s.in.Seek(0, io.SeekCurrent); err == nil {
		size -= at
	}
	return bar{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription("emitting"), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())}
}

func (b bar) wrap(in *os.File) io.Reader {
	if b.ProgressBar == nil {
		return in
	}
	r := progressbar.NewReader(in, b.ProgressBar)
	return &r
}

func (b bar) finish() {
	if b.ProgressBar != nil {
		b.Finish()
	}
}
