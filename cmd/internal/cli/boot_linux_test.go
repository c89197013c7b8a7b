package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/internal/proctest"
)

// TestMain makes the test binary be the command, on a machine that a script describes: it must
// not be the one that the tests run on.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"daemonry": func() {
			a := &app{out: os.Stdout, err: os.Stderr, machine: scriptMachine}
			os.Exit(a.report(a.execute(os.Args[1:])))
		},
	})
}

// scriptMachine boots with $BOOT_SYSTEM, whose files are in $BOOT_DIR and whose
// commands are those of PATH.
func scriptMachine() (*boot.Machine, boot.Evidence, error) {
	m := &boot.Machine{
		System: boot.System(os.Getenv("BOOT_SYSTEM")),
		Dir:    os.Getenv("BOOT_DIR"),
		UID:    os.Geteuid(),
		User:   os.Getenv("BOOT_USER") != "",
	}
	evidence := boot.Evidence{"the script says so"}
	switch m.System {
	case boot.None:
		return m, evidence, &boot.UnknownError{Evidence: evidence}
	case boot.OpenRC:
		if m.User {
			return m, evidence, &boot.NoUserServicesError{System: m.System}
		}
	}
	return m, evidence, nil
}

// TestBootScripts runs the commands that change the boot. UPDATE=1 writes what they print into
// the scripts.
func TestBootScripts(t *testing.T) {
	fake, err := os.ReadFile("testdata/systemctl")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			root, err := os.MkdirTemp("/tmp", "d") // a socket has a short path
			if err != nil {
				return err
			}
			env.Defer(func() {
				endAll(env, "DAEMONRY_ROOT="+root)
				if err := os.RemoveAll(root); err != nil {
					env.T().Log(err)
				}
			})
			bin := filepath.Join(env.WorkDir, "bin")
			env.Setenv("DAEMONRY_ROOT", root)
			env.Setenv("GORACE", proctest.RaceSettings())
			env.Setenv("BOOT_SYSTEM", "systemd")
			env.Setenv("BOOT_DIR", filepath.Join(env.WorkDir, "units"))
			env.Setenv("PATH", bin+":"+env.Getenv("PATH")+":/usr/sbin:/sbin")
			return errors.Join(os.Mkdir(bin, 0o755),
				os.WriteFile(filepath.Join(bin, "systemctl"), fake, 0o755))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exitsWith},
	})
}

// endAll ends what a script has left behind, known by a variable, and complains.
func endAll(env *testscript.Env, mark string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, data...), []byte("\x00"+mark+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil &&
			syscall.Kill(pid, syscall.SIGKILL) == nil {
			env.T().Log("left behind: process", pid)
			if t, ok := env.T().(interface{ Fail() }); ok {
				t.Fail()
			}
		}
	}
}

// exitsWith runs a command and wants exactly this exit status: exits 3 daemonry …
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\nstderr: %s", got, want, ts.ReadFile("stderr"))
	}
}

// TestBootState: each state in a few words.
func TestBootState(t *testing.T) {
	for _, test := range []struct {
		st   boot.Status
		want string
	}{
		{boot.Status{}, "no boot service of systemd"},
		{boot.Status{Files: []string{"x"}, Enabled: true, Running: true, PID: 7},
			"started at boot by systemd; running: process 7"},
		{boot.Status{Files: []string{"x"}, Enabled: true, Running: true},
			"started at boot by systemd; running"},
		{boot.Status{Files: []string{"x"}, State: "failed"},
			"a service of systemd, not started at boot; failed"},
		{boot.Status{Files: []string{"x"}, Enabled: true},
			"started at boot by systemd; not running"},
	} {
		test.st.System = boot.Systemd
		if got := bootState(test.st); got != test.want {
			t.Errorf("%+v: %q, want %q", test.st, got, test.want)
		}
	}
}
