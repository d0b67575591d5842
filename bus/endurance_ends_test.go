package bus_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// The two ends of TestEndurance, each a process. An end does what the lines of its standard input say, and ends with it.
//
//	n      emitter: go on to event n
//	drain  emitter: say what the receiver is done with
//	hold   receiver: handle no more events
//
// On its standard output it notes what happens, a line each:
//
//	ready x [y]   emitter: the number of its first event. Receiver: its address, and the size of its log
//	up, down      a path is up; the peer has none any more
//	at n          receiver: event n was handled
//	done n        emitter, asked by "drain": the receiver is done with all events up to n, as far as is known for sure
//	gap …         events are missing

const (
	enduranceTimeout = 400 * time.Millisecond // Config.Timeout
	noteEvery        = 16                     // events from one "at" to the next
	// enduranceWindow is how many events the emitter may be ahead of the receiver. It is less than Config.BufferMax:
	// whoever is away loses nothing.
	enduranceWindow = 32 << 10
)

// earthquakes are the demo's events.
func earthquakes() ([][]byte, error) {
	packed, err := os.ReadFile("../cmd/verbose/internal/demo/earthquakes.ndjson.zst")
	if err != nil {
		return nil, err
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := r.DecodeAll(packed, nil)
	return bytes.Split(bytes.TrimSpace(text), []byte("\n")), err
}

// appendNumbered appends line number n: the number, and one of the earthquakes.
func appendNumbered(b []byte, earthquakes [][]byte, n int) []byte {
	b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	return append(b, earthquakes[(n-1)%len(earthquakes)]...)
}

// lineNumber is the n of a numbered line.
func lineNumber(line []byte) (n int, err error) {
	number, _, _ := bytes.Cut(line, []byte(" "))
	return strconv.Atoi(string(number))
}

// eventLog is a file of numbered lines, each written by one call, so that a killed process leaves
// at most the last one incomplete.
type eventLog struct {
	file *os.File
	size int64 // when it was opened
	last int   // number of the last line, 0 if there is none
	line []byte
}

// openLog opens a log, without the line that a killed process did not finish.
func openLog(path string) (*eventLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, min(end, 64<<10))
	if _, err := file.ReadAt(tail, end-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	l := &eventLog{file: file}
	whole := tail[:bytes.LastIndexByte(tail, '\n')+1]
	l.size = end - int64(len(tail)-len(whole))
	if err := file.Truncate(l.size); err != nil || len(whole) == 0 {
		return l, err
	}
	lines := bytes.Split(whole, []byte("\n"))
	l.last, err = lineNumber(lines[len(lines)-2])
	return l, err
}

func (l *eventLog) write(line []byte) error {
	l.line = append(append(l.line[:0], line...), '\n')
	_, err := l.file.Write(l.line)
	return err
}

// enduringNode is a node whose paths and gaps are noted.
func enduringNode(id *certs.Identity) (*bus.Node, error) {
	cfg := bus.Config{Channel: "endurance", Timeout: enduranceTimeout}
	if os.Getenv("VERBOSE_TEST_SCHEME") == "tcp" {
		cfg.Transports = []bus.Transport{tcptransport.New(tcptransport.Config{Identity: id})}
	} else {
		cfg.Transports = []bus.Transport{quictransport.New(quictransport.Config{Identity: id})}
	}
	n, err := bus.New(cfg)
	if err != nil {
		return nil, err
	}
	go func(events func(func(bus.LifecycleEvent) bool)) { // ends with the process
		for e := range events {
			switch e.Kind {
			case bus.LifecyclePathUp:
				fmt.Println("up")
			case bus.LifecyclePeerDown:
				fmt.Println("down")
			case bus.LifecycleGap, bus.LifecycleReport, bus.LifecycleForgotten, bus.LifecycleRefused, bus.LifecycleOverrun:
				fmt.Println("gap", e)
			}
		}
	}(n.Lifecycle(context.Background()))
	return n, nil
}

// enduranceReceiver logs each event that it handles.
func enduranceReceiver(id *certs.Identity) error {
	log, err := openLog(filepath.Join(os.Getenv("VERBOSE_TEST_DIR"), "receiver.log"))
	if err != nil {
		return err
	}
	n, err := enduringNode(id)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	var handling sync.Mutex
	_, err = n.On("earthquakes", func(_ context.Context, e bus.Event) {
		handling.Lock()
		defer handling.Unlock()
		number, err := lineNumber(e.Payload)
		if err := errors.Join(err, log.write(e.Payload)); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
		if number%noteEvery == 0 {
			fmt.Println("at", number)
		}
	})
	if err != nil {
		return err
	}
	addr, err := n.Listen(context.Background(), os.Getenv("VERBOSE_TEST_SCHEME")+"://127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("ready", addr, log.size)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); { // "hold"
		handling.Lock() // to the end: this process will be killed
	}
	err = n.Close()
	select {
	case err = <-failed:
	default:
	}
	return err
}

// enduranceEmitter logs each event, and then emits it.
func enduranceEmitter(id *certs.Identity) error {
	lines, err := earthquakes()
	if err != nil {
		return err
	}
	log, err := openLog(filepath.Join(os.Getenv("VERBOSE_TEST_DIR"), "emitter.log"))
	if err != nil {
		return err
	}
	n, err := enduringNode(id)
	if err != nil {
		return err
	}
	if _, err := n.Connect(os.Getenv("VERBOSE_TEST_SCHEME") + "://" + os.Getenv("VERBOSE_TEST_ADDR")); err != nil {
		return err
	}
	fmt.Println("ready", log.last+1)
	var buf []byte
	done, last := 0, log.last
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "drain" {
			if err := n.Drain(context.Background()); err != nil {
				return err
			}
			// Drain does not wait for a receiver that is away for long.
			if peers := n.Peers(); len(peers) == 1 {
				if s, err := peers[0].Stats(); err == nil && s.Undone == 0 {
					done = last
				}
			}
			fmt.Println("done", done)
			continue
		}
		upto, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		for ; last < upto; last++ {
			buf = appendNumbered(buf[:0], lines, last+1)
			if err := log.write(buf); err != nil {
				return err
			}
			if err := n.EmitBytes(context.Background(), "earthquakes", buf); err != nil {
				return err
			}
		}
	}
	return n.Close()
}
