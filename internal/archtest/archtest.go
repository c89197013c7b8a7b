// Package archtest holds the rules of the source tree as failing tests: who may import whom, and
// what no file may contain.
//
// The rules read the parsed source of every file, whatever its build tags say,
// so a violation in a file for another operating system is found here too.
// Nothing is type-checked: a rule that needs types states in its comment how it
// manages without. Each rule is shown to fail, on a small tree made for it, in
// this package's own tests.
package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of the library, the module in the root of the tree the rules were
// written for. The second module, of the command, is in commandDir and has that path below this.
const Module = "github.com/daemonry/daemonry"

const commandDir = "cmd"

// Tree is a parsed source tree.
type Tree struct {
	Packages map[string]*Package // by directory below the root; "." is the root
	Mods     map[string][]byte   // the go.mod files of the two modules, by path
	Root     []string            // the files of the root directory
	Scripts  map[string][]byte   // shell, C and Python files, by path
	Pages    map[string][]byte   // Markdown, by path
	fset     *token.FileSet
}

// Package is one directory of Go files, its tests among them.
type Package struct {
	Dir   string
	Files []*File
}

// File is one parsed Go file.
type File struct {
	Path   string // below the root, with slashes
	Text   string
	Syntax *ast.File
	Lines  int
	// never part of a program: *_test.go, or a package that is for tests only
	Test bool
	// the name the file knows a package by → import path
	Imports map[string]string
}

// Rule is one thing that must hold for the whole tree.
type Rule struct {
	Name  string
	Check func(t *Tree, report Report)
}

// Report takes one violation and where it is.
type Report func(where, format string, args ...any)

// Load parses the tree below fsys, both modules of it. It leaves out testdata, hidden directories
// and other modules, as the go command does.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{
		Packages: map[string]*Package{},
		Mods:     map[string][]byte{},
		Scripts:  map[string][]byte{},
		Pages:    map[string][]byte{},
		fset:     token.NewFileSet(),
	}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return t.enter(fsys, name)
		}
		if path.Dir(name) == "." {
			t.Root = append(t.Root, name)
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		switch {
		case path.Base(name) == "go.mod":
			t.Mods[name] = data
		case path.Ext(name) == ".md":
			t.Pages[name] = data
		case path.Ext(name) == ".go":
			return t.add(name, data)
		case slices.Contains([]string{".sh", ".c", ".h", ".py", ".s"}, path.Ext(name)) ||
			bytes.HasPrefix(data, []byte("#!")):
			t.Scripts[name] = data
		}
		return nil
	})
	return t, err
}

// enter says whether the walk goes into a directory.
func (t *Tree) enter(fsys fs.FS, dir string) error {
	base := path.Base(dir)
	switch {
	case dir == ".", dir == commandDir, base == ".ci":
		return nil
	case base == "testdata", base == "vendor", strings.HasPrefix(base, "."),
		strings.HasPrefix(base, "_"):
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *Tree) add(name string, data []byte) error {
	syntax, err := parser.ParseFile(t.fset, name, data,
		parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	f := &File{
		Path:    name,
		Text:    string(data),
		Syntax:  syntax,
		Lines:   bytes.Count(data, []byte("\n")),
		Test:    strings.HasSuffix(name, "_test.go") || testOnly(dir),
		Imports: map[string]string{},
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "_" || local == "." {
			local += p // no two the same, and never mistaken for a name in the source
		}
		f.Imports[local] = p
	}
	if t.Packages[dir] == nil {
		t.Packages[dir] = &Package{Dir: dir}
	}
	t.Packages[dir].Files = append(t.Packages[dir].Files, f)
	return nil
}

// files calls visit for every file of the tree, in order of its path.
func (t *Tree) files(visit func(p *Package, f *File)) {
	for _, dir := range t.dirs() {
		for _, f := range t.Packages[dir].Files {
			visit(t.Packages[dir], f)
		}
	}
}

// dirs returns the directories that hold Go files, sorted.
func (t *Tree) dirs() []string {
	var dirs []string
	for dir := range t.Packages {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}

// where names the place of a node.
func (t *Tree) where(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// inCommand says whether a directory or file is of the command's module.
func inCommand(name string) bool { return within(name, []string{commandDir, commandDir + "/"}) }

// own returns the directory an import path of the two modules stands for.
func own(importPath string) (dir string, ok bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

// std says whether an import path belongs to the standard library: its first
// element has no dot, as the go command requires of everything else.
func std(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
