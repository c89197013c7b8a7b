package shell_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/runit"
	"github.com/daemonry/daemonry/internal/writers/s6"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// TestMain: the test binary is the program that the scripts start. It writes
// its arguments and environment, each with a NUL behind it.
func TestMain(m *testing.M) {
	if out := os.Getenv("WRITE_TO"); out != "" {
		all := slices.Concat(os.Args[1:], []string{""}, os.Environ())
		if err := os.WriteFile(out, []byte(strings.Join(all, "\x00")), 0o600); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var nasty = []string{
	"", " ", "a  b\t", "'", "''", `"`, `\`, `\n`, "a\nb\n", "%s",
	"$HOME ${HOME} $$ $(id)", ";", "# x", "é ☃ 𝄞", "\x01\x7f\x81\x88\xff",
	strings.Repeat("x\"'$% \\", 600), "-n", "--", "~", "*", "`id`", "\r\n", `trailing\`,
	"a=b", "!", "{a,b}",
}

var shells = []string{"/bin/sh", "/bin/bash"}

// TestScripts: under real shells, every argument and every variable arrives as
// it was given.
func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []writers.Target{runit.Target(), s6.Target()} {
		for _, clear := range []bool{false, true} {
			s := spec.Service{Name: "nasty", Command: append(spec.Command{self}, nasty...)}
			out := filepath.Join(t.TempDir(), "out")
			s.Env = map[string]string{"WRITE_TO": out, "a.b": "odd name", "IFS": " x",
				"PS4": "$(id)", "PPID": "7", "PATH": os.Getenv("PATH")}
			for i, text := range nasty {
				s.Env[fmt.Sprintf("V%d", i)] = text
			}
			s.ClearEnv, s.Ready, s.Rlimit = clear,
				spec.Probe{Kind: spec.ProbeExec}, map[spec.RlimitName]spec.Rlimit{
					"nofile": {Soft: 512, Hard: 1024}, "nproc": {Soft: 900, Hard: 901},
				}
			run := filepath.Join(t.TempDir(), "run")
			if err := os.WriteFile(run, fileOf(t, target, s, "nasty/run"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, sh := range shells {
				if message, err := exec.Command(sh, run).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", sh, err, message)
				}
				check(t, out, s)
			}
		}
	}
}

func fileOf(t *testing.T, target writers.Target, s spec.Service, name string) []byte {
	t.Helper()
	out, err := target.Render([]spec.Service{s}, writers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Files {
		if f.Path == name {
			return f.Content
		}
	}
	t.Fatalf("%s has no %s", target.Name, name)
	return nil
}

// check compares what the program wrote with what the service says.
func check(t *testing.T, out string, s spec.Service) {
	t.Helper()
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(string(data), "\x00")
	n := len(s.Command) - 1
	if len(got) < n || !slices.Equal(got[:n], []string(s.Command[1:])) {
		t.Errorf("arguments:\n got %q\nwant %q", got[:min(n, len(got))], s.Command[1:])
	}
	for name, value := range s.Env {
		if !slices.Contains(got, name+"="+value) {
			t.Errorf("variable %s=%q did not arrive", name, value)
		}
	}
	if s.ClearEnv &&
		slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "HOME=") }) {
		t.Error("HOME was not cleared")
	}
}

func FuzzQuote(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) {
			return
		}
		for _, sh := range shells {
			got, err := exec.Command(sh, "-c",
				"set -- "+shell.Quote(text)+`; printf '%s|%d' "$1" $#`).Output()
			if err != nil || !bytes.Equal(got, []byte(text+"|1")) {
				t.Fatalf("%s reads %q as %q, %v", sh, text, got, err)
			}
		}
	})
}
