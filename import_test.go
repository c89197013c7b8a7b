package daemonry_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// module is what is imported.
const module = "github.com/daemonry/daemonry"

// importer is a new module in a directory of its own, outside of any workspace.
type importer struct {
	t         *testing.T
	root, dir string // of the library, and its own
}

func newImporter(t *testing.T) importer {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	return importer{t, root, t.TempDir()}
}

// gomod begins a go.mod that requires the library, as it is in this tree.
func (m importer) gomod() string {
	return fmt.Sprintf("module example.org/app\n\ngo 1.26.0\n\nrequire %[1]s v0.0.0\n\n"+
		"replace %[1]s => %[2]s\n", module, m.root)
}

func (m importer) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m importer) run(name string, args ...string) string {
	m.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = m.dir
	// Everything needed is in the module cache by now. A C compiler may be used where one is
	// wanted.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=-mod=mod", "GOWORK=off",
		"CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// requirement is a line of a go.mod file.
type requirement struct{ Path, Version string }

func (m importer) requirements(args ...string) []requirement {
	m.t.Helper()
	var gomod struct{ Require []requirement }
	text := m.run("go", append([]string{"mod", "edit", "-json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &gomod); err != nil {
		m.t.Fatal(err)
	}
	return gomod.Require
}

// pinned are versions that an importer may have of what the command of this repository needs, all
// older than ours. The command's module may require them as new as it likes; requiring the library
// must raise none.
var pinned = []requirement{
	{"github.com/google/go-cmp", "v0.5.0"},
	{"github.com/inconshreveable/mousetrap", "v1.0.0"},
	{"github.com/klauspost/compress", "v1.15.0"},
	{"github.com/munnerz/goautoneg", "v0.0.0-20120707110453-a547fc61f48d"},
	{"github.com/pelletier/go-toml/v2", "v2.0.0"},
	{"github.com/prometheus/client_golang", "v1.11.0"},
	{"github.com/prometheus/client_model", "v0.2.0"},
	{"github.com/prometheus/common", "v0.26.0"},
	{"github.com/rogpeppe/go-internal", "v1.8.0"},
	{"github.com/spf13/cobra", "v1.2.0"},
	{"github.com/spf13/pflag", "v1.0.3"},
	{"go.uber.org/goleak", "v1.1.0"},
	{"golang.org/x/tools", "v0.1.0"},
	{"google.golang.org/protobuf", "v1.26.0"},
	{"pgregory.net/rapid", "v0.5.0"},
	{"golang.org/x/sys", "v0.1.0"}, // alone is raised, to what the library itself requires
}

// TestImportRaisesNothing builds a program that uses old versions of other modules, made up for
// this test, and the library: they stay as old as they were. Of a newer version there is nothing
// that would compile, as with real programs and real versions.
func TestImportRaisesNothing(t *testing.T) {
	m := newImporter(t)
	gomod := m.gomod()
	standIn := func(dir string, r requirement, text string) {
		m.write(dir+"/go.mod", "module "+r.Path+"\n\ngo 1.16\n")
		m.write(dir+"/a.go", "package a\n"+text)
		gomod += fmt.Sprintf("replace %s %s => ./%s\n", r.Path, r.Version, dir)
	}
	imports, uses, want := "", "", map[string]string{}
	for i, r := range pinned {
		gomod += fmt.Sprintf("require %s %s\n", r.Path, r.Version)
		standIn(fmt.Sprint("old", i), r, "func Old() {}\n")
		if r.Path != "golang.org/x/sys" {
			want[r.Path] = r.Version
			imports += fmt.Sprintf("import a%d %q\n", i, r.Path)
			uses += fmt.Sprintf("\ta%d.Old()\n", i)
		}
	}
	for i, r := range m.requirements(filepath.Join(m.root, "go.mod")) {
		if r.Path == "golang.org/x/sys" {
			want[r.Path] = r.Version
		} else {
			standIn(fmt.Sprint("new", i), r, "")
		}
	}
	m.write("go.mod", gomod)
	const all = ". boot control journal listen notify pidfile spec upgrade"
	for _, pkg := range strings.Fields(all) {
		imports += fmt.Sprintf("import _ %q\n", path.Join(module, pkg))
	}
	m.write("main.go", "package main\n"+imports+"func main() {\n"+uses+"\tprintln(\"built\")\n}\n")

	for line := range strings.Lines(m.run("go", "list", "-m", "-f",
		"{{.Path}} {{.Version}}", "all")) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if w, ok := want[name]; ok && version != w {
			t.Errorf("%s is %s for the importer, want %s", name, version, w)
		} else if !ok && name != module && name != "example.org/app" {
			t.Errorf("the importer has %s %s in its graph", name, version)
		}
	}
	m.run("go", "mod", "tidy")
	m.run("go", "build", "-o", "app", ".")
	if out := m.run(filepath.Join(m.dir, "app")); out != "built\n" {
		t.Errorf("the program says %q", out)
	}
	for _, r := range m.requirements() {
		if w := want[r.Path]; r.Path != module && r.Version != w {
			t.Errorf("go.mod requires %s %s when all is built, want %q", r.Path, r.Version, w)
		}
	}
}

// TestImport makes a new module that imports the root package: it stays
// static, requires nothing but golang.org/x/sys, and links no package that would bring in more.
func TestImport(t *testing.T) {
	m := newImporter(t)
	m.write("go.mod", m.gomod())
	m.write("main.go", `package main

import (
	"context"

	"`+module+`"
)

func main() {
	if proc, err := daemonry.Detach(context.Background(), daemonry.Options{}); proc != nil || err != nil {
		return
	}
	if err := daemonry.Ready(); err != nil {
		daemonry.Fail(err)
	}
}
`)
	m.run("go", "mod", "tidy")

	require := m.requirements()
	for _, r := range require {
		if r.Path != module && r.Path != "golang.org/x/sys" {
			t.Errorf("go.mod requires %s", r.Path)
		}
	}
	if len(require) != 2 {
		t.Errorf("go.mod requires %v", require)
	}

	for _, pkg := range strings.Fields(m.run("go", "list", "-deps", ".")) {
		switch pkg {
		case "runtime/cgo", "net", "net/http", "os/user", "os/exec", "plugin":
			t.Errorf("imports %s", pkg)
		}
		if strings.Contains(pkg, ".") && !strings.HasPrefix(pkg, module) &&
			!strings.HasPrefix(pkg, "golang.org/x/sys/") && pkg != "example.org/app" {
			t.Errorf("imports %s of another module", pkg)
		}
	}

	if runtime.GOOS != "linux" {
		return // where no program is static
	}
	m.run("go", "build", "-o", "app", ".")
	file, err := elf.Open(filepath.Join(m.dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v: it is not static", p.Type)
		}
	}
}
