package daemonry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

// refused calls Detach with what it must not take, and prints what comes of it.
var refused = proctest.Register("refused", func(args []string) int {
	closed, err := os.Open(os.DevNull)
	if err != nil {
		return 1
	}
	closed.Close()
	number, err := os.Open(os.DevNull)
	if err != nil {
		return 1
	}
	o := daemonry.Options{PIDFile: args[1], Foreground: len(args) > 2}
	switch args[0] {
	case "nil":
		o.Files = []*os.File{os.Stdin, nil}
	case "closed":
		o.Files = []*os.File{closed}
	case "number":
		if syscall.Close(int(number.Fd())) != nil {
			return 1
		}
		o.Files = []*os.File{os.Stdin, os.Stdout, number}
	case "negative":
		o.Timeout = -time.Second
	}
	_, err = daemonry.Detach(context.Background(), o)
	fmt.Println(err)
	var launch *daemonry.LaunchError
	if !errors.As(err, &launch) {
		return 1
	}
	return launch.ExitStatus()
})

func TestOptionsAreChecked(t *testing.T) {
	for what, want := range map[string]string{
		"nil":      "prepare: Options.Files[1] is nil\n",
		"closed":   "prepare: Options.Files[0] is closed\n",
		"number":   "prepare: Options.Files[2] is closed\n",
		"negative": "prepare: Options.Timeout is negative: -1s\n",
	} {
		for _, more := range [][]string{nil, {"foreground"}} {
			t.Run(fmt.Sprint(what, more), func(t *testing.T) {
				proctest.CheckLeaks(t)
				pidFile := filepath.Join(t.TempDir(), "app.pid")
				out, err := refused.Command(t, append([]string{what, pidFile}, more...)...).Output()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 125 || string(out) != want {
					t.Errorf("%v: %q, want %q", err, out, want)
				}
				if _, err := os.Lstat(pidFile); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the pid file was touched: %v", err)
				}
			})
		}
	}
}

// long is a daemon whose reason is long.
var long = proctest.Register("long", func([]string) int {
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{Timeout: time.Minute})
	if proc == nil && err == nil {
		daemonry.Fail(errors.New("first words " + strings.Repeat("ä", 40<<20)))
	}
	text := err.Error()
	fmt.Println(len(text), strings.HasPrefix(text, "first words ää"), text[len(text)-40:])
	var launch *daemonry.LaunchError
	errors.As(err, &launch)
	return launch.ExitStatus()
})

func TestLongTextIsCut(t *testing.T) {
	proctest.CheckLeaks(t)
	out, err := long.Command(t).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.HasPrefix(string(out), "65566 true ") ||
		!strings.HasSuffix(string(out), "ä… (cut, 83820556 bytes more)\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// stuck is a launcher whose pid file or log is somewhere, with a time-out. It says what Detach has
// returned, and, when told to go on, that nothing is left of the files that it opened.
var stuck = proctest.Register("stuck", func(args []string) int {
	o := daemonry.Options{PIDFile: args[0], LogFile: args[1]}
	o.Foreground = len(args) > 3
	o.Timeout, _ = time.ParseDuration(args[2])
	begin := time.Now()
	proc, err := daemonry.Detach(context.Background(), o)
	if proc == nil && err == nil {
		time.Sleep(time.Hour)
	}
	if time.Since(begin) > 40*time.Second {
		fmt.Print("late: ")
	}
	if o.Foreground {
		daemonry.Fail(err) // needs whatever Detach has locked
	}
	fmt.Println(err)
	_, _ = os.Stdin.Read(make([]byte, 1))
	for left := "?"; left != ""; time.Sleep(time.Millisecond) {
		left = ""
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, f := range files {
			to, _ := os.Readlink(f)
			if to == args[0] || to == args[1] || strings.Contains(to, "memfd") {
				left = to
			}
		}
	}
	fmt.Println("nothing is left")
	return 0
})

// silence is a file that does not answer from the call of hang to the end of that test.
type silence struct {
	name, path string
	hang       func(t *testing.T)
}

// silences are those that the user may make.
func silences(t *testing.T) []silence {
	held := filepath.Join(t.TempDir(), "held")
	list := []silence{{"held", held, func(t *testing.T) { holdOpening(t, held) }}}
	if os.Getuid() != 0 {
		return list
	}
	for _, how := range []proctest.Silence{proctest.NeverBegun, proctest.Deaf} {
		dir := t.TempDir()
		list = append(list, silence{string(how), dir + "/file", func(t *testing.T) {
			hangOver(t, dir, how)
		}})
	}
	return list
}

// hangOver has all names in dir be those of a file system that does not answer, until the test
// ends.
func hangOver(t *testing.T, dir string, how proctest.Silence) {
	t.Helper()
	if err := syscall.Mount(proctest.HungFS(t, how), dir, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestFileSystemDoesNotAnswer: Detach names what it is at, when its time is over, and clears away
// what the file system gives it later.
func TestFileSystemDoesNotAnswer(t *testing.T) {
	for _, what := range []string{"pid", "log"} {
		for _, h := range silences(t) {
			t.Run(what+" "+h.name, func(t *testing.T) {
				proctest.CheckLeaks(t)
				dir := t.TempDir()
				pidFile, logFile := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
				want := "prepare: open " + what + " file " + h.path
				switch {
				case what == "log":
					logFile = h.path
				case h.name == "held": // it answers to all but opening
					pidFile = h.path
				default:
					pidFile = h.path
					want = "prepare: look at pid file " + h.path + " and log file " + logFile
				}
				launcher := newTalk(t, stuck.Command(t, pidFile, logFile, "1s"))
				t.Run("until it answers", func(t *testing.T) {
					h.hang(t)
					launcher.start()
					launcher.says(t, want+
						": the file system has not answered: not ready within 1s\n")
					if _, err := os.Lstat(filepath.Join(dir, "pid")); !errors.Is(err,
						fs.ErrNotExist) {
						t.Errorf("the pid file, whose file system is well: %v", err)
					}
				})
				launcher.goOn(t)
			})
		}
	}
}

// TestPIDFileStopsAnswering has the file system go when the daemon is about to run.
func TestPIDFileStopsAnswering(t *testing.T) {
	if os.Getuid() != 0 {
		return // nobody else may have one come in the place of another
	}
	proctest.CheckLeaks(t)
	dir, held := t.TempDir(), filepath.Join(t.TempDir(), "log")
	pidFile := filepath.Join(dir, "pid")
	log := holdOpening(t, held)
	launcher := newTalk(t, stuck.Command(t, pidFile, held, "5s"))
	launcher.start()
	t.Run("until it answers", func(t *testing.T) {
		// It has the pid file and waits for the log.
		proctest.Eventually(t, 20*time.Second, func() error {
			if fcntl(t, log, getLease, 0) == syscall.F_WRLCK {
				return errors.New("nobody wants the log")
			}
			return nil
		})
		hangOver(t, dir, proctest.NeverBegun) // in which the daemon can be killed
		log.Close()
		launcher.says(t, "prepare: write pid file "+pidFile+
			": the file system has not answered: not ready within 5s\n")
	})
	launcher.goOn(t)
}

// TestForegroundDoesNotHang either, and Fail works after it.
func TestForegroundDoesNotHang(t *testing.T) {
	proctest.CheckLeaks(t)
	path := filepath.Join(t.TempDir(), "pid")
	holdOpening(t, path)
	out, err := stuck.Command(t, path, "", "1s", "foreground").CombinedOutput()
	want := "open pid file " + path + ": the file system has not answered: not ready within 1s\n"
	if err == nil || !strings.HasSuffix(string(out), want) ||
		strings.HasPrefix(string(out), "late") {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}

// moved is a launcher that waits for a word before it calls Detach.
var moved = proctest.Register("moved", func([]string) int {
	fmt.Println("runs")
	_, _ = os.Stdin.Read(make([]byte, 1))
	_, err := daemonry.Detach(context.Background(), daemonry.Options{Timeout: time.Second})
	fmt.Println(err)
	return 0
})

// TestOwnFileDoesNotAnswer: nor is it waited for where the program itself is.
func TestOwnFileDoesNotAnswer(t *testing.T) {
	path := moved.Path(t)
	if os.Getuid() != 0 {
		return // see TestPIDFileStopsAnswering
	}
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	program := filepath.Join(dir, filepath.Base(path))
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(program, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	launcher := newTalk(t, exec.Command(program))
	launcher.start()
	launcher.says(t, "runs\n")
	t.Run("until it answers", func(t *testing.T) {
		hangOver(t, dir, proctest.Deaf)
		launcher.in.Close()
		launcher.says(t, "prepare: find the program's own file: the file system has not "+
			"answered: not ready within 1s\n")
	})
	_ = launcher.cmd.Wait()
}

// talk is a program that says a line, and goes on when its input ends.
type talk struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Reader
	err   error
}

func newTalk(t *testing.T, cmd *exec.Cmd) *talk {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &talk{cmd: cmd, in: in, lines: bufio.NewReader(out)}
}

func (l *talk) start() { l.err = l.cmd.Start() }

func (l *talk) says(t *testing.T, want string) {
	t.Helper()
	if l.err != nil {
		t.Fatal(l.err)
	}
	if line, err := l.lines.ReadString('\n'); line != want {
		t.Errorf("%q, %v, want %q", line, err, want)
	}
}

func (l *talk) goOn(t *testing.T) {
	t.Helper()
	l.in.Close()
	l.says(t, "nothing is left\n")
	if err := l.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
