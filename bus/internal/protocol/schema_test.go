package protocol

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Most mistakes are planted in one binary, all together ("mutant schemata": Untch, Offutt and Harrold, 1993). A function that some
// of them change is there once as it is and once for each of them, and begins by looking which of these is to run. Building is what
// planting takes longest, and so it is done once.

// plantedVariable is the environment variable that says which mistake is there: its place in the list, from 1 on.
const plantedVariable = "VERBOSE_PLANTED"

// plantedFile is what is added to the package.
const plantedFile = `package protocol

import (
	"os"
	"strconv"
)

var planted, _ = strconv.Atoi(os.Getenv("` + plantedVariable + `"))
`

// source is a file of the package as it is written, by its functions.
type source struct {
	text      string
	functions map[string]function
	rest      string // what is in none of them
}

type function struct {
	decl *ast.FuncDecl
	text string // without its comment
	at   int    // where in the file that begins
}

func parseSource(text string) (*source, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", text, 0)
	if err != nil {
		return nil, err
	}
	s := &source{text: text, functions: make(map[string]function)}
	offset := func(p token.Pos) int { return files.Position(p).Offset }
	end := 0
	for _, d := range file.Decls {
		decl, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		at := offset(decl.Pos())
		s.rest += text[end:at]
		end = offset(decl.End())
		f := function{decl, text[at:end], at}
		s.functions[f.head()] = f
	}
	s.rest += text[end:]
	return s, nil
}

// position is where in the function's text something is.
func (f function) position(p token.Pos) int { return int(p - f.decl.Pos()) }

// head is all of it before its body.
func (f function) head() string { return f.text[:f.position(f.decl.Body.Lbrace)] }

// named is the function under a name with more at the end.
func (f function) named(more string) string {
	end := f.position(f.decl.Name.End())
	return f.text[:end] + more + f.text[end:]
}

// call is a statement that has another with the same parameters do it all. It says no if a parameter has no name.
func (f function) call(more string) (text string, ok bool) {
	var args []string
	for _, field := range f.decl.Type.Params.List {
		if len(field.Names) == 0 {
			return "", false
		}
		for _, name := range field.Names {
			arg := name.Name
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	text = f.decl.Name.Name + more + "(" + strings.Join(args, ", ") + ")"
	if f.decl.Recv != nil {
		if len(f.decl.Recv.List[0].Names) == 0 {
			return "", false
		}
		text = f.decl.Recv.List[0].Names[0].Name + "." + text
	}
	if f.decl.Type.Results == nil {
		return text + "; return", !slices.Contains(args, "_")
	}
	return "return " + text, !slices.Contains(args, "_")
}

// schema is a file with mistakes planted side by side.
type schema struct {
	source
	cases  map[string][]string // of a function's choice, by its head
	copies []string
}

func newSchema(text string) (*schema, error) {
	s, err := parseSource(text)
	if err != nil {
		return nil, err
	}
	return &schema{source: *s, cases: make(map[string][]string)}, nil
}

// plant adds mistake n, if it is one in bodies of functions alone.
func (s *schema) plant(n int, mistaken string) (ok bool, err error) {
	other, err := parseSource(mistaken)
	if err != nil || other.rest != s.rest || len(other.functions) != len(s.functions) {
		return false, err
	}
	more := fmt.Sprintf("__%d", n)
	calls := make(map[string]string)
	var copies []string
	for head, f := range other.functions {
		was, ok := s.functions[head]
		if !ok {
			return false, nil
		}
		if f.text == was.text {
			continue
		}
		call, ok := was.call(more)
		if !ok {
			return false, nil
		}
		calls[head] = fmt.Sprintf("case %d: %s", n, call)
		copies = append(copies, f.named(more))
	}
	for head, call := range calls {
		s.cases[head] = append(s.cases[head], call)
	}
	s.copies = append(s.copies, copies...)
	return len(calls) > 0, nil
}

// String is the file.
func (s *schema) String() string {
	text := s.text
	last := func(a, b string) int { return s.functions[b].at - s.functions[a].at }
	for _, head := range slices.SortedFunc(maps.Keys(s.cases), last) { // so that places before stay where they are
		f := s.functions[head]
		at := f.at + f.position(f.decl.Body.Lbrace) + 1
		text = text[:at] + "\nswitch planted {\n" + strings.Join(s.cases[head], "\n") + "\n}\n" + text[at:]
	}
	return text + "\n" + strings.Join(s.copies, "\n\n") + "\n"
}

// TestSchema holds which mistakes stand side by side in a file, and that each of them is chosen where it is.
func TestSchema(t *testing.T) {
	const text = `package p

const most = 1

// f has a comment.
func f(a int, b ...string) int { return a }

type x struct{}

func (y *x) g() {
	f(1)
}

func h(_ int) { f(2) }
`
	s, err := newSchema(text)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		old, new string
		ok       bool
	}{
		{"{ return a }", "{ return a + most }", true},
		{"\tf(1)", "\tf(1)\n\tf(1)", true},
		{"{ return a }", "{ return len(b) }", true},
		{"f(2)", "f(3)", false},          // its parameter has no name
		{"most = 1", "most = 2", false},  // no function
		{"a int, b", "a uint, b", false}, // another function
		{"func (y *x) g() {", "func (y *x) G() {", false},
	} {
		mistaken := strings.Replace(text, c.old, c.new, 1)
		if ok, err := s.plant(i+1, mistaken); ok != c.ok || err != nil {
			t.Errorf("%q: %v, %v", c.new, ok, err)
		}
	}
	want := strings.Replace(text, "int { return a }", "int {\nswitch planted {\ncase 1: return f__1(a, b...)\ncase 3: return f__3(a, b...)\n}\n return a }", 1)
	want = strings.Replace(want, "g() {\n", "g() {\nswitch planted {\ncase 2: y.g__2(); return\n}\n\n", 1)
	want += `
func f__1(a int, b ...string) int { return a + most }

func (y *x) g__2() {
	f(1)
	f(1)
}

func f__3(a int, b ...string) int { return len(b) }
`
	if got := s.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
