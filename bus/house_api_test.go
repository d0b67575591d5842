package bus_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// compiled are the types of the module's packages, by their paths in it, from the compiler's export data.
var compiled = sync.OnceValues(func() (map[string]*types.Package, error) {
	list := exec.Command("go", "list", "-e", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "./...")
	list.Dir = moduleRoot
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", list, err, &stderr)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		files[name] = file
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(name string) (io.ReadCloser, error) { return os.Open(files[name]) })
	packages := make(map[string]*types.Package)
	for name := range files {
		short, ours := strings.CutPrefix(name, modulePath+"/")
		if !ours || isProgram(short) {
			continue
		}
		if packages[short], err = from.Import(name); err != nil {
			return nil, err
		}
	}
	return packages, nil
})

func compiledPackages(t *testing.T) map[string]*types.Package {
	t.Helper()
	packages, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// TestAPI makes every change of the public API a decision.
func TestAPI(t *testing.T) {
	var lines []string
	for name, pkg := range compiledPackages(t) {
		if !within(name, "bus/internal") {
			lines = append(lines, apiOf(name, pkg)...)
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	golden := filepath.Join("testdata", "api.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, line := range lines {
		if !slices.Contains(want, line) {
			t.Errorf("new:  %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("gone: %s", line)
		}
	}
	switch {
	case t.Failed():
		t.Log("The public API is not that of bus/testdata/api.txt. If it is meant to change: go test ./bus -run TestAPI -update")
	case got != string(text):
		t.Error("bus/testdata/api.txt is not sorted: go test ./bus -run TestAPI -update")
	}
}

// apiOf has a line for each exported name, field and method of a package.
func apiOf(name string, pkg *types.Package) []string {
	var lines []string
	qualify := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return p.Name()
	}
	add := func(format string, args ...any) {
		lines = append(lines, name+": "+fmt.Sprintf(format, args...))
	}
	for _, id := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(id)
		if !object.Exported() {
			continue
		}
		typ, ok := object.(*types.TypeName)
		if !ok {
			text := types.ObjectString(object, qualify)
			if c, ok := object.(*types.Const); ok {
				text = fmt.Sprintf("const %s %s = %s", id, types.TypeString(c.Type(), qualify), c.Val())
			}
			add("%s", text)
			continue
		}
		head := types.TypeString(typ.Type(), qualify) // with type parameters
		switch under := typ.Type().Underlying().(type) {
		case *types.Struct:
			add("type %s struct", head)
			for field := range under.Fields() {
				if field.Exported() {
					add("type %s struct, %s %s", id, field.Name(), types.TypeString(field.Type(), qualify))
				}
			}
		case *types.Interface:
			add("type %s interface", head)
			for method := range under.Methods() {
				add("type %s interface, %s%s", id, method.Name(), strings.TrimPrefix(types.TypeString(method.Type(), qualify), "func"))
			}
		default:
			add("type %s %s", head, types.TypeString(under, qualify))
		}
		if named, ok := typ.Type().(*types.Named); ok && !typ.IsAlias() {
			for method := range named.Methods() {
				if method.Exported() {
					add("%s", types.ObjectString(method, qualify))
				}
			}
		}
	}
	return lines
}

// TestProtocolNumbers: what bus converts to and from the state machine's types has the same numbers there.
func TestProtocolNumbers(t *testing.T) {
	packages := compiledPackages(t)
	for _, kind := range []struct{ ours, theirs, ourPrefix, theirPrefix string }{
		{"CloseCode", "Code", "Close", "Code"},
		{"Reason", "Reason", "Reason", "Reason"},
		{"Overflow", "Overflow", "", ""},
	} {
		ours := constants(packages["bus"], kind.ours, kind.ourPrefix)
		theirs := constants(packages["bus/internal/protocol"], kind.theirs, kind.theirPrefix)
		if len(theirs) == 0 {
			t.Errorf("protocol.%s has no constants", kind.theirs)
		}
		for name, value := range theirs {
			if got, ok := ours[name]; !ok || got != value {
				t.Errorf("protocol.%s%s is %d, bus.%s%s %d (there: %t)", kind.theirPrefix, name, value, kind.ourPrefix, name, got, ok)
			}
		}
		for name := range ours {
			// A transport says Untrusted, never the state machine.
			if _, ok := theirs[name]; !ok && name != "Untrusted" {
				t.Errorf("bus.%s%s is not in protocol", kind.ourPrefix, name)
			}
		}
	}
}

// constants are the values of a type's constants, by their names without the prefix.
func constants(pkg *types.Package, typ, prefix string) map[string]int64 {
	values := make(map[string]int64)
	for _, id := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(id).(*types.Const)
		if !ok {
			continue
		}
		if named, ok := c.Type().(*types.Named); ok && named.Obj().Pkg() == pkg && named.Obj().Name() == typ {
			values[strings.TrimPrefix(id, prefix)], _ = constant.Int64Val(c.Val())
		}
	}
	return values
}

// TestCloseCodeTable compares PROTOCOL.md §13 with the codes.
func TestCloseCodeTable(t *testing.T) {
	text, err := os.Open("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	section, row := regexp.MustCompile(`^#+ *(\d+)[. ]`), regexp.MustCompile(`^\| *(\d+) *\| *([^|]*?) *\| *([^|]*?) *\|$`)
	in := false
	rows := make(map[bus.CloseCode]string)
	for lines := bufio.NewScanner(text); lines.Scan(); {
		if m := section.FindStringSubmatch(lines.Text()); m != nil {
			in = m[1] == "13"
		}
		if m := row.FindStringSubmatch(lines.Text()); in && m != nil {
			code, _ := strconv.Atoi(m[1])
			rows[bus.CloseCode(code)] = m[2] + " | " + m[3]
		}
	}
	codes := constants(compiledPackages(t)["bus"], "CloseCode", "Close")
	for name, value := range codes {
		code := bus.CloseCode(value)
		if want := code.String() + " | " + code.Advice(); rows[code] != want {
			t.Errorf("Close%s: PROTOCOL.md §13 has\n\t%s\nthe code\n\t| %d | %s |", name, rows[code], code, want)
		}
	}
	if len(rows) != len(codes) {
		t.Errorf("PROTOCOL.md §13 has %d rows, there are %d codes", len(rows), len(codes))
	}
}
