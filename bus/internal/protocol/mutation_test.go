package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// mutation is a small mistake in one file of the package, and what is to notice it. The files
// of testdata/mutations list them, in blocks of
//
//	mutation: what is wrong
//	section: of PROTOCOL.md
//	file: its name
//	caught: seeds 100
//	-	the lines as they are
//	+	and as they would be
//
// A line "@@" begins another place of the same file. What catches a mutation is the simulation
// within a number of seeds, or the scenario test named, or nothing: then a line "why" says what
// that would take.
type mutation struct {
	name, section, file string
	seeds               int    // that the simulation is given; 0: it is not what catches it
	test                string // otherwise
	why                 string // neither catches it
	edits               []edit
	together            bool // it is in one binary with others
}

// edit replaces whole lines that are found exactly once.
type edit struct{ old, new string }

func readMutations(t *testing.T) []*mutation {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "mutations", "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no mutations: %v", err)
	}
	var list []*mutation
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n\n") {
			if !strings.HasPrefix(block, "mutation: ") {
				continue // the head of the file
			}
			mu, err := parseMutation(block)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, mu.name, err)
			}
			list = append(list, mu)
		}
	}
	return list
}

func parseMutation(block string) (*mutation, error) {
	mu := &mutation{edits: make([]edit, 1)}
	for line := range strings.Lines(strings.TrimSuffix(block, "\n") + "\n") {
		e := &mu.edits[len(mu.edits)-1]
		if text, ok := strings.CutPrefix(line, "-"); ok {
			e.old += text
			continue
		}
		if text, ok := strings.CutPrefix(line, "+"); ok {
			e.new += text
			continue
		}
		if line == "@@\n" {
			mu.edits = append(mu.edits, edit{})
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if err := mu.set(key, value); err != nil {
			return mu, err
		}
	}
	if mu.file == "" || mu.section == "" || mu.seeds == 0 && mu.test == "" && mu.why == "" {
		return mu, errors.New("says not all of section, file and what catches it")
	}
	return mu, nil
}

func (mu *mutation) set(key, value string) (err error) {
	switch key {
	case "mutation":
		mu.name = value
	case "section":
		mu.section = value
	case "file":
		mu.file = value
	case "why":
		mu.why = value
	case "caught":
		if seeds, ok := strings.CutPrefix(value, "seeds "); ok {
			mu.seeds, err = strconv.Atoi(seeds)
		} else if value != "nothing" {
			mu.test = value
		}
	default:
		err = fmt.Errorf("a line that begins with %q", key)
	}
	return err
}

// apply returns the file with the mistake in it.
func (mu *mutation) apply() (string, error) {
	text, err := os.ReadFile(mu.file)
	if err != nil {
		return "", err
	}
	source := "\n" + string(text)
	for _, e := range mu.edits {
		old := "\n" + e.old
		if n := strings.Count(source, old); n != 1 || e.old == "" {
			return "", fmt.Errorf("bring it up to date: these lines are found %d times in %s:\n%s", n, mu.file, e.old)
		}
		source = strings.Replace(source, old, "\n"+e.new, 1)
	}
	return source[1:], nil
}

// Mutations have to follow the code, and the tests that are named.
func TestMutationsAreUpToDate(t *testing.T) {
	var tests []byte
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, text...)
	}
	seen := map[string]bool{}
	for _, mu := range readMutations(t) {
		if _, err := mu.apply(); err != nil {
			t.Errorf("mutation %q: %v", mu.name, err)
		}
		if mu.test != "" && !bytes.Contains(tests, []byte("\nfunc "+mu.test+"(t *testing.T)")) {
			t.Errorf("mutation %q: there is no test %s", mu.name, mu.test)
		}
		if seen[mu.name] {
			t.Errorf("mutation %q: there are two", mu.name)
		}
		seen[mu.name] = true
	}
}

// fewSeeds is what a mutation may take to be tried with VERBOSE_LONG=1; with 2, all are.
const fewSeeds = 2000

// TestMutationsLong plants each of the mistakes, and expects what is
// named in the table to fail there. It logs what noticed each, and at which seed.
func TestMutationsLong(t *testing.T) {
	long := os.Getenv("VERBOSE_LONG")
	if long == "" {
		t.Skip("set VERBOSE_LONG=1 to plant mistakes, 2 to plant those that take many seeds, too")
	}
	list := readMutations(t)
	if long == "1" {
		list = slices.DeleteFunc(list, func(mu *mutation) bool { return mu.seeds > fewSeeds })
	}
	dir := t.TempDir()
	together := buildTogether(t, list, dir)
	control(t, together, list)
	found := make([]string, len(list))
	slots := make(chan struct{}, 2)
	t.Run("planted", func(t *testing.T) {
		for i, mu := range list {
			if mu.why != "" {
				found[i] = "UNCAUGHT\t" + mu.why
				continue
			}
			t.Run(mu.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				binary := together
				if !mu.together {
					binary = mu.buildApart(t, filepath.Join(dir, strconv.Itoa(i)))
				}
				found[i] = mu.plant(t, binary, i+1)
			})
		}
	})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "name\t| section\t| caught by\t| seed")
	for i, mu := range list {
		if found[i] != "" { // else it failed, or was not asked for
			by, seed, _ := strings.Cut(found[i], "\t")
			fmt.Fprintf(w, "%s\t| %s\t| %s\t| %s\n", mu.name, mu.section, by, seed)
		}
	}
	w.Flush()
	t.Logf("\n%s", &table)
}

// control runs a binary through all that is to catch a mistake, with none planted.
func control(t *testing.T, binary string, list []*mutation) {
	t.Helper()
	tests, seeds := []string{"TestSimulation"}, 0
	for _, mu := range list {
		seeds = max(seeds, mu.seeds)
		if mu.test != "" && !slices.Contains(tests, mu.test) {
			tests = append(tests, mu.test)
		}
	}
	if out, err := runTests(t.Context(), binary, 0, strings.Join(tests, "|"), seeds); err != nil {
		t.Fatalf("without any mutation: %v\n%s", err, out)
	}
}

// runTests runs tests of a binary of this package, with mistake n.
func runTests(ctx context.Context, binary string, n int, tests string, seeds int) (string, error) {
	run := exec.CommandContext(ctx, binary, "-test.run", "^("+tests+")$", "-test.timeout", "3m", "-rapid.nofailfile", "-seeds", strconv.Itoa(seeds), "-failures", "1")
	run.Env = append(os.Environ(), "GOTRACEBACK=none", plantedVariable+"="+strconv.Itoa(n))
	out, err := run.CombinedOutput()
	return string(out), err
}

// plant runs the tests with mistake n, and returns what caught it.
func (mu *mutation) plant(t *testing.T, binary string, n int) string {
	test := mu.test
	if test == "" {
		test = "TestSimulation"
	}
	began := time.Now()
	out, err := runTests(t.Context(), binary, n, test, mu.seeds)
	if !errors.As(err, new(*exec.ExitError)) {
		if err != nil {
			t.Fatal(err)
		}
		t.Fatalf("§%s: not caught by %s, %d seeds", mu.section, test, mu.seeds)
	}
	t.Logf("%s, after %v", firstLine(out), time.Since(began).Round(time.Millisecond))
	by, at := "simulation", "-"
	if mu.test != "" {
		by = mu.test
	}
	switch {
	case strings.Contains(out, "panic: test timed out"):
		by += ", which does not end"
	case strings.Contains(out, "panic: "):
		by += ", by a panic"
	}
	if mu.test == "" {
		at = lowestSeed(out)
	}
	return by + "\t" + at
}

// buildTogether makes a test binary of the package with all mistakes that can be side by side.
func buildTogether(t *testing.T, list []*mutation, scratch string) (binary string) {
	t.Helper()
	files := make(map[string]*schema)
	for i, mu := range list {
		if mu.why != "" {
			continue
		}
		mistaken, err := mu.apply()
		if err != nil {
			t.Fatal(err)
		}
		if files[mu.file] == nil {
			text, err := os.ReadFile(mu.file)
			if err != nil {
				t.Fatal(err)
			}
			if files[mu.file], err = newSchema(string(text)); err != nil {
				t.Fatal(err)
			}
		}
		if mu.together, err = files[mu.file].plant(i+1, mistaken); err != nil {
			t.Fatalf("bring it up to date: mutation %q: %v", mu.name, err)
		}
	}
	contents := map[string]string{"planted.go": plantedFile}
	for name, s := range files {
		contents[name] = s.String()
	}
	return build(t, contents, filepath.Join(scratch, "together"))
}

// buildApart makes one with a single mistake.
func (mu *mutation) buildApart(t *testing.T, scratch string) (binary string) {
	t.Helper()
	mistaken, err := mu.apply()
	if err != nil {
		t.Fatal(err)
	}
	return build(t, map[string]string{mu.file: mistaken}, scratch)
}

// build makes a test binary of the package with some files in place of its own.
func build(t *testing.T, contents map[string]string, scratch string) (binary string) {
	t.Helper()
	replace := make(map[string]string)
	for name, text := range contents {
		file, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[file] = scratch + "-" + name
		if err := os.WriteFile(replace[file], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(scratch+".json", overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = scratch + ".test"
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", scratch+".json", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("bring it up to date: %v\n%s", err, out)
	}
	return binary
}

var failedSeed = regexp.MustCompile(`seed (\d+) \(`)

// lowestSeed is the first of the seeds that failed; two may at a time.
func lowestSeed(out string) string {
	var seeds []int
	for _, m := range failedSeed.FindAllStringSubmatch(out, -1) {
		seed, _ := strconv.Atoi(m[1])
		seeds = append(seeds, seed)
	}
	if len(seeds) == 0 {
		return "-"
	}
	return strconv.Itoa(slices.Min(seeds))
}

// firstLine is what a failed test said first.
func firstLine(out string) string {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--- FAIL") {
			return line
		}
	}
	return ""
}
