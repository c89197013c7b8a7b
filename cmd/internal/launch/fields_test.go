package launch

import (
	"encoding"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// elsewhere are the fields that spec itself or only other managers (internal/writers) heed, and
// those for people.
const elsewhere = ` Description Labels Sandbox Factor Jitter ErrorFile `

// TestEveryFieldIsHeeded: whoever adds a field to a service has something of ours read it, launch
// or the engine. It sees names alone, and so takes a namesake for the field.
func TestEveryFieldIsHeeded(t *testing.T) {
	const root = "../../.."
	read := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch strings.TrimPrefix(path, root+"/") {
		case "spec", "internal/writers", "cmd/internal/cli", "cmd/internal/writers",
			"cmd/internal/readers":
			return fs.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			inner := f.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			value := reflect.New(inner).Interface()
			_, isText := value.(encoding.TextMarshaler)
			_, isJSON := value.(json.Marshaler)
			switch {
			case strings.Contains(elsewhere, " "+f.Name+" "):
			case inner.Kind() == reflect.Struct && !isText && !isJSON:
				look(inner)
			case !read[f.Name]:
				t.Errorf("%s.%s is heeded by nobody", typ.Name(), f.Name)
			}
		}
	}
	look(reflect.TypeFor[spec.Service]())
}
