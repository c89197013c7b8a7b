package daemonry_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// module is what is imported.
const module = "github.com/daemonry/daemonry"

// TestImport makes a new module that imports the root package: it stays
// static, requires nothing but golang.org/x/sys, and links no package that would bring in more.
func TestImport(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goCommand := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		// Everything needed is in the module cache by now. A C compiler may be used where one is
		// wanted.
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	write("go.mod", fmt.Sprintf("module example.org/app\n\ngo 1.26.0\n\nrequire %[1]s v0.0.0\n\nreplace %[1]s => %[2]s\n", module, root))
	write("main.go", `package main

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
	goCommand("mod", "tidy")

	var gomod struct{ Require []struct{ Path string } }
	if err := json.Unmarshal([]byte(goCommand("mod", "edit", "-json")), &gomod); err != nil {
		t.Fatal(err)
	}
	for _, r := range gomod.Require {
		if r.Path != module && r.Path != "golang.org/x/sys" {
			t.Errorf("go.mod requires %s", r.Path)
		}
	}
	if len(gomod.Require) != 2 {
		t.Errorf("go.mod requires %v", gomod.Require)
	}

	for _, pkg := range strings.Fields(goCommand("list", "-deps", ".")) {
		switch pkg {
		case "runtime/cgo", "net", "net/http", "os/user", "os/exec", "plugin":
			t.Errorf("imports %s", pkg)
		}
		if strings.Contains(pkg, ".") && !strings.HasPrefix(pkg, module) && !strings.HasPrefix(pkg, "golang.org/x/sys/") && pkg != "example.org/app" {
			t.Errorf("imports %s of another module", pkg)
		}
	}

	if runtime.GOOS != "linux" {
		return // where no program is static
	}
	goCommand("build", "-o", "app", ".")
	file, err := elf.Open(filepath.Join(dir, "app"))
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
