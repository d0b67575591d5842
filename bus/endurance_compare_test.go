package bus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// restart is where a run of the receiver begins.
type restart struct {
	offset int64 // in its log
	done   int   // the emitter knew that it was done with all lines up to this
}

// comparison is what two logs, compared line by line, differ in where a process was killed.
type comparison struct {
	lines    int   // of the emitter
	repeated []int // lines, by restart of the receiver
	lost     []int // lines, by restart of the emitter: the end of the run before
}

// compareLogs compares the numbered lines of both logs. They have to be equal, but for two things. A receiver that was
// restarted may begin with lines that it has logged already and that it was not known to be done with. Of an
// emitter that was killed, the last lines of its run may be missing; starts are the numbers with which its later runs begin.
func compareLogs(emitter, receiver io.Reader, restarts []restart, starts []int) (comparison, error) {
	sent, got := newLogReader(emitter), newLogReader(receiver)
	c := comparison{repeated: make([]int, len(restarts)), lost: make([]int, len(starts))}
	recent := make(map[int][]byte) // lines that may come again
	begun, again := 0, 0           // starts and restarts so far
	repeating := false
	for got.next() {
		fresh := false // the first line of a run of the receiver
		for ; again < len(restarts) && restarts[again].offset <= got.offset; again++ {
			fresh, repeating = true, true
		}
		if got.number <= sent.number {
			switch {
			case !repeating || !fresh && got.number != got.previous+1:
				return c, fmt.Errorf("the receiver has line %d after line %d", got.number, got.previous)
			case got.number <= restarts[again-1].done:
				return c, fmt.Errorf("line %d came again, though the receiver was done with all up to %d", got.number, restarts[again-1].done)
			case !bytes.Equal(recent[got.number], got.line):
				return c, fmt.Errorf("line %d was %q, and came again as %q", got.number, recent[got.number], got.line)
			}
			c.repeated[again-1]++
			continue
		}
		if !fresh && got.previous != sent.number {
			return c, fmt.Errorf("the receiver repeats lines up to %d and not up to %d", got.previous, sent.number)
		}
		repeating = false
		want := sent.number + 1
		for ; begun < len(starts) && starts[begun] <= got.number; begun++ {
			c.lost[begun] = max(0, starts[begun]-want)
			want = max(want, starts[begun])
		}
		if got.number != want {
			return c, fmt.Errorf("the receiver has line %d after line %d: lines %d to %d are missing", got.number, got.previous, want, got.number-1)
		}
		for sent.number < got.number && sent.next() {
			recent[sent.number] = bytes.Clone(sent.line)
			delete(recent, sent.number-2*enduranceWindow)
		}
		if !bytes.Equal(sent.line, got.line) {
			return c, fmt.Errorf("line %d was sent as %q and received as %q", got.number, sent.line, got.line)
		}
	}
	if sent.next() {
		return c, fmt.Errorf("the receiver's log ends before line %d", sent.number)
	}
	c.lines = sent.number
	if sent.err != nil {
		return c, fmt.Errorf("the emitter's log: %w", sent.err)
	}
	if got.err != nil {
		return c, fmt.Errorf("the receiver's log: %w", got.err)
	}
	return c, nil
}

// logReader reads numbered lines.
type logReader struct {
	scanner  *bufio.Scanner
	line     []byte
	number   int
	previous int
	offset   int64 // of the line
	end      int64
	err      error
}

func newLogReader(r io.Reader) *logReader { return &logReader{scanner: bufio.NewScanner(r)} }

func (r *logReader) next() bool {
	if !r.scanner.Scan() {
		r.err = r.scanner.Err()
		return false
	}
	r.line = r.scanner.Bytes()
	r.previous = r.number
	r.offset, r.end = r.end, r.end+int64(len(r.line))+1
	r.number, r.err = lineNumber(r.line)
	return r.err == nil
}

func TestCompareLogs(t *testing.T) {
	numbered := func(numbers string) string { return strings.ReplaceAll(numbers, " ", " x\n") + " x\n" }
	at := func(line int, done int) restart { return restart{int64(line * len("1 x\n")), done} }
	for _, c := range []struct {
		name, sent, got string
		restarts        []restart
		starts          []int
		want            string // an error, or the counts
	}{
		{name: "equal", sent: "1 2 3", got: "1 2 3", want: "{3 [] []}"},
		{name: "a line is lost", sent: "1 2 3", got: "1 3", want: "lines 2 to 2 are missing"},
		{name: "the first is lost", sent: "1 2 3", got: "2 3", want: "lines 1 to 1 are missing"},
		{name: "the last is lost", sent: "1 2 3", got: "1 2", want: "ends before line 3"},
		{name: "a line came twice", sent: "1 2 3", got: "1 2 2 3", want: "line 2 after line 2"},
		{name: "out of order", sent: "1 2 3", got: "2 1 3", want: "missing"},
		{name: "never sent", sent: "1 2", got: "1 2 3", want: "received as"},
		{name: "repeated after a restart", sent: "1 2 3", got: "1 2 1 2 3", restarts: []restart{at(2, 0)}, want: "{3 [2] []}"},
		{name: "nothing repeated", sent: "1 2 3", got: "1 2 3", restarts: []restart{at(2, 0)}, want: "{3 [0] []}"},
		{name: "killed while it repeats", sent: "1 2 3", got: "1 2 1 1 2 3", restarts: []restart{at(2, 0), at(3, 0)}, want: "{3 [1 2] []}"},
		{name: "repeated later", sent: "1 2 3", got: "1 2 3 3", restarts: []restart{at(2, 0)}, want: "line 3 after line 3"},
		{name: "repeated although done", sent: "1 2 3", got: "1 2 1 2 3", restarts: []restart{at(2, 1)}, want: "done with all up to 1"},
		{name: "repeated with a hole", sent: "1 2 3 4", got: "1 2 3 1 3 4", restarts: []restart{at(3, 0)}, want: "line 3 after line 1"},
		{name: "a hole after a restart", sent: "1 2 3 4", got: "1 2 4", restarts: []restart{at(2, 0)}, want: "lines 3 to 3 are missing"},
		{name: "repeated in part", sent: "1 2 3 4", got: "1 2 3 2 4", restarts: []restart{at(3, 0)}, want: "up to 2 and not up to 3"},
		{name: "the end of a run is lost", sent: "1 2 3 4 5", got: "1 2 4 5", starts: []int{4}, want: "{5 [] [1]}"},
		{name: "nothing of it is lost", sent: "1 2 3 4 5", got: "1 2 3 4 5", starts: []int{4}, want: "{5 [] [0]}"},
		{name: "two runs", sent: "1 2 3 4 5", got: "1 5", starts: []int{3, 5}, want: "{5 [] [1 2]}"},
		{name: "the begin of a run is lost", sent: "1 2 3 4 5", got: "1 2 5", starts: []int{4}, want: "lines 4 to 4 are missing"},
		{name: "a hole in a run", sent: "1 2 3 4 5", got: "1 3 4 5", starts: []int{4}, want: "lines 2 to 2 are missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			counts, err := compareLogs(strings.NewReader(numbered(c.sent)), strings.NewReader(numbered(c.got)), c.restarts, c.starts)
			got := fmt.Sprint(counts)
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != c.want || err != nil && (c.want[0] == '{' || !strings.Contains(got, c.want)) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	counts, err := compareLogs(strings.NewReader("1 x\n"), strings.NewReader("1 y\n"), nil, nil)
	if err == nil {
		t.Errorf("a line that differs: %v", counts)
	}
}
