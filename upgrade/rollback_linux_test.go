package upgrade_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestRollBack: whatever is wrong with the new version, the old one goes on and says why, and a
// good one can follow.
func TestRollBack(t *testing.T) {
	elf, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	foreign := slices.Clone(elf[:64])
	foreign[18] ^= 0x55 // e_machine
	replace := func(b []byte, mode os.FileMode) func(*running) {
		return func(r *running) { r.replace(b, mode) }
	}
	kind := func(k string) func(*running) { return func(r *running) { r.next(k) } }
	for _, c := range []struct {
		name string
		do   func(*running)
		want []string
	}{
		{"crash", kind("crash"), []string{"exited with status 3 before it was ready",
			"\ncannot read the configuration"}},
		{"options", kind("options"), []string{"exited with status 3", "Options.Files[0] is nil"}},
		{"panic", kind("panic"),
			[]string{"exited with status 2", "\npanic: a bug in the new version"}},
		{"crowd", kind("crowd"), []string{"\npanic: a bug in the new version\n\ngoroutine ",
			"\nprinted before:\npanic: long ago"}},
		{"killed", kind("killed"), []string{"killed by SIGKILL before it was ready"}},
		{"hang", kind("hang"), []string{"did not say that it is ready within 5s"}},
		{"deaf", kind("deaf"), []string{"called neither upgrade.New nor Ready within 2s"}},
		{"older", kind("older"), []string{"older than the program that runs: version 6 after 7"}},
		{"fail", kind("fail"), []string{"the database is of another kind"}},
		{"port taken", kind("address 192.0.2.1:1"),
			[]string{"open web: listen tcp 192.0.2.1:1: bind: cannot assign requested address"}},
		{"another architecture", replace(foreign, 0o755),
			[]string{"it is for ", " bits, ", ", and this program is for ", "exec format error"}},
		{"half a file", replace(elf[:4096], 0o755),
			[]string{"the file is not whole: it has 4096 bytes of at least "}},
		{"a directory", func(r *running) {
			if err := errors.Join(os.Remove(r.program), os.Mkdir(r.program, 0o755)); err != nil {
				t.Fatal(err)
			}
		}, []string{"a directory, and no program"}},
		{"still written", writeOn, []string{writtenText(t)}},
		{"checked", func(r *running) {
			if err := os.WriteFile(r.program+".bad", []byte("a known defect"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"refused by Check: a known defect"}},
		{"empty", replace(nil, 0o755), []string{"the file is empty: exec format error"}},
		{"not executable", replace(elf, 0o644),
			[]string{"nobody may execute it: permission denied"}},
		{"missing", func(r *running) { os.Remove(r.program) },
			[]string{"no such file or directory"}},
		{"no interpreter", replace([]byte("#!/nonexistent/interpreter\n"), 0o755),
			[]string{"/nonexistent/interpreter"}},
		{"stranger", replace([]byte("#!/bin/sh\nexit 9\n"), 0o755),
			[]string{"exited with status 9"}},
		{"no answer", func(r *running) {
			if err := os.WriteFile(r.program+".bad", []byte("silent"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"no answer of Check: not ready within 2s"}},
	} {
		// The time that the first version gives each of the next: enough for "hang" to have called
		// New before it is over.
		timeouts := map[string]time.Duration{"hang": 5 * time.Second, "deaf": 2 * time.Second,
			"no answer": 2 * time.Second}
		t.Run(c.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			r := prepare(t)
			file := filepath.Join(r.dir, "pid")
			r.start("-pid", file, "-timeout", cmp.Or(timeouts[c.name], patience).String())
			old := r.pid()
			fds := len(proctest.Inspect(t, old).FDs)
			c.do(r)
			_, err := r.try("/upgrade")
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q, got %v", want, err)
				}
			}
			if pid := r.pid(); pid != old {
				t.Errorf("process %d serves, not %d", pid, old)
			}
			if i, err := pidfile.Find(file); err != nil || i.State != pidfile.Running ||
				i.PID != old {
				t.Errorf("pid file: %+v, %v", i, err)
			} else {
				i.Close()
			}
			if children := childrenOf(t, old); len(children) != 0 {
				t.Errorf("left behind: %v", children)
			}
			// connections of ours may still be closing
			proctest.Eventually(t, patience, func() error {
				if n := len(proctest.Inspect(t, old).FDs); n > fds {
					return fmt.Errorf("%d descriptors after %d", n, fds)
				}
				return nil
			})
			r.next("ok")
			if err := errors.Join(r.writing.Close(), os.RemoveAll(r.program),
				os.RemoveAll(r.program+".bad")); err != nil && r.writing != nil {
				t.Error(err)
			}
			r.install()
			again := time.Duration(0)
			if timeouts[c.name] > 0 {
				again = patience // with so little time a good version, too, may not be ready
			}
			proctest.Eventually(t, again, func() error {
				_, err := r.try("/upgrade")
				return err
			})
			if r.successor(old) == old {
				t.Error("a good version did not follow")
			}
		})
	}
}

// writeOn opens the program for writing, and has the next version crash in case it is executed.
func writeOn(r *running) {
	r.t.Helper()
	r.install()
	r.next("crash")
	var err error
	if r.writing, err = os.OpenFile(r.program, os.O_WRONLY, 0); err != nil {
		r.t.Fatal(err)
	}
}

// writtenText is the error for a file that is open for writing. Linux 6.11 and 6.12 execute it.
func writtenText(t *testing.T) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "written")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("#!/bin/true\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	if exec.Command(f.Name()).Run() == nil {
		return "cannot read the configuration"
	}
	return "text file busy"
}
