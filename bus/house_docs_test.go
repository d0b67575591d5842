package bus_test

import (
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestHouseDocs(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		start := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			start = "Command " + path.Base(s.pkg) + " "
		}
		doc := path.Base(s.path) == "doc.go"
		documented[s.pkg] = documented[s.pkg] || doc
		switch {
		case doc && !strings.HasPrefix(s.file.Doc.Text(), start):
			t.Errorf("%s: the package comment has to begin with %q", s.path, start)
		case !doc && s.file.Doc != nil:
			t.Errorf("%s: the package comment belongs in doc.go", s.path)
		}
		if s.file.Name.Name != "main" {
			s.checkDocs(t)
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s: has no doc.go", pkg)
		}
	}
}

// checkDocs looks for the comments of exported names.
func (s houseFile) checkDocs(t *testing.T) {
	t.Helper()
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			isError := d.Recv != nil && d.Name.Name == "Error" && d.Type.Params.NumFields() == 0
			if d.Name.IsExported() && exportedReceiver(d) && !isError {
				s.checkDoc(t, d, d.Name.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						s.checkDoc(t, spec, spec.Name.Name, either(spec.Doc, d.Doc, d.Lparen))
					}
				case *ast.ValueSpec:
					s.checkValueDoc(t, d, spec)
				}
			}
		}
	}
}

// checkValueDoc: a constant or variable of its own has a comment that begins with its name; in a
// group, the group has a comment or the value has one.
func (s houseFile) checkValueDoc(t *testing.T, d *ast.GenDecl, spec *ast.ValueSpec) {
	t.Helper()
	for _, name := range spec.Names {
		switch {
		case !name.IsExported():
		case !d.Lparen.IsValid():
			s.checkDoc(t, spec, name.Name, either(spec.Doc, d.Doc, d.Lparen))
		case spec.Doc != nil:
			s.checkDoc(t, spec, name.Name, spec.Doc)
		case d.Doc == nil && spec.Comment == nil:
			t.Errorf("%s: %s has no comment, and its group has none", s.at(spec), name.Name)
		}
	}
}

// either is the comment of a spec, which stands before the keyword where there are no parentheses.
func either(spec, decl *ast.CommentGroup, paren token.Pos) *ast.CommentGroup {
	if spec == nil && !paren.IsValid() {
		return decl
	}
	return spec
}

func (s houseFile) checkDoc(t *testing.T, n ast.Node, name string, doc *ast.CommentGroup) {
	t.Helper()
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	if first, _, _ := strings.Cut(strings.ReplaceAll(text, "\n", " "), " "); strings.TrimRight(first, ",.:;'s") != strings.TrimRight(name, "s") {
		t.Errorf("%s: the comment of %s has to begin with its name", s.at(n), name)
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return false
		}
	}
}

// noLeaks are the packages whose tests need not look for goroutines left behind.
var noLeaks = map[string]string{
	"bus/internal/protocol": "may start none, which TestHouseProtocolIsSansIO holds",
}

func TestHouseLeaksAreLookedFor(t *testing.T) {
	code, tests, looks := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, s := range sources(t) {
		if !s.test {
			code[s.pkg] = true
			continue
		}
		tests[s.pkg] = true
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != "TestMain" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok && strings.HasPrefix(s.called(e), "go.uber.org/goleak.") {
					looks[s.pkg] = true
				}
				return true
			})
		}
	}
	for pkg := range tests {
		if code[pkg] && !looks[pkg] && noLeaks[pkg] == "" {
			t.Errorf("%s: its tests have no TestMain with goleak", pkg)
		}
	}
	for pkg := range noLeaks {
		if !tests[pkg] || looks[pkg] {
			t.Errorf("%s: needs no exception", pkg)
		}
	}
}

// TestHouseTexts reads every text of the repository: it has to make sense on any machine, and be finished.
func TestHouseTexts(t *testing.T) {
	// The patterns are written so that they do not match themselves.
	rules := []struct {
		pattern *regexp.Regexp
		why     string
	}{
		{regexp.MustCompile(`(^|[\s"'(=` + "`" + `])/(work|tmp|home|root|Users)/[\w.]`), "a path of one machine"},
		{regexp.MustCompile(`[/.@](proxy|sum|index)[.]golang[.]org|registry[.]npmjs|npmjs[.](com|org)|pypi[.]org|files[.]pythonhosted|[/.]crates[.]io`), "the host of a package registry"},
		{regexp.MustCompile(`\b(TO[D]O|FIX[M]E|XX[X])\b`), "an unfinished mark"},
	}
	files, err := moduleFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.Contains(name, "testdata/fuzz/") || path.Ext(name) == ".out" || path.Ext(name) == ".prof" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(moduleRoot, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, rule := range rules {
				if found := rule.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %s: %q", name, i+1, rule.why, found)
				}
			}
		}
	}
}
