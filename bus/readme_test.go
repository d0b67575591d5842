package bus_test

import (
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	if formatted, err := format.Source([]byte(m[1])); err != nil || string(formatted) != m[1] {
		t.Errorf("the program is not formatted by gofmt: %v", err)
	}
	run := exec.CommandContext(t.Context(), "go", "run", file)
	run.Dir = moduleRoot
	if out, err := run.CombinedOutput(); err != nil || string(out) != m[2] {
		t.Fatalf("the program ended with %v and printed\n%s\nREADME.md says\n%s", err, out, m[2])
	}
}

// TestREADMEOptions: the README's table of options has every field of Config, in order, with the
// default that its comment names.
func TestREADMEOptions(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "\n## Options\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|[^|]*\\| ([^|]*) \\|").FindAllStringSubmatch(section, -1)
	fields := configFields(t)
	for i, field := range fields {
		if i >= len(rows) || rows[i][1] != field.Names[0].Name {
			t.Fatalf("README.md: row %d of the options has to be %s", i+1, field.Names[0].Name)
		}
		comment := strings.Join(strings.Fields(field.Doc.Text()), " ")
		_, documented, ok := strings.Cut(comment, "Default")
		if documented = strings.TrimLeft(documented, ": "); ok && !strings.HasPrefix(documented, rows[i][2]) {
			t.Errorf("README.md: the default of %s is %q, its comment says %q", rows[i][1], rows[i][2], documented)
		}
	}
	if len(rows) != len(fields) {
		t.Errorf("README.md has %d options, Config %d", len(rows), len(fields))
	}
}

// configFields are the fields of bus.Config as they are written.
func configFields(t *testing.T) []*ast.Field {
	t.Helper()
	for _, s := range sources(t) {
		if s.path != "bus/config.go" {
			continue
		}
		for _, decl := range s.file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.TYPE {
				if spec := d.Specs[0].(*ast.TypeSpec); spec.Name.Name == "Config" {
					return spec.Type.(*ast.StructType).Fields.List
				}
			}
		}
	}
	t.Fatal("there is no Config in bus/config.go")
	return nil
}

// TestREADMELinks: what the README points to in the repository is there.
func TestREADMELinks(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(readme(t), -1) {
		if _, err := os.Stat(filepath.Join(moduleRoot, link[1])); err != nil {
			t.Error(err)
		}
	}
}
