package bus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The house rules of the whole module, held by ordinary tests: what may import what, what may not
// be called, and how large things may grow. They read the source; nothing is compiled.

const (
	modulePath = "github.com/verbose-bus/verbose"
	moduleRoot = ".." // of this package's directory, where tests run

	maxFileLines = 700
	maxFuncLines = 100 // not in tests
)

// houseFile is one Go file of the module, of any operating system.
type houseFile struct {
	path  string // from the module's root, with slashes
	pkg   string // the directory, "." for the root
	test  bool
	lines int
	file  *ast.File
	names map[string]string // the packages it imports, by the name they have in it
}

var fileSet = token.NewFileSet()

// moduleFiles lists the files of the module by their paths from its root.
var moduleFiles = sync.OnceValues(func() ([]string, error) {
	var files []string
	root := os.DirFS(moduleRoot)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := name != "." && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".github" && entry.Name() != ".ci"
		switch {
		case entry.IsDir() && (hidden || name == ".ci/cache" || name == "bench/results"): // not in the repository
			return fs.SkipDir
		case entry.Type().IsRegular():
			files = append(files, name)
		}
		return nil
	})
	return files, err
})

var moduleSources = sync.OnceValues(func() ([]houseFile, error) {
	files, err := moduleFiles()
	if err != nil {
		return nil, err
	}
	var sources []houseFile
	for _, name := range files {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		file, err := parser.ParseFile(fileSet, filepath.Join(moduleRoot, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		sources = append(sources, houseFile{
			path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: file,
			lines: fileSet.File(file.FileStart).LineCount() - 1, // the last is empty
			names: importNames(file),
		})
	}
	return sources, nil
})

func sources(t *testing.T) []houseFile {
	t.Helper()
	all, err := moduleSources()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func importNames(file *ast.File) map[string]string {
	names := make(map[string]string)
	for _, spec := range file.Imports {
		full, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(full)
		if majorVersion.MatchString(name) {
			name = path.Base(path.Dir(full))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = full
	}
	return names
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// at is the place of a node, for messages.
func (s houseFile) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(fileSet.Position(n.Pos()).Line)
}

// called is what an expression such as time.Now names, as "time.Now" with the full import path.
func (s houseFile) called(e ast.Expr) string {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	base, ok := selector.X.(*ast.Ident)
	if !ok || s.names[base.Name] == "" {
		return ""
	}
	return s.names[base.Name] + "." + selector.Sel.Name
}

// within reports whether a package is one of the directories or below them.
func within(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") })
}

// isProgram reports whether a package is a command or a benchmark, where people read the output.
func isProgram(pkg string) bool { return within(pkg, "cmd", "bench") }

func TestHouseImportDirection(t *testing.T) {
	// The first row that has the package counts. Nothing of ours may be imported but what is named.
	rows := []struct {
		pkg, mayImport string
	}{
		{"codec", ""},
		{"certs", ""},
		{"bus/bustest/pair", "bus certs"},
		{"bus/bustest/proxy", ""},
		{"bus/bustest", "bus codec"},
		{"bus/refusal", "bus certs"},
		{"bus/internal/simnet", ""},
		{"bus/internal", "codec bus/internal"},
		{"bus", "codec bus/internal"},
		{"quictransport/gro", ""},
		{"quictransport", "bus certs codec bus/refusal quictransport/gro"},
		{"tcptransport", "bus certs codec bus/refusal"},
		{"bench/stats", ""},
		{"bench/pace", ""},
		{"bench/host", ""},
		{"bench/netem", ""},
		{"bench/losstest", ""},
		{"bench/report", "bench/host bench/stats"},
		{"bench/contender", "bus certs codec quictransport tcptransport bench/host"},
		{"bench/child", "certs codec bench/contender bench/host bench/pace bench/stats"},
		{"bench/wan", "bench/contender bench/suite"},
		{"bench", "*"},
		{"cmd", "*"},
	}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		i := 0
		for i < len(rows) && !within(s.pkg, rows[i].pkg) {
			i++
		}
		if i == len(rows) {
			t.Errorf("%s: the package %s is new: give it a row in this test that says what it may import", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			full, _ := strconv.Unquote(spec.Path.Value)
			ours, ok := strings.CutPrefix(full, modulePath+"/")
			may := strings.Fields(rows[i].mayImport)
			if ok && rows[i].mayImport != "*" && !slices.ContainsFunc(may, func(m string) bool {
				return ours == m || m == "bus/internal" && within(ours, m)
			}) {
				t.Errorf("%s: %s must not import %s (it may import: %q)", s.at(spec), s.pkg, ours, rows[i].mayImport)
			}
		}
	}
}

func TestHouseProtocolIsSansIO(t *testing.T) {
	banned := []string{"net", "os", "sync", "math/rand", "crypto/rand", "runtime", "syscall", "log"}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	for _, s := range sources(t) {
		if s.test || !within(s.pkg, "bus/internal/protocol") {
			continue
		}
		for _, spec := range s.file.Imports {
			if full, _ := strconv.Unquote(spec.Path.Value); within(full, banned...) {
				t.Errorf("%s: the state machine imports %s", s.at(spec), full)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if name, ok := strings.CutPrefix(s.called(n), "time."); ok && slices.Contains(clock, name) {
					t.Errorf("%s: the state machine has a clock of its own: time.%s", s.at(n), name)
				}
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
				t.Errorf("%s: the state machine has goroutines or channels", s.at(n))
			}
			return true
		})
	}
}

// bannedCalls are the names that may not be used, and where.
var bannedCalls = map[string]struct {
	where func(s houseFile) bool
	why   string
}{
	"time.Sleep": {func(s houseFile) bool { return !s.virtual() }, "wait for what is to happen; only a file with testing/synctest may sleep, in virtual time"},
	// Assembled, so that this file does not look unfinished itself.
	"context." + "TO" + "DO": {everywhere, "take the caller's context"},
	"math/rand.Seed":         {everywhere, "make a generator of its own with the seed"},
	"fmt.Print":              {libraries, "libraries do not print"},
	"fmt.Println":            {libraries, "libraries do not print"},
	"fmt.Printf":             {libraries, "libraries do not print"},
}

func everywhere(houseFile) bool  { return true }
func libraries(s houseFile) bool { return !s.test && !isProgram(s.pkg) }

// virtual reports whether a file's tests run in simulated time.
func (s houseFile) virtual() bool { return s.test && s.names["synctest"] == "testing/synctest" }

func TestHouseBannedCalls(t *testing.T) {
	for _, s := range sources(t) {
		if slices.ContainsFunc(s.file.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == `"log"` }) {
			t.Errorf("%s: imports log: use log/slog", s.path)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function: set things up where they are made", s.at(f))
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && !s.test {
					if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "recover" {
						t.Errorf("%s: recovers from a panic", s.at(n))
					}
				}
				if e, ok := n.(ast.Expr); ok {
					if rule, ok := bannedCalls[s.called(e)]; ok && rule.where(s) {
						t.Errorf("%s: %s: %s", s.at(n), s.called(e), rule.why)
					}
				}
				return true
			})
		}
	}
}

func TestHouseNames(t *testing.T) {
	vague := regexp.MustCompile(`(?i)util|common|manager|helper`)
	for _, s := range sources(t) {
		if vague.MatchString(s.path) {
			t.Errorf("%s: name the file after what is in it", s.path)
		}
		if vague.MatchString(s.file.Name.Name) {
			t.Errorf("%s: name the package after what it does", s.path)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && vague.MatchString(spec.Name.Name) {
				t.Errorf("%s: name the type %s after what it is", s.at(spec), spec.Name.Name)
			}
			return true
		})
	}
}

func TestHouseSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxFileLines {
			t.Errorf("%s: %d lines, at most %d fit a reader", s.path, s.lines, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			if lines := fileSet.Position(f.End()).Line - fileSet.Position(f.Pos()).Line + 1; lines > maxFuncLines {
				t.Errorf("%s: %s has %d lines, at most %d fit a screen", s.at(f), f.Name.Name, lines, maxFuncLines)
			}
		}
	}
}
