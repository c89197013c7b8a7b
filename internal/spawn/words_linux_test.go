package spawn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/daemonry/daemonry/internal/proctest"
	slowinit "github.com/daemonry/daemonry/internal/proctest/slow"
)

// stages are the ways in which a stage comes to be.
var stages = []struct {
	name  string
	start func(context.Context, *Spec) error
}{
	{"Start", func(ctx context.Context, s *Spec) error {
		s.NoNewPrivs = true
		_, err := Start(ctx, s)
		return err
	}},
	{"Detach", func(ctx context.Context, s *Spec) error {
		_, err := Detach(ctx, s)
		return err
	}},
	{"StartSuccessorApart", func(ctx context.Context, s *Spec) error {
		_, err := StartSuccessorApart(ctx, s, os.Stdin, nil)
		return err
	}},
}

// TestStageWords: what a stage prints is in the error, and nowhere else.
func TestStageWords(t *testing.T) {
	const late = "start stage: the stage is still at the initialisation of the program's " +
		"packages: the time is over; it has printed: no database"
	for how, want := range map[string]string{
		"exits a\nb\n\nno database": "start stage: exited with status 3: a; b; no database",
		"panics no database":        "start stage: exited with status 2: panic: no database",
		"waits no database":         late,
	} {
		for _, stage := range stages {
			t.Run(how+" "+stage.name, func(t *testing.T) {
				proctest.CheckLeaks(t)
				t.Setenv(slowinit.Variable, how)
				ctx := t.Context()
				if want == late {
					ctx = briefly(t)
				}
				if err := stage.start(ctx, sleep()); err == nil || err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
			})
		}
	}
}

// TestWordsOfTheRuntime: its reason is what counts, not the stacks behind it.
func TestWordsOfTheRuntime(t *testing.T) {
	const said = "runtime: failed to create new OS thread (have 2 already; errno=11)\n" +
		"runtime: may need to increase max user processes (ulimit -u)\n" +
		"fatal error: newosproc\n\nruntime stack:\nruntime.throw({0x5d1e47?, 0x7ffe80412a98?})\n" +
		"\t/usr/local/go/src/runtime/panic.go:1229 +0x48 fp=0x7ffe80412a70\n" +
		"runtime.newm1(0x390acef76808)\n\t/usr/local/go/src/runtime/proc.go:2927 +0xbf\n"
	const want = "runtime: failed to create new OS thread (have 2 already; errno=11); " +
		"runtime: may need to increase max user processes (ulimit -u); fatal error: newosproc"
	w, err := newWords()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, err := w.file.WriteString(said); err != nil {
		t.Fatal(err)
	}
	if got := w.last(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// talkative starts a target in each way, by stages that print something, and says what the targets
// have open.
var talkative = proctest.Register("talkative", func(args []string) int {
	os.Setenv(slowinit.Variable, args[0]+" something")
	s := sleep()
	s.Rlimits = []Rlimit{{Name: "core", Resource: syscall.RLIMIT_CORE}} // a stage below the watcher
	l, err := Detach(context.Background(), s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer l.Kill(0)
	pid, err := Start(context.Background(), s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	for _, pid := range []int{pid, l.PID} {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, f := range files {
			to, _ := os.Readlink(f)
			fmt.Println(filepath.Base(f), to)
		}
	}
	return 0
})

// TestWordsAreForFailures: what was printed in stages that did what they should is not printed
// again, and the file that it was printed to is not the target's.
func TestWordsAreForFailures(t *testing.T) {
	const null = "0 /dev/null\n1 /dev/null\n2 /dev/null\n"
	for _, how := range []string{"says", "prints"} {
		out, err := talkative.Command(t, how).CombinedOutput()
		if err != nil || string(out) != null+null {
			t.Errorf("%s: %v: %s", how, err, out)
		}
	}
}

// forlorn starts a watcher and is gone for it at once.
var forlorn = proctest.Register("forlorn", func([]string) int {
	s := sleep()
	s.Rlimits = []Rlimit{{Name: "core", Resource: syscall.RLIMIT_CORE}}
	d := s.describe()
	payload, files := d.encode()
	o := &orders{watcherMagic, payload, files}
	stage, err := reexec(context.Background(), o, &d, true, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = stage.channel.Close()
	_, _ = syscall.Wait4(stage.pid, nil, 0, nil)
	return 0
})

// TestLastResort: what a stage cannot tell the one that started it, it says on its standard error.
func TestLastResort(t *testing.T) {
	proctest.CheckLeaks(t)
	out, err := forlorn.Command(t).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "daemonry: ") ||
		!strings.HasSuffix(string(out), "the process that asked for it is gone\n") {
		t.Errorf("%v: %q", err, out)
	}
}

func TestShorten(t *testing.T) {
	for text, want := range map[string]string{
		"":            "",
		"12345678":    "12345678",
		"123456789":   "12345678… (cut, 1 bytes more)",
		"1234567ä":    "1234567… (cut, 2 bytes more)",
		"123456ä9":    "123456ä… (cut, 1 bytes more)",
		"12345678äöü": "12345678… (cut, 6 bytes more)",
	} {
		if got := Shorten(text, 8); got != want || !utf8.ValidString(got) {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := Shorten("\x80\x80\x80\x80\x80\x80", 5); !strings.Contains(got, "bytes more") {
		t.Errorf("no characters at all: %q", got)
	}
}
