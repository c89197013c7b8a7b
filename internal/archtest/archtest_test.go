package archtest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// allRules is every rule, in the order they are reported.
var allRules = slices.Concat(importRules, kernelRules, sourceRules, columnRules, apiRules)

// TestTree holds the whole repository to the rules.
func TestTree(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Packages["cmd/daemonry"] == nil || len(tree.Mods) != 2 {
		t.Fatalf("found %d packages and %d of two go.mod files: not the root of the tree",
			len(tree.Packages), len(tree.Mods))
	}
	for _, rule := range allRules {
		t.Run(rule.Name, func(t *testing.T) {
			rule.Check(tree, func(where, format string, args ...any) {
				t.Errorf(where+": "+format, args...)
			})
		})
	}
}

// TestStandardLibraryIsLight asks the go command what the light packages pull
// in through the standard library, with and without cgo, which differ in net
// and os/user.
func TestStandardLibraryIsLight(t *testing.T) {
	for dir, forbidden := range heavy {
		if files, err := os.ReadDir("../../" + dir); err != nil || !hasGo(files) {
			continue // not written yet; the table rule sees it when it is
		}
		for _, env := range []string{
			"GOOS=linux CGO_ENABLED=1", "GOOS=linux CGO_ENABLED=0", "GOOS=darwin CGO_ENABLED=0",
		} {
			for _, dep := range listDeps(t, "./"+dir, env) {
				if slices.Contains(forbidden, dep) {
					t.Errorf("%s pulls in %s (%s)", dir, dep, env)
				}
			}
		}
	}
}

// TestListDepsSeesTheStandardLibrary shows that the question above can be
// answered with yes.
func TestListDepsSeesTheStandardLibrary(t *testing.T) {
	deps := listDeps(t, "log/syslog", "GOOS=linux CGO_ENABLED=0")
	if !slices.Contains(deps, "net") {
		t.Errorf("log/syslog does not pull in net: %v", deps)
	}
}

func hasGo(files []os.DirEntry) bool {
	return slices.ContainsFunc(files,
		func(d os.DirEntry) bool { return strings.HasSuffix(d.Name(), ".go") })
}

func listDeps(t *testing.T, pkg, env string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", pkg)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), strings.Fields(env)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s (%s): %v\n%s", pkg, env, err, &stderr)
	}
	return strings.Fields(string(out))
}

// good is a tree that breaks no rule; each case below adds or replaces files.
var good = map[string]string{
	"README.md": "# Daemonry\n",
	"go.mod":    "module " + Module + "\n\ngo 1.26.0\n\nrequire golang.org/x/sys v0.1.0\n",
	"cmd/go.mod": "module " + Module +
		"/cmd\n\nrequire (\n\tgithub.com/spf13/cobra v1.0.0\n)\n",
	"internal/sys/a.go": docOf("internal/sys") +
		"package sys\n\nimport _ \"unsafe\"\nimport _ \"golang.org/x/sys/unix\"\n" +
		strings.Repeat("\n", leastLines),
	"notify/a.go": docOf("notify") + "package notify\n\n" +
		"import _ \"" + Module + "/internal/sys\"\n",
	"notify/a_test.go": "package notify\n\nimport _ \"" + Module + "/internal/proctest\"\n",
	"cmd/daemonry/m.go": docOf("cmd/daemonry") +
		"package main\n\nimport \"os\"\n\nfunc main() { os.Exit(0) }\n",
}

// docOf is the doc comment that a package must have, in two lines.
func docOf(dir string) string {
	says := table[dir].says
	middle := len(says)/2 + strings.Index(says[len(says)/2:], " ")
	return "// " + says[:middle] + "\n//" + says[middle:] + "\n"
}

// notify is a file of package notify with the doc comment it must have.
func notify(body string) string {
	return docOf("notify") + "package notify\n\n" + body
}

// broken lists, for each rule, changes to the good tree that it must object to.
var broken = map[string][]map[string]string{
	"packages are in the table": {
		{"surprise/a.go": "package surprise\n"},
		{"internal/surprise/a_test.go": "package surprise\n"},
	},
	"arrows only as in the table": {
		{"internal/sys/b.go": "package sys\n\nimport _ \"" + Module + "/notify\"\n"},
		{"notify/b_windows.go": "package notify\n\nimport _ \"" + Module + "/pidfile\"\n"},
		{"notify/b.go": "//go:build neverbuilt\n\npackage notify\n\nimport _ \"" + Module + "\"\n"},
		{"examples/web/a.go": "package main\n\nimport _ \"" + Module + "/internal/sys\"\n"},
		{"cmd/daemonry/b.go": "package main\n\nimport _ \"" + Module + "/notify\"\n"},
		{"notify/b.go": "package notify\n\nimport _ \"" + Module + "/internal/proctest\"\n"},
	},
	"modules of others only where allowed": {
		{"notify/b.go": "package notify\n\nimport _ \"golang.org/x/sys/unix\"\n"},
		{"notify/b_test.go": "package notify\n\nimport _ \"golang.org/x/sys/unix\"\n"},
		{"cmd/internal/cli/a.go": "package cli\n\nimport _ \"pgregory.net/rapid\"\n"},
		{"internal/sys/b.go": "package sys\n\nimport _ \"github.com/spf13/cobra\"\n"},
		{"internal/spawn/a_test.go": "package spawn\n\nimport _ \"pgregory.net/rapid\"\n"},
		{"cmd/internal/cli/a_test.go": "package cli\n\nimport _ \"github.com/stretchr/testify\"\n"},
	},
	"light packages stay light": {
		{"notify/b_darwin.go": "package notify\n\nimport _ \"net\"\n"},
		{"listen/a.go": "package listen\n\nimport _ \"net/http\"\n"},
		{"internal/sys/b.go": "package sys\n\nimport _ \"os/user\"\n"}, // through notify
	},
	"an importer fetches x/sys alone": {
		{"notify/b_test.go": "package notify\n\nimport _ \"go.uber.org/goleak\"\n"},
		{"internal/proctest/a.go": "package proctest\n\nimport _ \"go.uber.org/goleak\"\n"},
		{"internal/sys/a_test.go": "package sys\n\nimport _ \"pgregory.net/rapid\"\n"},
		{"bench/logs/a.go": "package main\n\nimport _ \"github.com/spf13/cobra\"\n"},
		{"go.mod": "module m\n\nrequire golang.org/x/sys v0.1.0\n\n" +
			"require pgregory.net/rapid v1.0.0 // indirect\n"},
		{"go.mod": "module m\n\nrequire (\n\tgolang.org/x/sys v0.1.0\n" +
			"\tpgregory.net/rapid v1.0.0\n)\n"},
	},
	"the library does not import the command": {
		{"bench/logs/a.go": "package main\n\nimport _ \"" + Module + "/cmd/internal/logs\"\n"},
		{"internal/sys/a_test.go": "package sys\n\nimport _ \"" + Module +
			"/cmd/internal/logs\"\n"},
	},
	"unsafe only in internal/sys and internal/proctest": {
		{"notify/b.go": "package notify\n\nimport _ \"unsafe\"\n"},
		{"notify/b_test.go": "package notify\n\nimport _ \"unsafe\"\n"},
	},
	"go.mod has no replace": {
		{"go.mod": "module m\n\nreplace a => b v1.0.0\n"},
		{"go.mod": "module m\n\n\treplace (\n"},
		{"cmd/go.mod": "module m\n\nreplace " + Module + " => ../\n"},
	},
	"system calls only in internal/sys": {
		{"notify/a.go": notify("import \"syscall\"\n\n" +
			"func F() { _ = syscall.Kill(1, syscall.SIGHUP) }\n")},
		{"notify/a.go": notify("import \"syscall\"\n\nvar wait = syscall.Wait4\n")},
		{"notify/b_windows.go": notify("import s \"syscall\"\n\nvar l s.Rlimit\n")},
		{"internal/spawn/a.go": "package spawn\n\nimport \"syscall\"\n\nvar open = syscall.Open\n"},
		{"notify/a.go": notify("import \"syscall\"\n\nvar start = syscall.ForkExec\n")},
	},
	"/proc only in internal/sys": {
		{"notify/a.go": notify("import \"os\"\n\nfunc F() { os.ReadDir(\"/proc\") }\n")},
		{"notify/a.go": notify("const status = `/proc/self/status`\n")},
		{"notify/a.go": notify("var of = map[string]bool{\"/proc/%d/fd\": true}\n")},
	},
	"internal/sys is ordered by topic": {
		{"internal/sys/b.go": "package sys\n\nfunc F() {}\n"},
		manyTopics(),
	},
	"AIX does not count as Unix": {
		{"notify/b.go": "//go:build unix\n\npackage notify\n"},
		{"notify/b.go": "//go:build unix && !linux\n\npackage notify\n"},
		{"notify/b.go": "//go:build !unix\n\npackage notify\n"},
	},
	"one doc comment, with the sentence of the table": {
		{"notify/a.go": "package notify\n"},
		{"notify/b.go": "// Package notify speaks again.\npackage notify\n"},
		{"notify/a.go": "// notify speaks.\npackage notify\n"},
		{"notify/a.go": "// Package notify speaks\npackage notify\n"},
		{"internal/sys/a.go": "// Package sys does something else.\npackage sys\n"},
		{"upgrade/a.go": "// Package upgrade is not recorded yet.\npackage upgrade\n"},
		{"cmd/daemonry/m.go": "// Package main runs.\npackage main\n"},
	},
	"no linkname": {
		{"notify/b.go": notify("//go:linkname fork syscall.fork\nfunc fork()\n")},
		{"notify/b_test.go": "package notify\n\n//go:linkname fork syscall.fork\nfunc fork()\n"},
	},
	"a process ends in few places": {
		{"notify/a.go": notify("import \"os\"\n\nfunc F() { os.Exit(1) }\n")},
		{"notify/a.go": notify("import o \"os\"\n\nvar exit = o.Exit\n")},
		{"notify/a.go": notify("import \"log\"\n\nfunc F() { log.Fatalf(\"no\") }\n")},
		{"cmd/internal/server/a.go": "package server\n\nimport \"os\"\n\n" +
			"func F() { os.Exit(1) }\n"},
		{"internal/spawn/other.go": "package spawn\n\nimport \"syscall\"\n\n" +
			"func F() { syscall.Exit(1) }\n"},
	},
	"no work at import": {
		{"notify/a.go": notify("func init() {}\n")},
		{"notify/a.go": notify("import \"os\"\n\nvar home = os.Getenv(\"HOME\")\n")},
		{"notify/a.go": notify("import \"os\"\n\nvar x = f()\n\n" +
			"func f() int { return os.Getpid() }\n")},
		{"notify/a.go": notify("var x = func() int { go func() {}(); return 1 }()\n")},
		{"notify/a.go": notify("import \"os\"\n\nvar x = func() int { return os.Getpid() }()\n")},
		{"notify/a.go": notify("import \"regexp\"\n\n" +
			"var x = map[string]any{\"a\": regexp.MustCompile(\"a\")}\n")},
	},
	"program files do not sleep": {
		{"notify/a.go": notify("import \"time\"\n\nfunc F() { time.Sleep(1) }\n")},
		{"notify/a.go": notify("import \"time\"\n\nvar nap = time.Sleep\n")},
	},
	"files are short": {
		{"notify/a.go": notify(strings.Repeat("\n", maxLines))},
	},
	"nothing is left to do": {
		{"notify/a.go": notify("// TO" + "DO: speak\n")},
		{"notify/a_test.go": "package notify\n\n/* FIX" + "ME */\n"},
		{".ci/run": "#!/bin/sh\n# XX" + "X later\n"},
	},
	"one word for one thing": {
		{"notify/a.go": notify("// The he" + "ir comes.\nfunc F() {}\n")},
		{"notify/a.go": notify("func startHe" + "irs() {}\n")},
		{"notify/a_test.go": "package notify\n\nvar jani" + "tor int\n"},
	},
	"a skipped test says why": {
		{"notify/b_test.go": "package notify\n\nimport \"testing\"\n\n" +
			"func TestA(t *testing.T) { t.Skip() }\n"},
		{"notify/b_test.go": "package notify\n\nimport \"testing\"\n\n" +
			"func TestA(t *testing.T) { t.Skip(``) }\n"},
		{"notify/b_test.go": "package notify\n\nimport \"testing\"\n\n" +
			"func TestA(t *testing.T) { t.SkipNow() }\n"},
	},
	"the root directory has no stray files": {
		{"notes.md": "\n"},
		{"out": "\n"},
	},
	"lines of Go have at most 100 columns": {
		{"notify/a.go": notify("// " + wide + "\n")},
		{"notify/a.go": notify("var a, b = `\n" + wide + "`, \"" + wide + "\"\n")},
		{"notify/a_test.go": "package notify\n\n\t\t// " + wide[10:] + "\n"},
		{"notify/a.go": notify("// " + strings.Repeat("x", 97) + " y\n")},
	},
	"lines of scripts have at most 100 columns": {
		{".ci/run": "#!/bin/sh\n# " + wide + "\n"},
	},
	"lines of Markdown have at most 100 columns": {
		{"README.md": wide + "\n"},
		{"docs/a.md": "* " + wide + "\n"},
	},
	"no exported identifier mentions an internal type": {
		{"notify/a.go": api("func F(x sys.T) {}")},
		{"notify/a.go": api("func F() (map[string][]*sys.T, error) { return nil, nil }")},
		{"notify/a.go": api("type A = sys.T")},
		{"notify/a.go": api("type A struct { B sys.T }")},
		{"notify/a.go": api("type A struct { sys.T }")},
		{"notify/a.go": api("type A struct { b }; type b struct { C sys.T }")},
		{"notify/a.go": api("type A interface { M(sys.T) }")},
		{"notify/a.go": api("type A[P sys.T] struct{}")},
		{"notify/a.go": api("type A struct{}; func (a *A) M() sys.T { panic(0) }")},
		{"notify/a.go": api(
			"func F() a { panic(0) }; type a int; func (a) M() sys.T { panic(0) }",
		)},
		{"notify/a.go": api("var A sys.T")},
		{"notify/a.go": api("var A = sys.New()")},
	},
}

// wide is a line of 101 columns, whose words are short.
var wide = strings.Repeat("wide ", 20) + "!"

// api is a file of package notify that imports something internal.
func api(body string) string {
	return notify("import \"" + Module + "/internal/sys\"\n\n" + body + "\n")
}

// manyTopics are more files than internal/sys may have, none of them short.
func manyTopics() map[string]string {
	files := map[string]string{}
	for i := range mostTopics {
		files[fmt.Sprintf("internal/sys/topic%d.go", i)] = "package sys\n" +
			strings.Repeat("\n", leastLines)
	}
	return files
}

// TestRulesAcceptGoodTree shows that a rule can be kept, so that what the
// broken trees are blamed for is what was changed.
func TestRulesAcceptGoodTree(t *testing.T) {
	kept := []map[string]string{
		nil,
		{"notify/a.go": api("type A struct { b sys.T; C int }; func f(sys.T) {}; func (a A) " +
			"m(sys.T) {}; var A1 error = sys.Err")},
		{"notify/a.go": notify("import (\"errors\"; \"sync\")\n\ntype T int\n\n" +
			"var (\n a = errors.New(``)\n b = T(1)\n c = []byte(`x`)\n" +
			" d = sync.OnceValue[int](func() int { return g() })\n e = func() { go g() }\n" +
			" h = func() T { return T(2) }()\n i = g()\n)\n\nfunc g() int { return 1 }\n")},
		{"internal/spawn/stage.go": docOf("internal/spawn") +
			"package spawn\n\nimport \"os\"\n\nfunc init() { os.Exit(1) }\n"},
		{"notify/a.go": notify("import \"syscall\"\n\nvar a = syscall.Errno(1)\n\n" +
			"func F(syscall.RawConn) any { return syscall.O_RDWR }\n")},
		{"notify/a.go": notify("const a = \"/proc hides it\"\n"),
			"internal/boot/detect.go": docOf("internal/boot") +
				"package boot\n\nconst a = \"/proc/1/comm\"\n"},
		{"notify/a_test.go": "package notify\n\nimport \"syscall\"\n\nvar kill = syscall.Kill\n" +
			"var a = \"/proc/1\"\n"},
		{"notify/testdata/x.go": "not go at all", "nested/go.mod": "module nested\n",
			"nested/x.go": "package nope\n"},
		{"cmd/nested/go.mod": "module nested\n", "cmd/nested/x.go": "package nope\n",
			"daemonry": "", ".envrc": ""},
		{"notify/b_test.go": "package notify\n\nimport \"testing\"\n\n" +
			"func TestA(t *testing.T) { t.Skip(`no kernel`) }\n"},
		{"notify/a.go": notify("// " + wide[4:] + "\n")},
		{"notify/a.go": notify("//\thttps://" + strings.Repeat("x", 90) + " \n")},
		{"notify/a.go": notify("var a = `" + wide + "`\n\n" +
			"var b = []int{len(`\n" + wide + "\n`)}\n")},
		{"notify/a.go": "// Code generated by hand; DO NOT EDIT.\n\n" + notify("// "+wide+"\n")},
		{"notify/a.go": notify("//go:generate " + wide + "\n")},
		{"notify/b.go": "//go:build unix && !aix && !linux\n\npackage notify\n"},
		{"notify/b.go": "//go:build (!unix || aix) && !plan9\n\npackage notify\n"},
		{"notify/b_test.go": "//go:build unix\n\npackage notify\n"},
		{"docs/a.md": "| " + wide + " |\n" + strings.Repeat("ä", 100) + "\n"},
	}
	for _, change := range kept {
		for _, f := range findings(t, change, allRules) {
			t.Errorf("%v: %s", change, f)
		}
	}
}

// TestRulesCanFail shows for each rule that it objects to what it forbids.
func TestRulesCanFail(t *testing.T) {
	for _, rule := range allRules {
		t.Run(rule.Name, func(t *testing.T) {
			if len(broken[rule.Name]) == 0 {
				t.Error("no tree shows that this rule can fail")
			}
			for _, change := range broken[rule.Name] {
				if len(findings(t, change, []Rule{rule})) == 0 {
					t.Errorf("no objection to %v", change)
				}
			}
		})
	}
}

// findings applies rules to the good tree with some files changed.
func findings(t *testing.T, change map[string]string, rules []Rule) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, files := range []map[string]string{good, change} {
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, rule := range rules {
		rule.Check(tree, func(where, format string, args ...any) {
			found = append(found, where+": "+rule.Name+": "+format)
		})
	}
	return found
}
