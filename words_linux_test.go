package daemonry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

// brokenInit is a variable with which the daemon panics before main.
const brokenInit = "BROKEN_INIT"

func init() {
	if os.Getenv(brokenInit) != "" && daemonry.IsDaemon() {
		panic("in an init function")
	}
}

// speaker is a daemon that fails before it is ready. Its arguments are how, and its log file.
var speaker = proctest.Register("speaker", func(args []string) int {
	o := daemonry.Options{Timeout: time.Minute, LogFile: args[1]}
	if args[0] == "init" {
		o.Env = append(os.Environ(), brokenInit+"=1")
	}
	proc, err := daemonry.Detach(context.Background(), o)
	var launch *daemonry.LaunchError
	switch {
	case errors.As(err, &launch):
		fmt.Println(launch.Output)
		fmt.Fprintln(os.Stderr, err)
		return launch.ExitStatus()
	case proc != nil:
		fmt.Println(proc.PID)
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log.SetFlags(0)
	log.SetOutput(os.Stderr)
	log.Print("starting")
	speakAndDie(args[0], args[1])
	if err := daemonry.Ready(); err != nil {
		return 1
	}
	log.Print("after ready")
	time.Sleep(time.Hour)
	return 0
})

func recovered() {
	defer func() { log.Printf("panic: %v\n\n%s", recover(), debug.Stack()) }()
	panic("long ago")
}

// overflow calls itself until the stack has no more room.
func overflow(n int) int {
	if n < 0 {
		return 0
	}
	return overflow(n+1) + 1
}

func sendSelf(sig syscall.Signal) {
	syscall.Kill(os.Getpid(), sig)
	time.Sleep(time.Hour)
}

// speakAndDie returns if the daemon is to be ready.
func speakAndDie(how, logFile string) {
	switch how {
	case "ready":
	case "own":
		f, err := os.Create(logFile + ".crash")
		if err == nil {
			err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
		}
		if err != nil {
			log.Fatal(err)
		}
	case "room":
		os.Remove(filepath.Join(filepath.Dir(logFile), "fill"))
	case "recovered, exit":
		recovered()
		log.Print("cannot bind")
		os.Exit(7)
	case "recovered, panic":
		recovered()
		panic("oops")
	case "goroutines":
		debug.SetTraceback("all")
		for range 3000 {
			go func() { select {} }()
		}
		panic("oops")
	case "panic":
		panic("oops")
	case "within":
		fmt.Fprint(os.Stderr, "loading... ")
		panic("a\nb")
	case "filled":
		os.WriteFile(filepath.Join(filepath.Dir(logFile), "more"), make([]byte, 2<<20), 0o600)
		for range 100 {
			log.Print("cannot bind, and the disk is full by now")
		}
		os.Exit(1)
	case "fatal":
		log.Fatal("cannot bind")
	case "fail":
		daemonry.Fail(errors.New("cannot bind"))
	case "overflow":
		debug.SetMaxStack(1 << 20)
		fmt.Println(overflow(0))
	case "quit":
		sendSelf(syscall.SIGQUIT)
	case "abort":
		sendSelf(syscall.SIGABRT)
	case "segv":
		sendSelf(syscall.SIGSEGV)
	}
}

// ends are the ways in which speaker fails; what its launcher shows begins like that and has that
// in it, and no other line that begins with a reason.
var ends = []struct {
	how, begins, has string
	status           int
}{
	{"recovered, exit", "", "\ncannot bind\n", 7},
	{"recovered, panic", "panic: oops\n\ngoroutine ", "printed before:\n", 2},
	{"goroutines", "panic: oops\n\ngoroutine ", "\nprinted before:\nstarting\n", 2},
	{"panic", "panic: oops\n\ngoroutine ", "\nprinted before:\nstarting\n", 2},
	{"within", "panic: a\n\tb\n\ngoroutine ", "\nprinted before:\nstarting\nloading... \n", 2},
	{"fatal", "starting\ncannot bind\n", "", 1},
	{"fail", "starting\n", "", 1},
	{"overflow", "runtime: goroutine stack exceeds ", "\nfatal error: stack overflow\n", 2},
	{"quit", "SIGQUIT: quit\nPC=", "\nprinted before:\nstarting\n", 2},
	{"abort", "SIGABRT: abort\nPC=", "\nprinted before:\nstarting\n", 2},
	{"segv", "SIGSEGV: segmentation violation\nPC=", "\nprinted before:\nstarting\n", 2},
	{"init", "panic: in an init function\n\ngoroutine ", "", 2},
}

// TestLastWords: whatever a daemon dies of, and whatever becomes of its log, its launcher says what
// it was.
func TestLastWords(t *testing.T) {
	for _, to := range []struct {
		name string
		log  func(t *testing.T) string
	}{
		{"memory", func(*testing.T) string { return "" }},
		{"log", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte("panic: of yesterday\n\ngoroutine 1 [running]:\n"),
				0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"null", func(*testing.T) string { return "/dev/null" }},
		{"device full", func(*testing.T) string { return "/dev/full" }},
		{"full disk", func(t *testing.T) string { return filepath.Join(fullDisk(t, 0), "log") }},
		{"nearly full disk", func(t *testing.T) string {
			return filepath.Join(fullDisk(t, 64<<10), "log")
		}},
	} {
		t.Run(to.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			logFile := to.log(t)
			for _, end := range ends {
				out, errs, status := speak(t, end.how, logFile)
				if status != end.status || !strings.HasPrefix(out, end.begins) ||
					!strings.Contains(out, end.has) || strings.Contains(out, "yesterday") {
					t.Errorf("%s: status %d, output\n%s", end.how, status, out)
				}
				if want := "cannot bind\n"; end.how == "fail" && errs != want {
					t.Errorf("the error is %q, want %q", errs, want)
				}
			}
		})
	}
}

// TestNoCrashOutputRemains: when a daemon is ready, nothing of its launcher's is open, and what the
// program itself has set up for a crash is there.
func TestNoCrashOutputRemains(t *testing.T) {
	proctest.CheckLeaks(t)
	for _, how := range []string{"ready", "own"} {
		logFile := filepath.Join(t.TempDir(), "log")
		pid, _, stderr, status := run(t, speaker.Command(t, how, logFile))
		if pid == 0 {
			t.Fatalf("%s: status %d, %s", how, status, stderr)
		}
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil || len(fds) < 3 {
			t.Fatal(fds, err)
		}
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.Contains(to, "memfd:") {
				t.Errorf("%s: %s is %s", how, fd, to)
			}
		}
		if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		proctest.Gone(t, pid)
		b, err := os.ReadFile(logFile + ".crash")
		if own := how == "own"; own != (err == nil && strings.HasPrefix(string(b), "SIGQUIT: ")) {
			t.Errorf("%s: the program's own crash output is %q, %v", how, b, err)
		}
	}
}

// TestLogThatHadNoRoom: what was printed when the disk was full is in the log in the end, if that
// can be.
func TestLogThatHadNoRoom(t *testing.T) {
	logFile := filepath.Join(fullDisk(t, 0), "log")
	pid, _, stderr, status := run(t, speaker.Command(t, "room", logFile))
	if pid == 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	proctest.Eventually(t, time.Minute, func() error {
		b, err := os.ReadFile(logFile)
		if err == nil && (!strings.Contains(string(b), "starting\n") ||
			!strings.Contains(string(b), "after ready\n")) {
			err = fmt.Errorf("the log is %q", b)
		}
		return err
	})
	// or the disk could not be unmounted
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, pid)
}

// TestLastWordsOnADevice: what cannot be read back from where it was printed is known from the
// runtime alone.
func TestLastWordsOnADevice(t *testing.T) {
	proctest.CheckLeaks(t)
	for how, want := range map[string]string{
		"panic": "panic: oops\n\ngoroutine ", "quit": "SIGQUIT: quit\nPC=", "fatal": "\n",
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if out, _, _ := speak(t, how, fifo); !strings.HasPrefix(out, want) {
			t.Errorf("%s: output %q, want %q", how, out, want)
		}
		b := make([]byte, len("starting\n"))
		if _, err := io.ReadFull(reader, b); err != nil || string(b) != "starting\n" {
			t.Errorf("%s: the reader of the log got %q, %v", how, b, err)
		}
		reader.Close()
	}
}

// TestDiskFillsUp has a daemon whose disk is full when it says why it fails.
func TestDiskFillsUp(t *testing.T) {
	logFile := filepath.Join(fullDisk(t, 128<<10), "log")
	out, _, status := speak(t, "filled", logFile)
	const line = "cannot bind, and the disk is full by now\n" // 100 of it take more than a page
	if want := strings.Repeat(line, 10); status != 1 || out != want {
		t.Errorf("status %d, output %q", status, out)
	}
	b, err := os.ReadFile(logFile)
	if err != nil || string(b) != "starting\n"+strings.Repeat(line, 100) {
		t.Errorf("the log is %d bytes, %v", len(b), err)
	}
}

func speak(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	_, stdout, stderr, status = run(t, speaker.Command(t, args...))
	return stdout, stderr, status
}

// fullDisk is a directory on a disk that has room for an empty file and that many bytes. An
// ordinary user, who may not mount one, gets one that has more.
func fullDisk(t *testing.T, room int) string {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		return dir
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "log"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fill, err := os.Create(filepath.Join(dir, "fill"))
	if err == nil {
		_, err = fill.Write(make([]byte, 1<<20-room))
		fill.Close()
	}
	if room > 0 && err != nil || room == 0 && err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return dir
}

// TestLastWordsOfADeadlock is about a program without cgo: the runtime sees no deadlock in one with
// it, as this one is.
func TestLastWordsOfADeadlock(t *testing.T) {
	m := newImporter(t)
	m.write("go.mod", m.gomod())
	m.write("main.go", `package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"`+module+`"
)

func main() {
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{LogFile: os.Args[2]})
	if proc != nil || err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("starting")
	if os.Args[1] == "goexit" {
		runtime.Goexit()
	}
	select {}
}
`)
	m.run("go", "mod", "tidy")
	m.run("go", "build", "-o", "app", ".")
	for how, want := range map[string]string{
		"deadlock": "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 ",
		// not "no goroutines": there is the one that keeps a thread until we are ready
		"goexit": "fatal error: all goroutines are asleep - deadlock!\n",
	} {
		for _, logFile := range []string{"", filepath.Join(m.dir, "log"), "/dev/full"} {
			out := m.run(filepath.Join(m.dir, "app"), how, logFile)
			want := "wait for ready: daemon exited with status 2 before it was ready\n" + want
			if !strings.HasPrefix(out, want) ||
				!strings.HasSuffix(out, "printed before:\nstarting\n") {
				t.Errorf("%s with log %q:\n%s", how, logFile, out)
			}
		}
	}
}

// TestCrashOutputOfAnInit: a package that is initialised before ours may have said where the
// runtime is to write. It does.
func TestCrashOutputOfAnInit(t *testing.T) {
	m := newImporter(t)
	m.write("go.mod", m.gomod())
	m.write("aaa/a.go", `package aaa

import (
	"os"
	"runtime/debug"
)

func init() {
	name := os.Getenv("CRASH_FILE")
	if name == "" {
		return // in a stage
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	debug.SetCrashOutput(f, debug.CrashOptions{})
	f.Close()
}
`)
	m.write("main.go", `package main

import (
	"context"
	"fmt"

	_ "example.org/app/aaa"
	"`+module+`"
)

func main() {
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{})
	if proc != nil || err != nil {
		fmt.Println(err)
		return
	}
	panic("oops")
}
`)
	m.run("go", "mod", "tidy")
	m.run("go", "build", "-o", "app", ".")
	file := filepath.Join(m.dir, "crash")
	t.Setenv("CRASH_FILE", file)
	out := m.run(filepath.Join(m.dir, "app"))
	if !strings.Contains(out, "\npanic: oops\n\ngoroutine 1 ") {
		t.Errorf("the launcher says\n%s", out)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "panic: oops\n") {
		t.Errorf("the program's own crash output is %q, %v", b, err)
	}
}
