package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read is a file of testdata.
func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// documentOf is a file of results in testdata.
func documentOf(t *testing.T, name string) document {
	t.Helper()
	d, err := parse(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// equalsGolden compares with a file of testdata, or makes it.
func equalsGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := read(t, name)
	if bytes.Equal(got, want) {
		return
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(string(got), "\n") {
		if i >= len(lines) || line != lines[i] {
			t.Fatalf("testdata/%s, line %d: got %q; if that is right: go test ./bench/report -update", name, i+1, line)
		}
	}
	t.Fatalf("testdata/%s has more lines", name)
}

func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "report")
	var out bytes.Buffer
	if err := run([]string{"--out", dir, "testdata/speed.json", "testdata/behaviour.json"}, &out); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, index))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(files) != bytes.Count(page, []byte("<svg")) {
		t.Errorf("%d figures as files, %d on the page; %v", len(files), bytes.Count(page, []byte("<svg")), err)
	}
	if !strings.Contains(out.String(), filepath.Join(dir, index)) {
		t.Errorf("said %q", out.String())
	}
}

func TestRunSaysWhichFile(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"schema": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{bad, bad + ".missing"} {
		if err := run([]string{"--out", t.TempDir(), name}, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
