package native

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// comments are the doc comments of struct fields and types, by "Type.Field" and
// "Type", with keys for Go names.
type comments map[string]string

// readComments reads the sources of packages.
func readComments(t *testing.T, keys map[string]string, dirs ...string) comments {
	t.Helper()
	docs := comments{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no sources in %s: %v", dir, err)
		}
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.TypeSpec:
					docs.addStruct(n, keys)
				case *ast.ValueSpec:
					docs.addConstant(n)
				}
				return true
			})
		}
	}
	return docs
}

// addConstant takes in what is said of a constant, as "Type.value".
func (c comments) addConstant(v *ast.ValueSpec) {
	typ, ok := v.Type.(*ast.Ident)
	if !ok || len(v.Values) != 1 {
		return
	}
	if value, ok := v.Values[0].(*ast.BasicLit); ok {
		c[typ.Name+"."+strings.Trim(value.Value, `"`)] = strings.TrimSpace(v.Comment.Text())
	}
}

func (c comments) addStruct(typ *ast.TypeSpec, keys map[string]string) {
	s, ok := typ.Type.(*ast.StructType)
	if !ok {
		return
	}
	doc := ""
	for _, f := range s.Fields.List {
		// A field without a comment shares that of the one before it.
		if f.Doc != nil {
			doc = f.Doc.Text()
		}
		for _, name := range f.Names {
			c[typ.Name.Name+"."+name.Name] = forPeople(doc, keys)
		}
	}
}

var (
	seeAlso = regexp.MustCompile(` \(see \[[^\]]*\]\)`)
	docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)
	goName  = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)
	dotPair = regexp.MustCompile(`; see ([A-Z]\w+)\.`)
)

// forPeople turns the comment of a Go field into a sentence about a key.
func forPeople(doc string, keys map[string]string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	doc = docLink.ReplaceAllString(seeAlso.ReplaceAllString(doc, ""), "$1")
	doc = dotPair.ReplaceAllString(doc, ".")
	return goName.ReplaceAllStringFunc(doc, func(name string) string {
		if key, ok := keys[name]; ok {
			return key
		}
		return name
	})
}
