package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// TestMain makes the test binary be the command when a script calls it. The
// stages it starts are that binary too: they recognise themselves before this.
func TestMain(m *testing.M) {
	// Scripts mostly wait; before the flags are parsed, so -parallel overrides it.
	check(flag.Set("test.parallel", "8"))
	testscript.Main(m, map[string]func(){
		"daemonry":  main,
		"daemonize": main,
		"interrupt": interrupt,
		"hangup":    hangup,
		"leave":     leave,
		"terminal":  terminal,
	})
}

// TestScripts runs the command as people do. UPDATE=1 writes what it prints
// into the scripts.
func TestScripts(t *testing.T) {
	proctest.AsLoggedIn()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"runs":  runs,
			"alive": alive,
			"gone":  gone,
			"end":   end,
		},
	})
}

// mark is a variable that everything a script starts has in its environment,
// unless the script clears that, so that what is left behind is found.
const mark = "SCRIPT_MARK="

func setup(env *testscript.Env) error {
	env.Setenv("SCRIPT_MARK", env.WorkDir)
	env.Setenv("HOME", env.WorkDir)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	ports, err := freePorts()
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLE_PORTS", ports)
	// A supervisor of its own for each script, which ends it.
	env.Setenv("DAEMONRY_ROOT", env.WorkDir+"/d")
	env.Setenv("GORACE", proctest.RaceSettings())
	// A directory of PATH that we may not search would hide that a program does not exist.
	ours, _, _ := strings.Cut(env.Getenv("PATH"), ":")
	env.Setenv("PATH", ours+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	if err := makeExecutable(env.WorkDir); err != nil {
		return err
	}
	env.Defer(func() {
		// The supervisor too, which has nothing of the environment of who starts it but its
		// directories and HOME.
		for _, pid := range append(marked(env.WorkDir), withVariable("="+env.WorkDir+"/")...) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			env.T().Log("left behind: process", pid)
			if t, ok := env.T().(interface{ Fail() }); ok {
				t.Fail()
			}
		}
	})
	return nil
}

// freePorts returns the beginning of ten port numbers, which differ in the last digit, that nobody
// uses. They are not of those that the kernel gives to connections (ip_local_port_range).
func freePorts() (string, error) {
	for range 100 {
		prefix := strconv.Itoa(1100 + rand.IntN(2000))
		if portsAreFree(prefix) {
			return prefix, nil
		}
	}
	return "", errors.New("no ten free ports")
}

func portsAreFree(prefix string) bool {
	for last := range 10 {
		l, err := net.Listen("tcp", "127.0.0.1:"+prefix+strconv.Itoa(last))
		if err != nil {
			return false
		}
		check(l.Close())
	}
	return true
}

// makeExecutable gives scripts the right that txtar cannot express.
func makeExecutable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(data, []byte("#!")) {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

// marked lists the processes that a script has started.
func marked(dir string) []int { return withVariable("\x00" + mark + dir + "\x00") }

// withVariable lists the processes that have this text in their environment, which begins and ends
// with a NUL.
func withVariable(text string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, data...), []byte(text)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// exits runs a command and wants exactly this exit status: exits 127 daemonry …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := run(ts, args[1:]); got != want {
		ts.Fatalf("exit status %d, want %d\nstderr: %s", got, want, ts.ReadFile("stderr"))
	}
}

// runs runs a command whose exit status is not the point.
func runs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: runs COMMAND [ARG…]")
	}
	ts.Logf("exit status %d", run(ts, args))
}

// run runs a command and returns its exit status.
func run(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	return 0
}

// alive wants the process whose pid is in a file to be alive, or not.
func alive(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] alive FILE")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if is := lives(pid); is == neg {
		ts.Fatalf("process %d alive: %v", pid, is)
	}
}

// lives says whether a process has not ended; an init may leave it a zombie for seconds.
func lives(pid int) bool {
	stat, err := sys.ReadStat(pid)
	return err == nil && !stat.Exited()
}

// end kills the daemon whose pid is in a file, or has just been printed, by itself or in JSON.
func end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: end [FILE]")
	}
	file := append(args, "stdout")[0]
	digits := regexp.MustCompile("[0-9]+").FindString(ts.ReadFile(file))
	pid, err := strconv.Atoi(digits)
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	for deadline := time.Now().Add(time.Minute); lives(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("process %d does not end", pid)
		}
	}
}

// gone wants no process of the script to be left, at once.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: gone")
	}
	if pids := marked(ts.Getenv("WORK")); len(pids) > 0 {
		ts.Fatalf("processes left behind: %v", pids)
	}
}

// interrupt SIGNAL FILE COMMAND… runs a command, sends it the signal as soon as FILE
// is there, and ends as it does.
func interrupt() {
	number, err := strconv.Atoi(os.Args[1])
	check(err)
	cmd := exec.Command(os.Args[3], os.Args[4:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	check(cmd.Start())
	awaitFile(os.Args[2], cmd)
	check(cmd.Process.Signal(syscall.Signal(number)))
	endAs(cmd)
}

// awaitFile waits until a file is there; without it the command is ended.
func awaitFile(file string, cmd *exec.Cmd) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		} else if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			check(err)
		}
	}
}

// endAs waits for a command and ends as it does.
func endAs(cmd *exec.Cmd) {
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
}

// hangup FILE COMMAND… runs a command on a terminal of its own, for all that it reads and writes,
// which goes away as soon as FILE is there; and ends as it does.
func hangup() {
	master, slave, err := proctest.OpenTerminal()
	check(err)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(cmd.Start())
	check(slave.Close())
	awaitFile(os.Args[1], cmd)
	check(master.Close())
	endAs(cmd)
}

// terminal FILE COMMAND… runs a command on a terminal, which is its standard input, and ends as it
// does. What is written on the terminal goes into the file, to the last byte: testscript's own
// "ttyin" closes its end when the command is over, read or not.
func terminal() {
	master, slave, err := proctest.OpenTerminal()
	check(err)
	shown, err := os.Create(os.Args[1])
	check(err)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(cmd.Start())
	check(slave.Close())
	// the last who had it open is gone
	if _, err := io.Copy(shown, master); !errors.Is(err, syscall.EIO) {
		check(err)
	}
	check(shown.Close())
	endAs(cmd)
}

// leave COMMAND… runs a command from a directory that has been deleted, with SIGINT ignored.
func leave() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	check(os.Chdir(dir))
	check(os.Remove(dir))
	signal.Ignore(syscall.SIGINT)
	path, err := exec.LookPath(os.Args[1])
	check(err)
	check(syscall.Exec(path, os.Args[1:], os.Environ()))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
