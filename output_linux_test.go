package daemonry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

// printer is a program that prints on both outputs before and after Ready, and again when it is
// told to reopen its logs.
var printer = proctest.Register("printer", func(args []string) int {
	o := daemonry.Options{Timeout: time.Minute, Background: true}
	capture := ""
	var pipe *os.File
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "log":
			o.LogFile = value
		case "err":
			o.ErrFile = value
		case "pid":
			o.PIDFile = value
		case "pipe":
			if !daemonry.IsDaemon() {
				pipe, o.Output, _ = os.Pipe()
			}
		case "progress":
			o.Progress = func(p daemonry.Progress) {
				fmt.Printf("%s %v %q\n", p.Phase, p.PID > 0, p.Status)
			}
		case "foreground":
			o.Foreground = true
		case "capture":
			capture = value
		}
	}
	if err := daemonry.Status("too early"); (err != nil) != daemonry.IsDaemon() {
		fmt.Fprintln(os.Stderr, "status before Detach:", err)
		return 1
	}
	proc, err := daemonry.Detach(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if proc != nil {
		fmt.Println(proc.PID)
		if pipe != nil {
			line, err := bufio.NewReader(pipe).ReadString('2')
			fmt.Printf("piped %q, %v\n", line, err)
		}
		return 0
	}
	return printerMain(o, capture)
})

func printerMain(o daemonry.Options, capture string) int {
	obedience, err := daemonry.DefaultCommands().Obey(daemonry.Handlers{
		"reload": func(context.Context) error { return errors.New("cannot reload") },
		"reopen": func(context.Context) error {
			err := daemonry.ReopenLog()
			print2("out3\n", "err3\n")
			return err
		},
		"stop": func(context.Context) error { return daemonry.ErrStop },
	})
	if err != nil {
		daemonry.Fail(err)
	}
	end := func() {}
	if capture == "unread" {
		if _, err := daemonry.CaptureOutput(); err != nil {
			daemonry.Fail(err)
		}
	} else if capture != "" {
		if end, err = stamp(); err != nil {
			daemonry.Fail(err)
		}
	}
	print2("out1\n", "err1\n")
	switch capture {
	case "Fail":
		if err := daemonry.Ready(); err != nil {
			return 1
		}
		daemonry.Fail(errors.New("for a reason"))
	case "fail":
		end()
		return 7
	case "panic":
		panic("while starting")
	case "unread":
		daemonry.Fail(errors.New(strings.Repeat("long", 1<<15)))
	}
	if daemonry.Status("opening\ntables") == nil {
		daemonry.Fail(errors.New("a status of two lines was taken"))
	}
	if err := errors.Join(daemonry.Status("opening tables"), daemonry.Ready()); err != nil {
		return 1
	}
	if err := daemonry.Status("nobody waits any more"); err != nil {
		daemonry.Fail(err)
	}
	print2("out2", "err2\n")
	switch capture {
	case "crash":
		panic("later")
	case "crowd": // whose stacks are more than a pipe holds
		for range 2000 {
			go func() { select {} }()
		}
		panic("later" + strings.Repeat(".", 200<<10))
	}
	if o.Foreground {
		end()
		return 0
	}
	err = obedience.Serve(context.Background())
	end()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("stopped")
	if err := daemonry.Release(); err != nil {
		return 1
	}
	return 0
}

func print2(out, err string) { fmt.Print(out); fmt.Fprint(os.Stderr, err) }

// stamp has every line that this process prints begin with a word.
func stamp() (end func(), err error) {
	c, err := daemonry.CaptureOutput()
	if err != nil {
		return nil, err
	}
	read := make(chan struct{}, 2)
	follow := func(from, to *os.File, word string) {
		for lines := bufio.NewScanner(from); lines.Scan(); {
			fmt.Fprintf(to, "%s: %s\n", word, lines.Text())
		}
		from.Close()
		read <- struct{}{}
	}
	go follow(c.Stdout, c.Log, "out")
	go follow(c.Stderr, c.ErrLog, "err")
	return func() {
		if err := c.Close(); err != nil {
			fmt.Println(err)
		}
		<-read
		<-read
	}, nil
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	proctest.Eventually(t, time.Minute, func() error {
		got, err := os.ReadFile(path)
		if err == nil && string(got) != want {
			err = fmt.Errorf("%s has %q, want %q", filepath.Base(path), got, want)
		}
		return err
	})
}

// TestOutputsApart: each in its file, from the first line on, and after a rotation.
func TestOutputsApart(t *testing.T) {
	for _, only := range []bool{false, true} {
		t.Run(fmt.Sprint("only standard error ", only), func(t *testing.T) {
			proctest.CheckLeaks(t)
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			args := []string{"err=" + in("err"), "pid=" + in("pid")}
			if !only {
				args = append(args, "log="+in("out"))
			}
			pid, _, stderr, _ := run(t, printer.Command(t, args...))
			if pid == 0 {
				t.Fatal(stderr)
			}
			mustHold(t, in("err"), "err1\nerr2\n")
			if !only {
				mustHold(t, in("out"), "out1\nout2")
				if err := os.Rename(in("out"), in("out.1")); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(in("err"), in("err.1")); err != nil {
				t.Fatal(err)
			}
			send(t, in("pid"), "reopen")
			mustHold(t, in("err"), "err3\n")
			if !only {
				mustHold(t, in("out"), "out3\n")
			}
			send(t, in("pid"), "stop")
			if !only {
				mustHold(t, in("out"), "out3\nstopped\n")
			}
		})
	}
}

func send(t *testing.T, pidFile, word string) {
	t.Helper()
	if err := daemonry.DefaultCommands().Send(t.Context(), pidFile, word); err != nil {
		t.Fatal(err)
	}
}

// TestLastWordsOfOutputsApart are those of standard error.
func TestLastWordsOfOutputsApart(t *testing.T) {
	dir := t.TempDir()
	_, _, stderr, status := run(t, printer.Command(t, "log="+filepath.Join(dir, "out"),
		"err="+filepath.Join(dir, "err"), "capture=panic"))
	if status != 1 || !strings.Contains(stderr, "panic: while starting") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// TestOutputIsAPipe that the launcher has open.
func TestOutputIsAPipe(t *testing.T) {
	pid, stdout, stderr, _ := run(t, printer.Command(t, "pipe="))
	if pid == 0 || !strings.Contains(stdout, `piped "out1\nerr1\nout2", <nil>`) {
		t.Errorf("%s%s", stdout, stderr)
	}
}

func TestProgress(t *testing.T) {
	_, stdout, stderr, _ := run(t, printer.Command(t, "progress="))
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	want := []string{
		`start daemon false ""`, `wait for ready true ""`, `wait for ready true "opening tables"`,
	}
	if len(lines) != 4 || !slices.Equal(lines[:3], want) {
		t.Errorf("%q, %s", lines, stderr)
	} else {
		endAtEnd(t, lines[3])
	}
}

func endAtEnd(t *testing.T, line string) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, pid)
}

// TestCaptureForLife: the daemon reads what it prints, before and after Ready, and what it writes
// of that is where it would have gone.
func TestCaptureForLife(t *testing.T) {
	dir := t.TempDir()
	log, pidFile := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
	pid, _, stderr, _ := run(t, printer.Command(t, "log="+log, "pid="+pidFile, "capture=life"))
	if pid == 0 {
		t.Fatal(stderr)
	}
	lines := func(want ...string) {
		t.Helper()
		proctest.Eventually(t, time.Minute, func() error {
			got, err := os.ReadFile(log)
			list := strings.Split(strings.TrimSpace(string(got)), "\n")
			slices.Sort(list) // two readers
			if err == nil && !slices.Equal(list, want) {
				err = fmt.Errorf("the log has %q", list)
			}
			return err
		})
	}
	lines("err: err1", "err: err2", "out: out1") // out2 has no end yet
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	send(t, pidFile, "reopen")
	lines("err: err3", "out: out2out3")
	send(t, pidFile, "stop")
	lines("err: err3", "out: out2out3", "stopped")
}

// TestCaptureLosesNoCrash: what ends the process is in the log, and in the launcher's error.
func TestCaptureLosesNoCrash(t *testing.T) {
	dir := t.TempDir()
	for capture, want := range map[string]string{
		"fail": "err: err1", "panic": "panic: while starting",
	} {
		for _, log := range []string{"", "log=" + filepath.Join(dir, capture)} {
			_, _, stderr, status := run(t, printer.Command(t, "capture="+capture, log))
			if status != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%s, %q: status %d, %s", capture, log, status, stderr)
			}
		}
	}
	for capture, want := range map[string]string{
		"crash": "panic: later", "Fail": "\nproctest-printer: for a reason\n",
		"crowd": ".\n\ngoroutine ",
	} {
		log, pidFile := filepath.Join(dir, capture), filepath.Join(dir, capture+".pid")
		outputOf(t, printer.Command(t, "capture="+capture, "log="+log, "pid="+pidFile))
		proctest.Eventually(t, time.Minute, func() error {
			if i, err := daemonry.Find(pidFile); err == nil {
				return errors.Join(errors.New("it lives"), i.Close())
			}
			got, err := os.ReadFile(log)
			if err == nil && !strings.Contains("\n"+string(got), want) {
				err = fmt.Errorf("the log has %.100q", got)
			}
			return err
		})
	}
}

// TestCaptureLosesNoFailure: Fail waits for nobody to read what this process prints, and says why
// wherever that can be said.
func TestCaptureLosesNoFailure(t *testing.T) {
	want := ": " + strings.Repeat("long", 1<<15) + "\n"
	log := filepath.Join(t.TempDir(), "log")
	for _, path := range []string{log, "/dev/full"} {
		cmd := printer.Command(t, "foreground=", "capture=unread", "log="+path)
		hung := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		_, _, stderr, status := run(t, cmd)
		hung.Stop()
		if status != 1 || !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: status %d, printed %.99q", path, status, stderr)
		}
	}
	if got, err := os.ReadFile(log); err != nil || !strings.HasSuffix(string(got), want) {
		t.Errorf("the log has %.99q, %v", got, err)
	}
}

// TestForegroundOutputs: in the foreground it is the same.
func TestForegroundOutputs(t *testing.T) {
	dir := t.TempDir()
	log, errs := filepath.Join(dir, "out"), filepath.Join(dir, "err")
	if out := outputOf(t, printer.Command(t, "foreground=", "err="+errs)); out != "out1\nout2" {
		t.Errorf("printed %q", out)
	}
	mustHold(t, errs, "err1\nerr2\n")
	out := outputOf(t, printer.Command(t, "foreground=", "log="+log, "capture=life"))
	if out != "" {
		t.Errorf("printed %q", out)
	}
	got, err := os.ReadFile(log)
	list := strings.Split(strings.TrimSpace(string(got)), "\n")
	slices.Sort(list)
	if want := []string{"err: err1", "err: err2", "out: out1", "out: out2"}; err != nil ||
		!slices.Equal(list, want) {
		t.Errorf("%q, %v", list, err)
	}
}

// giver is a program in the foreground that has its outputs open already.
var giver = proctest.Register("giver", func(args []string) int {
	how, log := args[0], args[1]
	o := daemonry.Options{Foreground: true}
	given, err := os.Create(log)
	if err != nil {
		return 3
	}
	var pipe *os.File
	switch how {
	case "stderr":
		o.LogFile, o.ErrOutput = log, os.Stderr
	case "stdout":
		o.LogFile, o.ErrOutput = log, os.Stdout
	case "crossed":
		o.Output, o.ErrOutput = os.Stderr, os.Stdout
	case "closed":
		o.Output = given
	case "pipe":
		if pipe, o.Output, err = os.Pipe(); err != nil {
			return 3
		}
	}
	if _, err := daemonry.Detach(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := errors.Join(given.Close(), daemonry.ReopenLog()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if pipe != nil {
		const much = 1 << 20
		read := make(chan error)
		go func() {
			_, err := io.CopyN(io.Discard, pipe, much)
			read <- err
		}()
		_, err := os.Stdout.Write(make([]byte, much))
		if err == nil {
			err = <-read
		}
		_ = os.WriteFile(log, fmt.Append(nil, err), 0o600)
		return 0
	}
	print2("out", "err")
	return 0
})

// TestForegroundOutputsGiven: they may be standard output or standard error, and be closed when
// Detach has returned; and who prints to a pipe waits for its reader.
func TestForegroundOutputsGiven(t *testing.T) {
	for how, want := range map[string][3]string{ // standard output, standard error, log
		"stderr":  {"", "err", "out"},
		"stdout":  {"err", "", "out"},
		"crossed": {"err", "out", ""},
		"closed":  {"", "", "outerr"},
		"pipe":    {"", "", "<nil>"},
	} {
		log := filepath.Join(t.TempDir(), "log")
		cmd := giver.Command(t, how, log)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, time.Minute
		err := cmd.Run()
		logged, logErr := os.ReadFile(log)
		got := [3]string{out.String(), errs.String(), string(logged)}
		if err := errors.Join(err, logErr); err != nil || got != want {
			t.Errorf("%s: %q, want %q, %v", how, got, want, err)
		}
	}
}

// namer is a program whose daemon says the names of its files.
var namer = proctest.Register("namer", func(args []string) int {
	o := daemonry.Options{Capture: true, Background: true}
	if !daemonry.IsDaemon() {
		for _, name := range args {
			f, err := os.Open("/dev/null")
			if err != nil {
				return 1
			}
			o.Files = append(o.Files, os.NewFile(f.Fd(), name))
		}
	}
	proc, err := daemonry.Detach(context.Background(), o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if proc != nil {
		fmt.Println(proc.PID)
		_, err := io.Copy(os.Stdout, proc.Stdout)
		fmt.Println(err)
		return 0
	}
	for _, f := range daemonry.Inherited() {
		fmt.Println(f.Name())
	}
	if err := daemonry.Ready(); err != nil {
		return 1
	}
	time.Sleep(time.Hour)
	return 0
})

func TestInheritedFilesKeepTheirNames(t *testing.T) {
	_, out, stderr, _ := run(t, namer.Command(t, "socket: http", "", "a\nb"))
	if !strings.HasSuffix(out, "\nsocket: http\n\na\nb\n<nil>\n") {
		t.Errorf("%q %s", out, stderr)
	}
}
