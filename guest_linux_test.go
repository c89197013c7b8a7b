package daemonry_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// guest is a program, a library, an archive and a plugin, as it is built.
const guest = `package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"` + module + `"
	"` + module + `/upgrade"
)

import "C"

//export Launch
func Launch() {
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{
		PIDFile: os.Getenv("GUEST_DIR") + "/app.pid", LogFile: os.Getenv("GUEST_DIR") + "/app.log",
		Background: true, Timeout: time.Minute,
	})
	if err == nil && proc == nil {
		if err := daemonry.Ready(); err != nil {
			daemonry.Fail(err)
		}
		select {}
	}
	if err == nil {
		fmt.Println("daemon", proc.PID)
		return
	}
	_, upgradeErr := upgrade.New(upgrade.Options{})
	fmt.Println(err)
	fmt.Println(upgradeErr)
	fmt.Println(errors.Is(err, errors.ErrUnsupported), errors.Is(upgradeErr, errors.ErrUnsupported))
}

func main() { Launch() }
`

// pluginHost opens the plugin, and imports what the plugin imports, or does not.
const pluginHost = `package main

import (
	"os"
	"plugin"

	%s
)

func main() {
	p, err := plugin.Open(os.Getenv("GUEST_DIR") + "/guest.so")
	if err != nil {
		panic(err)
	}
	launch, err := p.Lookup("Launch")
	if err != nil {
		panic(err)
	}
	launch.(func())()
}
`

const cHost = `
extern void Launch(void);
int main(void) { Launch(); return 0; }
`

const pythonHost = `
import ctypes, os
ctypes.CDLL(os.environ["GUEST_DIR"] + "/guest.so").Launch()
`

// builtWith says whether this program was built with that option of the go command.
func builtWith(option string) bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == option && s.Value == "true"
	})
}

// TestGuest has the package in programs that are somebody else's, and in such that are not.
func TestGuest(t *testing.T) {
	if builtWith("-race") {
		t.Log("it builds programs of its own, which are the same without")
		return
	}
	for _, tool := range []string{"gcc", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	for _, c := range []struct {
		name, mode, as string
		host           func(m importer) []string
	}{
		{"in python", "c-shared", "a shared library inside /", func(m importer) []string {
			return []string{"python3", "-c", pythonHost}
		}},
		{"in C", "c-archive", "an archive inside $DIR/bin", func(m importer) []string {
			m.write("host/host.c", cHost)
			m.run("gcc", "-o", "bin", "host/host.c", "guest.so", "-lpthread")
			return []string{filepath.Join(m.dir, "bin")}
		}},
		{"plugin alone", "plugin", "a shared library inside $DIR/bin", func(m importer) []string {
			return m.plugged(`_ "fmt"`)
		}},
		{"plugin of a host with the package", "plugin", "", func(m importer) []string {
			return m.plugged(`_ "` + module + `/upgrade"`)
		}},
		{"position-independent", "pie", "", func(m importer) []string {
			return []string{filepath.Join(m.dir, "guest.so")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newImporter(t)
			m.write("go.mod", m.gomod())
			m.write("guest.go", guest)
			m.run("go", "mod", "tidy")
			m.run("go", "build", "-buildmode="+c.mode, "-o", "guest.so", "guest.go")
			checkGuest(t, m, c.host(m), strings.ReplaceAll(c.as, "$DIR", m.dir))
		})
	}
}

// plugged is a program that opens the plugin, and imports something of the same module.
func (m importer) plugged(imports string) []string {
	m.write("host/main.go", strings.Replace(pluginHost, "%s", imports, 1))
	m.run("go", "build", "-o", "bin", "./host")
	return []string{filepath.Join(m.dir, "bin")}
}

// checkGuest runs a host: Detach fails in it, if it is a host, and leaves nothing.
func checkGuest(t *testing.T, m importer, host []string, as string) {
	cmd := exec.Command(host[0], host[1:]...)
	cmd.Env = append(os.Environ(), "GUEST_DIR="+m.dir)
	cmd.WaitDelay = 2 * time.Minute
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if pid, ok := strings.CutPrefix(out, "daemon "); ok {
		n, err := strconv.Atoi(strings.TrimSpace(pid))
		if err != nil {
			t.Fatal(out)
		}
		proctest.KillAtEnd(t, n)
		if as != "" {
			t.Errorf("a daemon was made of %s", as)
		}
		return
	}
	lines := strings.Split(out, "\n")
	if as == "" || len(lines) != 4 || !strings.HasPrefix(lines[0], "prepare: this code is "+as) ||
		!strings.Contains(lines[0], ", which a daemon cannot be made of: ") ||
		!strings.Contains(lines[1], "this code is "+as) || lines[2] != "true true" {
		t.Errorf("want %q:\n%s", as, out)
	}
	if left, _ := filepath.Glob(m.dir + "/app.*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
