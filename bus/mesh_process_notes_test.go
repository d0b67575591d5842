//go:build unix

package bus_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (m *mesh) all(is func(*meshMember) bool) bool {
	return !slices.ContainsFunc(m.nodes, func(n *meshMember) bool { return !is(n) })
}

// tell hands in a note, unless the test has ended.
func (m *mesh) tell(n note) {
	select {
	case m.notes <- n:
	case <-m.t.Context().Done():
	}
}

// pause lets some time pass, in which events flow: most at most.
func (m *mesh) pause(most time.Duration) {
	m.t.Helper()
	m.passed = false
	time.AfterFunc(time.Duration(m.random.Int64N(int64(most))), func() { m.tell(note{text: "passed"}) })
	m.await("a while", func() bool { return m.passed })
}

// await waits for what notes bring about.
func (m *mesh) await(what string, happened func() bool) {
	m.t.Helper()
	patience := time.NewTimer(enduranceWait)
	defer patience.Stop()
	for !happened() {
		select {
		case n := <-m.notes:
			m.hear(n)
		case <-patience.C:
			m.t.Fatalf("waited %v for %s, after %d kills:\n%s", enduranceWait, what, m.kills, m.behind())
		}
	}
}

// hear keeps a note.
func (m *mesh) hear(n note) {
	m.t.Helper()
	if n.from == nil {
		m.passed = true
		return
	}
	i := slices.IndexFunc(m.nodes, func(x *meshMember) bool { return x.endProcess == n.from })
	if i < 0 {
		return // of a run before, which was killed
	}
	x := m.nodes[i]
	verb, rest, _ := strings.Cut(n.text, " ")
	switch verb {
	case "whole":
		x.whole = rest == "true"
	case "where":
		x.where = make(map[string]uint64)
		for words := strings.Fields(rest); len(words) > 1; words = words[2:] {
			x.where[words[0]], _ = strconv.ParseUint(words[1], 10, 64)
		}
	case "reached":
		x.reached = true
	case "rest":
		x.rest = rest
	case "gap":
		if m.strict {
			m.t.Errorf("%s misses events, though at most one node was away: %s", x.name, rest)
		}
	case "odd":
		m.t.Errorf("%s: %s", x.name, rest)
	default: // "ready" and the end
		x.hear(n.text)
	}
	if x.gone && !x.ending {
		m.t.Fatalf("%s ended by itself", x.name)
	}
}

// behind tells who is not whole, and who is not where it has to be.
func (m *mesh) behind() string {
	var b strings.Builder
	for _, n := range m.nodes {
		if !n.whole {
			fmt.Fprintf(&b, "%s (%s) is not whole\n", n.name, n.id)
		}
		if n.reached || n.where == nil {
			continue
		}
		runs, err := readMeshRecord(filepath.Join(n.dir, "record"))
		if err != nil || len(runs) == 0 {
			fmt.Fprintf(&b, "%s (%s): %v\n", n.name, n.id, err)
			continue
		}
		for words := strings.Fields(m.duties(n)); len(words) > 1; words = words[2:] {
			if run := runs[len(runs)-1].logs[words[0]]; run == nil || run.last < m.goals[words[0]] {
				fmt.Fprintf(&b, "%s (%s) has %s up to %v and not up to %s\n", n.name, n.id, words[0], run, words[1])
			}
		}
	}
	return b.String()
}
