//go:build unix

package bus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// note is something that happened: a line of a process's output, or, with no process, what the test itself waits for.
type note struct {
	from *endProcess
	text string
	at   time.Time
}

// gone is the last note of a process.
const gone = "gone"

// endProcess is a running end.
type endProcess struct {
	cmd   *exec.Cmd
	input io.WriteCloser

	// What it noted.
	ready []string
	ups   int
	downs int
	dones int // answers to "drain"
	done  int // the number in the last
	gone  bool

	ending bool // it is to end
}

// startEnd starts a process of this test binary. Its notes go to tell, which is called until the last.
func startEnd(role string, env []string, tell func(note)) (*endProcess, error) {
	p := &endProcess{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), "VERBOSE_TEST_ROLE="+role), env...)
	p.cmd.Stderr = os.Stderr
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process; its last note says so
		for lines := bufio.NewScanner(output); lines.Scan(); {
			tell(note{p, lines.Text(), time.Now()})
		}
		tell(note{p, gone, time.Now()})
	}()
	return p, nil
}

// say writes a line to the process. If that has ended, a note tells.
func (p *endProcess) say(line string) { fmt.Fprintln(p.input, line) }

// hear keeps a note of the process. It returns the number of an "at".
func (p *endProcess) hear(text string) (at int) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "ready":
		p.ready = strings.Fields(rest)
	case "up":
		p.ups++
	case "down":
		p.downs++
	case "at":
		fmt.Sscan(rest, &at)
	case "done":
		p.dones++
		fmt.Sscan(rest, &p.done)
	case gone:
		p.gone = true
	}
	return at
}

func (p *endProcess) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// peak is the most memory that the running process had resident, in bytes. It is 0 where there is no /proc.
func (p *endProcess) peak() (size int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if _, rest, ok := bytes.Cut(status, []byte("\nVmHWM:")); ok {
		fmt.Sscan(string(rest), &size)
	}
	return size << 10
}

// tell hands in a note, unless the test has ended.
func (e *endurance) tell(n note) {
	if n.at.IsZero() {
		n.at = time.Now()
	}
	select {
	case e.notes <- n:
	case <-e.t.Context().Done():
	}
}

// enduranceWait is how long nothing may happen that is waited for.
const enduranceWait = time.Minute

// await waits for what notes bring about, and returns when the note came that did.
func (e *endurance) await(what string, happened func() bool) time.Time {
	e.t.Helper()
	at := time.Now()
	patience := time.NewTimer(enduranceWait)
	defer patience.Stop()
	for !happened() {
		at = e.next(what, patience).at
	}
	return at
}

// awaitNote waits for a note of the test's own.
func (e *endurance) awaitNote(what, text string) time.Time {
	e.t.Helper()
	patience := time.NewTimer(enduranceWait)
	defer patience.Stop()
	for {
		if n := e.next(what, patience); n.from == nil && n.text == text {
			return n.at
		}
	}
}

// pause lets time pass in which a fault lasts.
func (e *endurance) pause(what string, d time.Duration) {
	e.t.Helper()
	time.AfterFunc(d, func() { e.tell(note{text: "passed"}) })
	e.awaitNote(what, "passed")
}

// next takes a note.
func (e *endurance) next(what string, patience *time.Timer) (n note) {
	e.t.Helper()
	select {
	case n = <-e.notes:
	case <-patience.C:
		e.t.Fatalf("waited %v for %s, at event %d of %d (granted %d), after %d cuts", enduranceWait, what, e.at, e.events, e.granted, e.total())
	}
	if n.from == nil {
		return n
	}
	if n.text == gone && !n.from.ending {
		e.t.Fatalf("a process ended while the test waited for %s, at event %d of %d", what, e.at, e.events)
	}
	if strings.HasPrefix(n.text, "gap ") {
		e.t.Errorf("at event %d: %s", e.at, n.text)
	}
	if at := n.from.hear(n.text); at > e.at {
		e.at = at
		e.grant()
	}
	return n
}
