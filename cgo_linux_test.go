package daemonry_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// librarian is a program that is linked to a library which is found by LD_LIBRARY_PATH alone. It
// makes a daemon, or has itself replaced; with "lost" the variable is gone by then.
const librarian = `package main

// int answer(void);
import "C"

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/upgrade"
)

func main() {
	if C.answer() != 42 {
		panic("another library")
	}
	if len(os.Args) > 2 {
		os.Unsetenv("LD_LIBRARY_PATH")
	}
	if os.Args[1] == "upgrade" {
		replace()
		return
	}
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{Background: true})
	switch {
	case err != nil:
		fmt.Println(err)
	case proc != nil:
		fmt.Println("daemon", proc.PID)
	default:
		daemonry.Ready()
		time.Sleep(time.Hour)
	}
}

func replace() {
	u, err := upgrade.New(upgrade.Options{NoSignal: true})
	if err == nil {
		err = u.Ready()
	}
	select {
	case <-u.Alone():
	default:
		<-u.Alone()
		return // the successor
	}
	if err == nil {
		err = u.Upgrade(context.Background())
	}
	fmt.Println("upgrade:", err)
}
`

// TestLibraryPath: what a stage needs to be executed at all it has from the launcher, and what the
// dynamic linker says otherwise is in the error.
func TestLibraryPath(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no C compiler")
	}
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "librarian")
	for name, text := range map[string]string{
		"answer.c": "int answer(void) { return 42; }\n", "main.go": librarian,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build(t, nil, "gcc", "-shared", "-fPIC", "-o", filepath.Join(dir, "libanswer.so"),
		filepath.Join(dir, "answer.c"))
	build(t, []string{"CGO_ENABLED=1", "CGO_LDFLAGS=-L" + dir + " -lanswer"},
		"go", "build", "-o", program, filepath.Join(dir, "main.go"))
	const lost = "start stage: exited with status 127: daemonry-stage: error while loading " +
		"shared libraries: libanswer.so: cannot open shared object file: " +
		"No such file or directory\n"
	for args, want := range map[string]string{
		"detach":       "daemon ",
		"upgrade":      "upgrade: <nil>\n",
		"detach lost":  "start daemon: " + lost,
		"upgrade lost": "upgrade: upgrade to " + program + ": " + lost,
	} {
		t.Run(args, func(t *testing.T) {
			cmd := exec.Command(program, strings.Fields(args)...)
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+dir)
			cmd.WaitDelay = time.Minute
			out, err := cmd.Output()
			if pid, found := strings.CutPrefix(string(out), "daemon "); found {
				n, err := strconv.Atoi(strings.TrimSpace(pid))
				if err != nil {
					t.Fatal(err)
				}
				proctest.KillAtEnd(t, n)
			}
			if err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%v: %s\nnot %s", err, out, want)
			}
		})
	}
}

func build(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestEnvironmentIsTheDaemons: what is kept from a stage, which it would change, the daemon has.
func TestEnvironmentIsTheDaemons(t *testing.T) {
	env := []string{
		"GODEBUG=madvdontneed=1", "GOGC=50", "GOMAXPROCS=1", "GOMEMLIMIT=1GiB", "GOTRACEBACK=all",
		"GOCOVERDIR=/nonexistent", "GORACE=history_size=1", "MALLOC_ARENA_MAX=1", "LD_PRELOAD=",
		"LD_LIBRARY_PATH=/nonexistent", "HOME=/nonexistent",
	}
	cmd := app.Command(t)
	cmd.Env = append(os.Environ(), env...)
	pid, _, stderr, _ := run(t, cmd)
	if pid == 0 {
		t.Fatal(stderr)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, want := range env {
		if !strings.Contains("\x00"+string(b), "\x00"+want+"\x00") {
			errs = append(errs, errors.New(want))
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("the daemon is without\n%v", err)
	}
}
