package bus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestREADMEProgram runs the README's program as it is printed there, and compares what it prints.
func TestREADMEProgram(t *testing.T) {
	m := regexp.MustCompile("(?s)```go\n(package main\n.*?)```.*?```text\n(.*?)```").FindStringSubmatch(readme(t))
	if m == nil {
		t.Fatal("README.md has no program, or not what it prints")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if fixed, err := exec.CommandContext(t.Context(), "gofmt", "-l", file).CombinedOutput(); err != nil || len(fixed) > 0 {
		t.Errorf("the program is not formatted by gofmt: %v %s", err, fixed)
	}
	run := exec.CommandContext(t.Context(), "go", "run", file)
	run.Dir = moduleRoot
	if out, err := run.CombinedOutput(); err != nil || string(out) != m[2] {
		t.Fatalf("the program ended with %v and printed\n%s\nREADME.md says\n%s", err, out, m[2])
	}
}

// TestREADMEOptions: the README's table of options has every field of Config, in order.
func TestREADMEOptions(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "\n## Options\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, row[1])
	}
	var fields []string
	for field := range reflect.TypeFor[bus.Config]().Fields() {
		fields = append(fields, field.Name)
	}
	if !reflect.DeepEqual(listed, fields) {
		t.Errorf("README.md lists the options\n\t%q\nConfig has\n\t%q", listed, fields)
	}
}

// TestREADMELinks: what the README points to in the repository is there.
func TestREADMELinks(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(readme(t), -1) {
		if _, err := os.Stat(filepath.Join(moduleRoot, link[1])); err != nil {
			t.Error(err)
		}
	}
}
