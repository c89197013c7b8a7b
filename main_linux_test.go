package daemonry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// app is a program with a -d flag. Its arguments are "name=value": the options
// of Detach, and what it does as the daemon ("do").
var app = proctest.Register("app", func(args []string) int {
	o := daemonry.Options{Timeout: time.Minute}
	do, files := "serve", ""
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "pid":
			o.PIDFile = value
		case "log":
			o.LogFile = value
		case "do":
			do = value
		case "timeout":
			o.Timeout, _ = time.ParseDuration(value)
		case "umask":
			n, _ := strconv.ParseInt(value, 8, 32)
			o.Umask = new(int(n))
		case "uid":
			n, _ := strconv.ParseUint(value, 10, 32)
			o.User = &daemonry.User{UID: uint32(n), GID: uint32(n)}
		case "chroot":
			o.Chroot = value
		case "dir":
			o.Dir = value
		case "capture":
			o.Capture = true
		case "locked":
			files = value
		case "background":
			o.Background = true
		case "foreground":
			o.Foreground = true
		}
	}
	if files != "" && !daemonry.IsDaemon() {
		f, err := os.OpenFile(files, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
		o.Files = []*os.File{f}
	}
	// Locks and goroutines that are there before must not matter.
	if !daemonry.IsDaemon() {
		go func() {
			for {
				_ = make([]byte, 1<<16)
			}
		}()
	}
	proc, err := daemonry.Detach(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		le, ok := err.(*daemonry.LaunchError)
		if fds, _ := filepath.Glob("/proc/self/fd/*"); o.Capture {
			for _, fd := range fds {
				if to, _ := os.Readlink(fd); strings.Contains(to, "memfd:") {
					fmt.Fprintln(os.Stderr, "left open:", to)
				}
			}
		}
		if ok {
			return le.ExitStatus()
		}
		return 1
	}
	if proc != nil {
		fmt.Println(proc.PID)
		if o.Capture {
			out, _ := io.ReadAll(proc.Stdout)
			errs, _ := io.ReadAll(proc.Stderr)
			fmt.Printf("stdout %q stderr %q\n", out, errs)
		}
		return 0
	}
	return daemonMain(do)
})

func daemonMain(do string) int {
	switch kind, arg, _ := strings.Cut(do, ":"); kind {
	case "fail":
		daemonry.Fail(errors.New(arg))
	case "failstatus":
		daemonry.Fail(statusError{errors.New("no such table"), 42})
	case "failwide":
		daemonry.Fail(statusError{errors.New("status out of range"), 256})
	case "exit":
		fmt.Fprintln(os.Stderr, "last", "words")
		n, _ := strconv.Atoi(arg)
		return n
	case "panic":
		panic(arg)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "whoami":
		if !daemonry.IsDaemon() {
			fmt.Println("the foreground")
			return 0
		}
	case "hang":
		fmt.Println("hanging")
		time.Sleep(time.Hour)
	case "forbid":
		if err := proctest.ForbidCall(arg, syscall.EPERM); err != nil {
			return 3
		}
		fmt.Fprintln(os.Stderr, "first:", daemonry.Ready())
		err := daemonry.Ready()
		fmt.Fprintln(os.Stderr, "second:", err)
		daemonry.Fail(err)
	case "print":
		fmt.Print("to stdout")
		fmt.Fprint(os.Stderr, "to stderr")
	case "leave":
		exec.Command("sleep", "3600").Start()
		return 9
	}
	told := make(chan os.Signal, 1)
	if do == "release" || do == "fail late" {
		signal.Notify(told, syscall.SIGTERM)
	}
	if err := daemonry.Ready(); err != nil {
		return 1
	}
	fmt.Println("after ready") // must work, wherever it goes
	if do == "release" || do == "fail late" {
		<-told
	}
	switch do {
	case "release":
		fmt.Println("release:", daemonry.Release())
		return 0
	case "fail late":
		daemonry.Fail(errors.New("broken"))
	}
	time.Sleep(time.Hour)
	return 0
}

type statusError struct {
	error
	status int
}

func (e statusError) ExitStatus() int { return e.status }

// run starts the launcher and returns the daemon's pid, its output and its exit status.
func run(t *testing.T, cmd *exec.Cmd) (pid int, stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	first, _, _ := strings.Cut(out.String(), "\n")
	if pid, _ = strconv.Atoi(strings.TrimSpace(first)); pid > 0 {
		proctest.KillAtEnd(t, pid)
	}
	return pid, out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
