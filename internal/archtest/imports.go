package archtest

import (
	"regexp"
	"slices"
	"strings"
)

// importRules are the rules about who may import whom.
var importRules = []Rule{
	{"packages are in the table", checkKnown},
	{"arrows only as in the table", checkArrows},
	{"modules of others only where allowed", checkThirdParty},
	{"light packages stay light", checkHeavy},
	{"an importer fetches x/sys alone", checkFetched},
	{"unsafe only in internal/sys and internal/proctest", checkUnsafe},
	{"the library does not import the command", checkCommand},
	{"go.mod has no replace", checkReplace},
}

func checkKnown(t *Tree, report Report) {
	for _, dir := range t.dirs() {
		if _, ok := lookup(dir); !ok {
			report(dir, "package is not in the table of internal/archtest: add it with its "+
				"sentence and its imports")
		}
	}
}

func checkArrows(t *Tree, report Report) {
	t.files(func(p *Package, f *File) {
		if strings.HasSuffix(f.Path, "_test.go") {
			return // the compiler forbids cycles, and a test is nobody's dependency
		}
		e, _ := lookup(p.Dir)
		for _, imp := range f.Imports {
			if dir, ok := own(imp); ok && !within(dir, strings.Fields(e.imports)) {
				report(f.Path, "%s may not import %s", p.Dir, dir)
			}
		}
	})
}

func checkThirdParty(t *Tree, report Report) {
	t.files(func(p *Package, f *File) {
		for _, imp := range f.Imports {
			if _, mine := own(imp); mine || std(imp) {
				continue
			}
			allowed := false
			for _, m := range thirdParty {
				if imp == m.module || strings.HasPrefix(imp, m.module+"/") {
					isTest := strings.HasSuffix(f.Path, "_test.go")
					allowed = within(p.Dir, m.use) || isTest && within(p.Dir, m.tests)
				}
			}
			if !allowed {
				report(f.Path, "%s may not import %s", p.Dir, imp)
			}
		}
	})
}

// checkHeavy follows imports through this module, over the files of every
// operating system at once; what the standard library itself imports is
// followed by the go command in the tests.
func checkHeavy(t *Tree, report Report) {
	for dir, forbidden := range heavy {
		t.reach(dir, func(f *File, imp string) {
			if slices.Contains(forbidden, imp) {
				report(f.Path, "imports %s, which %s must not pull in", imp, dir)
			}
		})
	}
}

// checkFetched wants nothing but golang.org/x/sys of the library's module, its tests included: what
// they import is in its go.mod, and every requirement there is one of each importer's, raised to
// our version even if no package of it is used.
func checkFetched(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		for _, imp := range f.Imports {
			_, mine := own(imp)
			if !mine && !std(imp) && !strings.HasPrefix(imp, "golang.org/x/sys/") &&
				!inCommand(f.Path) {
				report(f.Path, "imports %s, which importers of the library would have to fetch",
					imp)
			}
		}
	})
	for _, m := range requireLine.FindAllSubmatch(t.Mods["go.mod"], -1) {
		if string(m[1]) != "golang.org/x/sys" {
			report("go.mod", "requires %s, which importers of the library would have to fetch",
				m[1])
		}
	}
}

// requireLine finds what a go.mod requires: a path and a version.
var requireLine = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(\S+\.\S+) v\d`)

// reach visits every import of the program files of a package, and of what it
// reaches inside this module.
func (t *Tree) reach(dir string, visit func(f *File, imp string)) {
	seen := map[string]bool{}
	var walk func(dir string)
	walk = func(dir string) {
		p := t.Packages[dir]
		if p == nil || seen[dir] {
			return
		}
		seen[dir] = true
		for _, f := range p.Files {
			if strings.HasSuffix(f.Path, "_test.go") {
				continue
			}
			for _, imp := range f.Imports {
				visit(f, imp)
				if d, ok := own(imp); ok {
					walk(d)
				}
			}
		}
	}
	walk(dir)
}

func checkUnsafe(t *Tree, report Report) {
	t.files(func(p *Package, f *File) {
		for _, imp := range f.Imports {
			if imp == "unsafe" && p.Dir != "internal/sys" && p.Dir != "internal/proctest" {
				report(f.Path, "imports unsafe outside internal/sys and internal/proctest")
			}
		}
	})
}

// checkCommand keeps the library's module, with its tests, examples and measurements, from needing
// the other one, which requires it.
func checkCommand(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		for _, imp := range f.Imports {
			if dir, ok := own(imp); ok && inCommand(dir) && !inCommand(f.Path) {
				report(f.Path, "imports %s, which is not of the library's module", dir)
			}
		}
	})
}

var replaceLine = regexp.MustCompile(`(?m)^\s*replace\b`)

// checkReplace keeps "go install …@latest" working, which refuses a module
// that needs its replace directives.
func checkReplace(t *Tree, report Report) {
	for name, mod := range t.Mods {
		if replaceLine.Match(mod) {
			report(name, "has a replace directive: go.work is the place for it")
		}
	}
}
