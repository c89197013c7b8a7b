package shell_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/writers/openrc"
	"github.com/daemonry/daemonry/internal/writers/sysv"
	"github.com/daemonry/daemonry/spec"
)

// TestOpenRC: the words survive being evaluated twice, as supervise_start of
// OpenRC does it.
func TestOpenRC(t *testing.T) {
	s := spec.Service{Name: "nasty", Command: append(spec.Command{"/bin/it's a prog"}, nasty...)}
	script := string(fileOf(t, openrc.Target(), s, "nasty"))
	for _, sh := range shells {
		cmd := exec.Command(sh, "-c", script+"\n"+
			`eval set -- $command $command_args; for word; do printf '%s\000' "$word"; done`)
		out, err := cmd.Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil ||
			!slices.Equal(got, []string(s.Command)) {
			t.Errorf("%s: %v\n got %q\nwant %q", sh, err, got, s.Command)
		}
	}
}

// TestSysV starts, asks and stops a service by its script.
func TestSysV(t *testing.T) {
	if _, err := exec.LookPath("start-stop-daemon"); err != nil {
		t.Skip("there is no start-stop-daemon")
	}
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	s := spec.Service{
		Name: "sleeper",
		Command: append(spec.Command{"/bin/sh", "-c",
			`printf '%s\000' "$@" >"$OUT"; : >"$READY"; exec sleep 300`, "sh"}, nasty...),
		Process: spec.Process{Pidfile: filepath.Join(dir, "pid"),
			Env: map[string]string{"OUT": filepath.Join(dir, "out"), "READY": ready}},
		Ready:       spec.Probe{Kind: spec.ProbeFile, Target: ready},
		Log:         spec.Log{File: filepath.Join(dir, "log")},
		Supervision: spec.Supervision{StopTimeout: new(spec.Duration(5 * time.Second))},
	}
	script := filepath.Join(dir, "sleeper")
	if err := os.WriteFile(script, fileOf(t, sysv.Target(), s, "sleeper"), 0o755); err != nil {
		t.Fatal(err)
	}
	verb := func(name string, want int) {
		t.Helper()
		cmd := exec.Command(script, name)
		message, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			log, _ := os.ReadFile(s.Log.File)
			t.Fatalf("%s: status %d (%v), want %d: %s%s", name, got, err, want, message, log)
		}
	}
	verb("status", 3)
	t.Cleanup(func() { exec.Command(script, "stop").Run() })
	verb("start", 0)
	verb("start", 0)
	verb("status", 0)
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil ||
		!slices.Equal(got, nasty) {
		t.Errorf("%v\n got %q\nwant %q", err, got, nasty)
	}
	verb("stop", 0)
	verb("stop", 0)
	verb("status", 3)
	verb("nonsense", 2)
}
