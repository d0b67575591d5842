package bus_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// meshSpan is what a run of a node recorded of a log: events and gaps, one after the other, without a hole.
type meshSpan struct {
	first, last uint64
	events      int
	missing     uint64 // in gaps
	over        bool   // by a gap without an end
}

func (s *meshSpan) String() string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d to %d", s.first, s.last)
}

// meshRun is what a run of a node recorded.
type meshRun struct {
	number int
	logs   map[string]*meshSpan
}

// readMeshRecord reads a node's record and judges each run by itself: every event once, in order, and what is missing
// within in a gap of exactly that.
func readMeshRecord(path string) ([]meshRun, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseMeshRecord(file)
}

func parseMeshRecord(r io.Reader) (runs []meshRun, err error) {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		if len(words) == 2 && words[1] == "run" {
			run, err := strconv.Atoi(words[0])
			if err != nil {
				return runs, err
			}
			runs = append(runs, meshRun{run, make(map[string]*meshSpan)})
			continue
		}
		if len(runs) == 0 || len(words) < 2 {
			return runs, fmt.Errorf("line %d is %q", number, lines.Text())
		}
		run := runs[len(runs)-1]
		if run.logs[words[1]] == nil {
			run.logs[words[1]] = &meshSpan{}
		}
		if err := run.logs[words[1]].add(words); err != nil {
			return runs, fmt.Errorf("run %d, line %d, %q: %w", run.number, number, lines.Text(), err)
		}
	}
	return runs, lines.Err()
}

// add adds a line.
func (s *meshSpan) add(words []string) error {
	from, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return err
	}
	to, gap := from, len(words) > 2
	if gap {
		if to, err = strconv.ParseUint(words[2], 10, 64); err != nil {
			return err
		}
	}
	fresh := s.first == 0
	switch {
	case from == 0:
		return errors.New("there is no event 0")
	case s.over:
		return errors.New("the log was over")
	case !fresh && from <= s.last:
		return fmt.Errorf("again, or out of order, after %d", s.last)
	case !fresh && from != s.last+1:
		return fmt.Errorf("events %d to %d are missing, and not told", s.last+1, from-1)
	case gap && to == 0:
		s.over = true
		return nil
	case to < from:
		return errors.New("an empty gap")
	}
	if fresh {
		s.first = from
	}
	s.last = to
	if gap {
		s.missing += to - from + 1
	} else {
		s.events++
	}
	return nil
}

// meshWitness is a node, and what it recorded.
type meshWitness struct {
	id     string
	stayed bool   // it has one run, which was there from before the first event to the end
	strict []bool // by run: it began while everybody else was there and had all, but for what the run before it was owed
	runs   []meshRun
}

// meshVerdict is the judgement of all records.
type meshVerdict struct {
	nodes []meshWitness
	ends  map[string]uint64 // of the logs whose origins live, and will emit no more

	// What was found.
	logs    map[string]uint64 // every log, and the last event of it that a node that stayed knows of
	events  int
	missing uint64
}

// judge compares what nodes recorded. Every log has the same end everywhere where it can be known: at those that stayed,
// and at all for the logs of those that live. Those that stayed have each from its first event on. A node that was
// killed and came back while the others were there goes on where it was, or before.
func (v *meshVerdict) judge() (problems []error) {
	v.logs = maps.Clone(v.ends)
	for _, n := range v.nodes {
		for _, run := range n.runs {
			for log, s := range run.logs {
				v.events += s.events
				v.missing += s.missing
				if n.stayed {
					v.logs[log] = max(v.logs[log], s.last)
				}
			}
		}
	}
	for _, n := range v.nodes {
		if len(n.runs) == 0 {
			problems = append(problems, fmt.Errorf("node %s recorded nothing", n.id))
			continue
		}
		if n.stayed {
			problems = append(problems, v.judgeStayed(n)...)
		}
		problems = append(problems, v.judgeEnd(n)...)
		problems = append(problems, v.judgeReturns(n)...)
	}
	return problems
}

func (v *meshVerdict) judgeStayed(n meshWitness) (problems []error) {
	if len(n.runs) != 1 {
		problems = append(problems, fmt.Errorf("node %s has %d runs", n.id, len(n.runs)))
	}
	for _, log := range slices.Sorted(maps.Keys(v.logs)) {
		s := n.runs[0].logs[log]
		if strings.HasPrefix(log, n.id) {
			continue
		}
		if s == nil || s.first != 1 || s.last != v.logs[log] {
			problems = append(problems, fmt.Errorf("node %s has %v of %s, want 1 to %d", n.id, s, log, v.logs[log]))
		}
	}
	return problems
}

// judgeEnd judges the last run of a node by what the living have emitted.
func (v *meshVerdict) judgeEnd(n meshWitness) (problems []error) {
	for _, log := range slices.Sorted(maps.Keys(v.ends)) {
		if s := n.runs[len(n.runs)-1].logs[log]; !strings.HasPrefix(log, n.id) && (s == nil || s.last != v.ends[log]) {
			problems = append(problems, fmt.Errorf("node %s has %v of %s, which ends at %d", n.id, s, log, v.ends[log]))
		}
	}
	return problems
}

// judgeReturns judges where the later runs of a node begin.
func (v *meshVerdict) judgeReturns(n meshWitness) (problems []error) {
	for i, run := range n.runs[1:] {
		before := n.runs[i]
		if !n.strict[run.number] || before.number+1 != run.number {
			continue
		}
		for log, s := range run.logs {
			if b := before.logs[log]; b != nil && s.first > b.last+1 {
				problems = append(problems, fmt.Errorf("node %s had %v of %s when it was killed, and %v when it was back", n.id, b, log, s))
			}
		}
	}
	return problems
}

func TestMeshJudge(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, b, back string // records: of two that stayed, and of one that was killed once
		want       string // a problem
	}{
		{name: "equal", a: "1 o 2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run 2 o 3 o"},
		{name: "a gap", a: "1 o 2 o 3 o", b: "1 o 2-3 o", back: "1 o run 2-2 o 3 o"},
		{name: "a gap at the begin", a: "1-2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run 2 o 3 o"},
		{name: "again after the return", a: "1 o 2 o 3 o", b: "1 o 2 o 3 o", back: "1 o 2 o run 1 o 2 o 3 o"},
		{name: "other logs", a: "1 p 1 o 2 p 2 o 3 o", b: "1 o 2 o 3 o 1 p 2 p", back: "1 o run 2 o 3 o"},
		{name: "again", a: "1 o 2 o 2 o 3 o", want: "again"},
		{name: "again in the same run", back: "1 o run 1 o 1 o", want: "again"},
		{name: "out of order", a: "2 o 1 o 3 o", want: "out of order"},
		{name: "one is missing", a: "1 o 3 o", want: "events 2 to 2 are missing"},
		{name: "more than the gap is missing", a: "1 o 2-2 o 4 o", want: "events 3 to 3 are missing"},
		{name: "less than the gap is missing", a: "1 o 2-3 o 3 o", want: "again"},
		{name: "a gap of what is there", a: "1 o 2 o 2-2 o 3 o", want: "again"},
		{name: "the first is missing", a: "2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run 2 o 3 o", want: "has 2 to 3"},
		{name: "the last is missing", a: "1 o 2 o", b: "1 o 2 o 3 o", back: "1 o run 2 o 3 o", want: "has 1 to 2"},
		{name: "a log is missing", a: "1 p", b: "1 o 2 o 3 o", back: "1 o run 2 o 3 o", want: "has nothing of o"},
		{name: "the last of what died is missing", a: "1 p 2 p 1 o 2 o 3 o", b: "1 p 1 o 2 o 3 o", back: "1 o run 2 o 3 o", want: "b has 1 to 1 of p"},
		{name: "the last is missing after the return", a: "1 o 2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run 2 o", want: "back has 2 to 2 of o"},
		{name: "nothing after the return", a: "1 o 2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run", want: "back has nothing of o"},
		{name: "one is missing from the return", a: "1 o 2 o 3 o", b: "1 o 2 o 3 o", back: "1 o run 3 o", want: "when it was back"},
		{name: "a log that is over goes on", a: "1 o 2-0 o 2 o", want: "was over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var problems []error
			v := meshVerdict{ends: map[string]uint64{"o": 3}}
			for id, record := range map[string]string{"a": c.a, "b": c.b, "back": c.back} {
				runs, err := parseMeshRecord(strings.NewReader(written(record)))
				problems = append(problems, err)
				v.nodes = append(v.nodes, meshWitness{id, id != "back", []bool{true, true}, runs})
			}
			err := errors.Join(append(problems, v.judge()...)...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// written is a record: of events as "seq log", of gaps as "from-to log", and of the begin of a second run.
func written(short string) string {
	var b strings.Builder
	b.WriteString("0 run\n")
	for words := strings.Fields(short); len(words) > 0; {
		if words[0] == "run" {
			b.WriteString("1 run\n")
			words = words[1:]
			continue
		}
		from, to, gap := strings.Cut(words[0], "-")
		if gap {
			fmt.Fprintln(&b, from, words[1], to, 3)
		} else {
			fmt.Fprintln(&b, from, words[1])
		}
		words = words[2:]
	}
	return b.String()
}
