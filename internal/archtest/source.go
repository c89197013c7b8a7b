package archtest

import (
	"go/ast"
	"go/doc"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sourceRules are the rules about what a file may contain.
var sourceRules = []Rule{
	{"one doc comment, with the sentence of the table", checkDoc},
	{"no linkname", checkLinkname},
	{"a process ends in few places", checkExit},
	{"no work at import", checkImportTime},
	{"program files do not sleep", checkSleep},
	{"files are short", checkLength},
	{"nothing is left to do", checkMarks},
	{"one word for one thing", checkWords},
	{"a skipped test says why", checkSkip},
	{"the root directory has no stray files", checkRoot},
}

func checkDoc(t *Tree, report Report) {
	for _, dir := range t.dirs() {
		var docs []*ast.CommentGroup
		name, program := "", false
		for _, f := range t.Packages[dir].Files {
			if strings.HasSuffix(f.Path, "_test.go") {
				continue
			}
			name, program = f.Syntax.Name.Name, true
			if f.Syntax.Doc != nil && f.Syntax.Doc.Text() != "" {
				docs = append(docs, f.Syntax.Doc)
			}
		}
		if !program {
			continue
		}
		if len(docs) != 1 {
			report(dir, "has %d package comments, want one", len(docs))
			continue
		}
		checkSentence(dir, name, docs[0].Text(), func(format string, args ...any) {
			report(t.where(docs[0]), format, args...)
		})
	}
}

func checkSentence(dir, name, text string, report func(format string, args ...any)) {
	sentence := new(doc.Package).Synopsis(text)
	prefix := "Package " + name + " "
	if name == "main" {
		prefix = "Command " + dir[strings.LastIndex(dir, "/")+1:] + " "
	}
	e, _ := lookup(dir)
	switch {
	case !strings.HasPrefix(sentence, prefix):
		report("doc comment starts %q, want %q", sentence, prefix+"…")
	case !strings.HasSuffix(sentence, "."):
		report("first sentence of the doc comment does not end with a full stop: %q", sentence)
	case e.says == "" && !isPattern(dir):
		report("record the first sentence in the table: %q", sentence)
	case e.says != "" && sentence != e.says:
		report("first sentence is %q, the table says %q", sentence, e.says)
	}
}

// isPattern says whether a package is known only as one of many alike.
func isPattern(dir string) bool {
	_, exact := table[dir]
	return !exact
}

func checkLinkname(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		for _, group := range f.Syntax.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					report(t.where(c),
						"uses go:linkname, which binds to what the Go release may change")
				}
			}
		}
	})
}

// checkExit looks for the functions that end a process without running the
// deferred calls of its callers.
func checkExit(t *Tree, report Report) {
	ends := []string{
		"os.Exit", "syscall.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "runtime.Goexit",
	}
	t.files(func(p *Package, f *File) {
		if f.Test || within(f.Path, mayExit) {
			return
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if name := f.qualified(n); slices.Contains(ends, name) {
				report(t.where(n), "%s: return an error, the command decides", name)
			}
			return true
		})
	})
}

// checkImportTime forbids init functions, and work and goroutines in the
// initialisers of package-level variables: importing a package does nothing.
func checkImportTime(t *Tree, report Report) {
	for _, dir := range t.dirs() {
		p := t.Packages[dir]
		if slices.Contains(mayInit, dir) {
			continue
		}
		w := &importWalk{
			types: p.types(),
			funcs: p.funcs(),
			seen:  map[*ast.FuncDecl]bool{},
			work: func(n ast.Node) {
				report(t.where(n),
					"work at import: neither a conversion nor a pure function of the table")
			},
		}
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			for _, decl := range f.Syntax.Decls {
				if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
					report(t.where(d), "func init outside %v", mayInit)
				}
				if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
					w.walk(f, d)
				}
			}
		}
	}
}

// importWalk finds what the initialisers of a package do beyond computing values.
type importWalk struct {
	types map[string]*ast.TypeSpec
	funcs map[string]function
	seen  map[*ast.FuncDecl]bool
	work  func(ast.Node)
}

// walk visits a node that is executed at import. The body of a function
// literal comes later, unless the literal is called where it stands; the body
// of a function of this package is executed as well.
func (w *importWalk) walk(f *File, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			w.work(n)
			return false
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			w.call(f, n)
		}
		return true
	})
}

func (w *importWalk) call(f *File, call *ast.CallExpr) {
	fun := ast.Unparen(call.Fun)
	switch index := fun.(type) {
	case *ast.IndexExpr:
		fun = index.X
	case *ast.IndexListExpr:
		fun = index.X
	}
	switch fun := fun.(type) {
	case *ast.FuncLit:
		w.walk(f, fun.Body)
		return
	case *ast.Ident:
		own, mine := w.funcs[fun.Name]
		if mine && own.decl.Body != nil {
			if !w.seen[own.decl] {
				w.seen[own.decl] = true
				w.walk(own.file, own.decl.Body)
			}
			return
		}
		if w.types[fun.Name] != nil || slices.Contains(builtins, fun.Name) {
			return
		}
	case *ast.SelectorExpr:
		if slices.Contains(pure, f.qualified(fun)) {
			return
		}
	case *ast.ArrayType, *ast.MapType, *ast.FuncType, *ast.InterfaceType, *ast.ChanType,
		*ast.StarExpr:
		return // a conversion
	}
	w.work(call)
}

var builtins = []string{
	"make", "new", "len", "cap", "append", "min", "max", "complex", "real", "imag",
	"bool", "byte", "rune", "string", "int", "int8", "int16", "int32", "int64",
	"uint", "uint8", "uint16", "uint32", "uint64", "uintptr", "float32", "float64", "error", "any",
}

func checkSleep(t *Tree, report Report) {
	t.files(func(p *Package, f *File) {
		if f.Test || within(f.Path, maySleep) {
			return
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if f.qualified(n) == "time.Sleep" {
				report(t.where(n),
					"time.Sleep: wait for the event, or state in the table why there is none")
			}
			return true
		})
	})
}

func checkLength(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		if !strings.HasSuffix(f.Path, "_test.go") && f.Lines > maxLines {
			report(f.Path, "has %d lines, more than %d: it does two jobs", f.Lines, maxLines)
		}
	})
}

// marks matches what authors leave for later; written so as not to match itself.
var marks = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func checkMarks(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		for _, group := range f.Syntax.Comments {
			for _, c := range group.List {
				if m := marks.FindString(c.Text); m != "" {
					report(t.where(c), "%s: do it or open an issue", m)
				}
			}
		}
	})
	for name, data := range t.Scripts {
		if m := marks.Find(data); m != nil {
			report(name, "%s: do it or open an issue", m)
		}
	}
}

// otherWords are words that are not used, with the one that is (CONTRIBUTING, "One word for one
// thing"). Written so as not to match themselves.
var otherWords = map[string]string{
	"he" + "ir": "successor", "el" + "der": "replaced", "k" + "in": "rolling",
	"lega" + "cy": "handover", "lega" + "cies": "handovers",
	"beque" + "ath": "hand over", "beque" + "st": "handover", "co" + "ok": "format",
	"co" + "oked": "formatted",
	"cho" + "re":  "task", "jani" + "tor": "upkeep", "sib" + "ling": "instance",
}

// checkWords looks at comments and at the words that identifiers are made of.
func checkWords(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		look := func(n ast.Node, text string) {
			for _, word := range wordsOf(text) {
				if use := otherWords[strings.TrimSuffix(word, "s")]; use != "" {
					report(t.where(n), "%q: the word is %s", word, use)
				}
			}
		}
		for _, group := range f.Syntax.Comments {
			for _, c := range group.List {
				look(c, c.Text)
			}
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				look(id, id.Name)
			}
			return true
		})
	})
}

// wordsOf splits a text, and identifiers in it, into words in lower case.
func wordsOf(text string) (words []string) {
	for _, part := range strings.FieldsFunc(text,
		func(r rune) bool { return !unicode.IsLetter(r) }) {
		begin := 0
		for i := 1; i < len(part); i++ {
			if part[i-1] >= 'a' && part[i-1] <= 'z' && part[i] >= 'A' && part[i] <= 'Z' {
				words = append(words, strings.ToLower(part[begin:i]))
				begin = i
			}
		}
		words = append(words, strings.ToLower(part[begin:]))
	}
	return words
}

// checkSkip wants a reason from every skipped test: a call of SkipNow, of Skip
// without arguments, or of either with an empty string gives none.
func checkSkip(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		if !f.Test {
			return
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			silent := sel.Sel.Name == "SkipNow" && len(call.Args) == 0
			if sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" {
				silent = len(call.Args) == 0 || emptyString(call.Args[0])
			}
			if silent {
				report(t.where(call), "skips without a reason")
			}
			return true
		})
	})
}

// checkRoot knows every file of the first directory that a visitor sees, but for hidden ones and
// for what .gitignore names.
func checkRoot(t *Tree, report Report) {
	for _, name := range t.Root {
		ignored := name == "daemonry" || strings.HasSuffix(name, ".test") ||
			strings.HasSuffix(name, ".prof")
		if !ignored && !strings.HasSuffix(name, ".go") && name[0] != '.' &&
			!slices.Contains(rootFiles, name) {
			report(name, "does not belong into the root directory")
		}
	}
}

func emptyString(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING && utf8.RuneCountInString(lit.Value) <= len(`""`)
}

// qualified returns "path.Name" when a node is a name of an imported package,
// with the last element of the import path whatever the file calls it.
func (f *File) qualified(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	imp, ok := f.Imports[x.Name]
	if !ok {
		return ""
	}
	return imp[strings.LastIndex(imp, "/")+1:] + "." + sel.Sel.Name
}
