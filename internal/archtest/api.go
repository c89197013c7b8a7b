package archtest

import (
	"go/ast"
	"strings"
)

// apiRules are the rules about what the public packages show.
var apiRules = []Rule{
	{"no exported identifier mentions an internal type", checkAPI},
}

// checkAPI walks the exported declarations of the public packages. Without
// types it cannot see what an initialiser evaluates to, so a variable that is
// set to something internal must state its own type.
func checkAPI(t *Tree, report Report) {
	for _, dir := range public {
		p := t.Packages[dir]
		if p == nil {
			continue
		}
		w := &apiWalk{
			tree:   t,
			report: report,
			types:  p.types(),
			files:  map[*ast.TypeSpec]*File{},
			seen:   map[string]bool{},
		}
		w.index(p)
		for _, f := range p.Files {
			if !f.Test {
				w.file(f)
			}
		}
	}
}

type apiWalk struct {
	tree    *Tree
	report  Report
	types   map[string]*ast.TypeSpec
	files   map[*ast.TypeSpec]*File
	methods map[string][]function // by receiver type
	seen    map[string]bool       // unexported types already walked
}

// function is a function or method and the file it stands in.
type function struct {
	file *File
	decl *ast.FuncDecl
}

func (w *apiWalk) index(p *Package) {
	w.methods = map[string][]function{}
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, decl := range f.Syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if name := receiver(d); name != "" && d.Name.IsExported() {
					w.methods[name] = append(w.methods[name], function{f, d})
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						w.files[ts] = f
					}
				}
			}
		}
	}
}

func (w *apiWalk) file(f *File) {
	for _, decl := range f.Syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if recv := receiver(d); d.Name.IsExported() && (recv == "" || ast.IsExported(recv)) {
				w.expr(f, d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						w.typeSpec(f, s)
					}
				case *ast.ValueSpec:
					w.value(f, s)
				}
			}
		}
	}
}

func (w *apiWalk) typeSpec(f *File, s *ast.TypeSpec) {
	if s.TypeParams != nil {
		w.fields(f, s.TypeParams, false)
	}
	w.expr(f, s.Type)
}

func (w *apiWalk) value(f *File, s *ast.ValueSpec) {
	exported := false
	for _, name := range s.Names {
		exported = exported || name.IsExported()
	}
	switch {
	case !exported:
	case s.Type != nil:
		w.expr(f, s.Type)
	default:
		for _, v := range s.Values {
			w.expr(f, v)
		}
	}
}

// expr walks a type, or the initialiser of a variable without one.
func (w *apiWalk) expr(f *File, e ast.Node) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if imp := f.Imports[x.Name]; strings.HasPrefix(imp, Module+"/internal/") {
					w.report(w.tree.where(n), "an exported identifier mentions %s.%s",
						x.Name, n.Sel.Name)
				}
			}
			return false
		case *ast.StructType:
			w.fields(f, n.Fields, true)
			return false
		case *ast.FuncLit:
			w.expr(f, n.Type)
			return false
		case *ast.Ident:
			w.unexported(n.Name)
		}
		return true
	})
}

// fields walks a field list; in a struct, the fields others can reach: the
// exported and the embedded ones.
func (w *apiWalk) fields(f *File, list *ast.FieldList, structType bool) {
	for _, field := range list.List {
		visible := len(field.Names) == 0 || !structType
		for _, name := range field.Names {
			visible = visible || name.IsExported()
		}
		if visible {
			w.expr(f, field.Type)
		}
	}
}

// unexported walks an unexported type that an exported declaration shows, with
// its exported methods.
func (w *apiWalk) unexported(name string) {
	ts := w.types[name]
	if ts == nil || ast.IsExported(name) || w.seen[name] {
		return
	}
	w.seen[name] = true
	w.typeSpec(w.files[ts], ts)
	for _, m := range w.methods[name] {
		w.expr(m.file, m.decl.Type)
	}
}

// types returns the types that the program files of a package declare.
func (p *Package) types() map[string]*ast.TypeSpec {
	types := map[string]*ast.TypeSpec{}
	for _, f := range p.Files {
		if f.Test && !testOnly(p.Dir) {
			continue
		}
		for _, decl := range f.Syntax.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						types[ts.Name.Name] = ts
					}
				}
			}
		}
	}
	return types
}

// funcs returns the functions that the program files of a package declare.
func (p *Package) funcs() map[string]function {
	funcs := map[string]function{}
	for _, f := range p.Files {
		for _, decl := range f.Syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && !f.Test {
				funcs[d.Name.Name] = function{f, d}
			}
		}
	}
	return funcs
}

// receiver returns the name of the type a method belongs to, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}
