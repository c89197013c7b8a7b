package proctest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	sigpipe = syscall.SIGPIPE
	sigusr1 = syscall.SIGUSR1
	sigusr2 = syscall.SIGUSR2
	sigchld = syscall.SIGCHLD
	sigttou = syscall.SIGTTOU
	sigttin = syscall.SIGTTIN
	sigtstp = syscall.SIGTSTP
)

// Command returns a command that executes argv in the hostile state. The
// program is looked up here, in the PATH of the tests. Stdin, Stdout, Stderr
// and ExtraFiles are the caller's to set; Env, Dir and SysProcAttr are not.
func (h Hostile) Command(t testing.TB, argv ...string) *exec.Cmd {
	t.Helper()
	argv = slices.Clone(argv)
	path, err := exec.LookPath(argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		t.Fatal(err)
	}
	argv[0] = path
	l := launch{Hostile: h, Argv: h.Under.wrap(t, argv)}
	l.Terminal = nil
	cmd := launcher.Command(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: h.GroupLeader && h.Terminal == nil}
	if h.Under == Cron {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Dir = "/"
		cmd.Env = []string{"HOME=/", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"}
	}
	if h.Terminal != nil {
		h.Terminal.open(t)
		cmd.Stdin = h.Terminal.slave
		cmd.ExtraFiles = []*os.File{h.Terminal.slave}
		l.TerminalFD = 3
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: l.TerminalFD}
	}
	order, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, string(order))
	return cmd
}

// wrap returns the command line with which the wrapper starts argv.
func (w Wrapper) wrap(t testing.TB, argv []string) []string {
	t.Helper()
	var before []string
	switch w {
	case Direct:
		return argv
	case Nohup:
		before = []string{"nohup"}
	case Script:
		before, argv = []string{"script", "-qec", shellQuote(argv), "/dev/null"}, nil
	case Setsid:
		before = []string{"setsid", "-w"}
	case CleanEnv:
		before = []string{"env", "-i"}
	case Cron:
		before, argv = []string{"sh", "-c", shellQuote(argv)}, nil
	case Pipeline:
		before = []string{"bash", "-c", `set -o pipefail; "$@" | cat`, "bash"}
	case PID1:
		before = []string{"unshare", "--fork", "--kill-child", "--pid", "--mount-proc"}
		if os.Geteuid() != 0 {
			before = append(before, "--user", "--map-current-user")
		}
	default:
		t.Fatalf("no wrapper %q", w)
	}
	path, err := exec.LookPath(before[0])
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]string{path}, before[1:]...), argv...)
}

// shellQuote writes a command line that sh splits into argv again.
func shellQuote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// open opens the terminal, reads what is printed on it, so that nobody blocks
// there, and closes it at the end of the test.
func (tt *Terminal) open(t testing.TB) {
	t.Helper()
	if tt.master != nil {
		return
	}
	var err error
	if tt.master, tt.slave, err = OpenTerminal(); err != nil {
		t.Fatal(err)
	}
	tt.output = make(chan []byte, 1)
	go func() {
		// The end of a terminal reads as EIO when its last user is gone,
		// and as a closed file after HangUp: both are the end we wait for.
		text, _ := io.ReadAll(tt.master)
		tt.output <- text
	}()
	t.Cleanup(func() { tt.HangUp() })
}

// Slave returns the end of the terminal that programs see, for Stdout and Stderr.
func (tt *Terminal) Slave(t testing.TB) *os.File {
	t.Helper()
	tt.open(t)
	return tt.slave
}

// HangUp closes the terminal, as the end of a login does: its session leader
// and foreground group get SIGHUP. It returns what was printed on the terminal
// the first time it is called.
func (tt *Terminal) HangUp() string {
	if tt.output == nil {
		return ""
	}
	tt.slave.Close()
	tt.master.Close()
	text := <-tt.output
	tt.output = nil
	return string(text)
}
