package lastwords

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		printed string
		n       int
		want    string // with "|" between the lines
	}{
		{"", 3, ""}, {"\n", 3, ""}, {"a", 3, "a"}, {"a\n", 3, "a"}, {"a\nb", 1, "b"},
		{"a\nb\n", 1, "b"}, {"a\nb\nc\n", 2, "b|c"},
		{"a\n\n", 2, "a|"}, {"\n\na", 3, "||a"}, {"a\nb", 0, ""},
	} {
		if got := strings.Join(Lines([]byte(tt.printed), tt.n), "|"); got != tt.want {
			t.Errorf("%d of %q: %q, want %q", tt.n, tt.printed, got, tt.want)
		}
	}
}

// What Go 1.26 prints.
const (
	stackOf = "\ngoroutine 1 [running]:\nmain.(*server).run(0xc000012, {0x1, ...})\n" +
		"\t/src/main.go:10 +0x1d\npanic({0x4ad6e0?, 0x4d3a30?})\n\t/src/panic.go:860 +0x13a\n" +
		"main.main.func1()\n\t/src/main.go:3 +0x2\ncreated by main.main in goroutine 1\n" +
		"\t/src/main.go:5 +0x54f\n"
	signalOf = "PC=0x40866e m=0 sigcode=0\n\ngoroutine 0 gp=0x58d1e0 m=0 mp=0x58dfa0 [idle]:\n" +
		"runtime.mPark(...)\n\t/src/proc.go:1967\n...12 frames elided...\n" +
		"_cgoexp_12ab(0x1)\n\nrax    0xca\nrflags 0x286\nr10    0x0\n"
	raceOf = "==================\nWARNING: DATA RACE\nRead at 0x00c0000 by goroutine 7:\n" +
		"  main.main.func1()\n      /src/main.go:10 +0x1d\n\nPrevious write at 0x00c0 by main " +
		"goroutine:\n  main.main()\n      /src/main.go:9 +0x1\n\nGoroutine 7 (running) created " +
		"at:\n  main.main()\n      /src/main.go:8 +0x1\n==================\n"
	recovered = "panic: long ago\ngoroutine 5 [running]:\nruntime/debug.Stack()\n" +
		"\t/src/stack.go:26 +0x5e\n"
	deadlock = "fatal error: all goroutines are asleep - deadlock!\n"
	overflow = "runtime: goroutine stack exceeds 1000000000-byte limit\n" +
		"runtime: sp=0x3ae stack=[0x3a, 0x3b]\nfatal error: stack overflow\n"
)

var (
	many     = strings.Repeat("line\n", 20)
	before   = "\n" + Heading + "\nline\nline\nline\nline\nline"
	stacks10 = strings.Repeat(stackOf, 3000)
)

// head is the first n lines of s.
func head(s string, n int) string {
	return strings.Join(strings.Split(strings.TrimSuffix(s, "\n"), "\n")[:n], "\n")
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ name, printed, want string }{
		{"nothing", "", ""},
		{"empty lines", "\n\n", ""},
		{"lines", "a\n\nb\n\n", "a\n\nb"},
		{"no text", "\xff\xfex", "\ufffdx"},
		{"many lines", many, head(many, Most)},
		{"panic", "panic: oops\n" + stackOf, "panic: oops\n" + head(stackOf, 9)},
		{"panic after lines", many + "panic: oops\n" + stackOf,
			"panic: oops\n" + head(stackOf, 9) + before},
		{"thousands of goroutines", "one\npanic: oops\n" + stacks10,
			"panic: oops\n" + head(stackOf, 9) + "\n" + Heading + "\none"},
		{"after a recovered one", recovered + "panic: oops\n" + stackOf,
			"panic: oops\n" + head(stackOf, 9) + "\n" + Heading + "\n" + head(recovered, 4)},
		{"recovered", recovered + many, head(many, Most)},
		{"recovered, then a word", "panic: oops\n" + stackOf + "cannot listen\n",
			strings.TrimPrefix(stackOf, "\n") + "cannot listen"},
		{"a word before it", "loading... panic: oops\n" + stackOf,
			"panic: oops\n" + head(stackOf, 9) + "\n" + Heading + "\nloading... "},
		{"somebody else's", "app: panic: oops\nall is well\n", "app: panic: oops\nall is well"},
		{"somebody else's at last", "one\napp: panic: oops\n", "one\napp: panic: oops"},
		{"recovered within a line", "app: panic: oops\ngoroutine 1 [running]:\nmain.f()\n",
			"app: panic: oops\ngoroutine 1 [running]:\nmain.f()"},
		{"only a word", "one\npanic: oops", "panic: oops\n" + Heading + "\none"},
		{"a value of lines", "panic: a\n\tb\n\tc\n" + stackOf,
			"panic: a\n\tb\n\tc\n" + head(stackOf, 7)},
		{"a value of lines, before Go 1.18", "panic: a\nb\n" + stackOf,
			"panic: a\nb\n" + head(stackOf, 8)},
		{"a chain", "panic: a [recovered]\n\tpanic: b\n" + stackOf,
			"panic: a [recovered]\n\tpanic: b\n" + head(stackOf, 8)},
		{"of memory", "panic: runtime error: x\n[signal SIGSEGV: segmentation violation " +
			"code=0x1 addr=0x0 pc=0x4a]\n" + stackOf, "panic: runtime error: x\n[signal " +
			"SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]\n" + head(stackOf, 8)},
		{"deadlock", many + deadlock + stackOf, deadlock + head(stackOf, 9) + before},
		{"deadlock in a panic", "panic: a\n\tfatal error: b\n" + stackOf,
			"panic: a\n\tfatal error: b\n" + head(stackOf, 8)},
		{"no goroutines", many + deadlock, strings.TrimSpace(deadlock) + before},
		{"overflow", many + overflow + "\nruntime stack:\nruntime.throw({0x4})\n" + stackOf,
			overflow + "\nruntime stack:\nruntime.throw({0x4})\n" + head(stackOf, 4) + before},
		{"a signal", many + "SIGQUIT: quit\n" + signalOf,
			"SIGQUIT: quit\n" + head(signalOf, 9) + before},
		{"a word on a signal", "SIGHUP: reloading\n\nfailed\n", "SIGHUP: reloading\n\nfailed"},
		{"a race", "one\n" + raceOf + "two\n", "one\ntwo"},
		{"a race at last", "one\n" + raceOf, "one"},
		{"a race, a panic", "one\n" + raceOf + "panic: oops\n" + stackOf,
			"panic: oops\n" + head(stackOf, 9) + "\n" + Heading + "\none"},
		{"a race alone", raceOf, head(raceOf, Most)},
		{"rules", "==================\ntitle\n", "==================\ntitle"},
		{"go run", "panic: oops\n" + stackOf + "exit status 2\n",
			"panic: oops\n" + head(stackOf, 9)},
		{"a long line", "a\n" + strings.Repeat("é", 1<<20),
			"a\n" + strings.Repeat("é", maxLine/2-2) + "…"},
	} {
		if got := Text([]byte(tt.printed)); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// TestCrashed: what the runtime itself has said counts, and it does not say all of it.
func TestCrashed(t *testing.T) {
	panicked := "panic: oops\n" + head(stackOf, 9)
	for _, tt := range []struct{ name, crash, printed, want string }{
		{"a child prints after it", "panic: oops\n" + stackOf,
			many + "panic: oops\n" + stackOf + "child: bye\n", panicked + before},
		{"full disk", "panic: oops\n" + stackOf, "", panicked},
		{"full disk after lines", "panic: oops\n" + stackOf, many, panicked + before},
		{"in a line", "panic: oops\n" + stackOf, "loading... panic: oops\n" + stackOf,
			panicked + "\n" + Heading + "\nloading... "},
		{"said before", "panic: oops\n" + stackOf,
			recovered + "panic: oops\npanic: oops\n" + stackOf,
			panicked + "\n" + Heading + "\n" + head(recovered, 4) + "\npanic: oops"},
		{"deadlock", stackOf, many + "panic: long ago\n" + deadlock + stackOf + "child: bye\n",
			deadlock + head(stackOf, 9) + "\n" + Heading + strings.Repeat("\nline", 4) +
				"\npanic: long ago"},
		{"deadlock in a panic", stackOf, "one\npanic: a\n\t" + deadlock + stackOf,
			"panic: a\n\t" + deadlock + head(stackOf, 8) + "\n" + Heading + "\none"},
		{"overflow", "\nruntime stack:\nruntime.throw({0x4})\n" + stackOf,
			many + overflow + "\nruntime stack:\n",
			overflow + "\nruntime stack:\nruntime.throw({0x4})\n" + head(stackOf, 4) + before},
		{"fault", "[signal SIGSEGV: x]\n" + stackOf,
			"unexpected fault address 0x1\nfatal error: fault\n[signal SIGSEGV: x]\n" + stackOf,
			"unexpected fault address 0x1\nfatal error: fault\n[signal SIGSEGV: x]\n" +
				head(stackOf, 7)},
		{"deadlock on a full disk", stackOf, many,
			head(stackOf[1:], 9) + before},
		{"signal", "SIGQUIT: quit\n" + signalOf, "line\nSIGQUIT: quit\n" + signalOf,
			"SIGQUIT: quit\n" + head(signalOf, 9) + "\n" + Heading + "\nline"},
		{"nothing", "\n\n", "one\n", "one"},
	} {
		var w Words
		w.Crashed([]byte(tt.crash))
		w.Write([]byte(tt.printed))
		if got := w.Text(); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for from, want := range map[int64]string{0: "one\ntwo", 4: "two", 8: "", 9: ""} {
		var w Words
		if err := w.ReadFile(f, from); err != nil || w.Text() != want {
			t.Errorf("from %d: %q, %v", from, w.Text(), err)
		}
	}
	// More than is read: what is not read ends within a line.
	for i := range 3 {
		fmt.Fprintf(f, "panic: oops %d\n%s%s\n", i, stackOf, strings.Repeat("x", maxRead/3))
	}
	fmt.Fprintf(f, "panic: oops\n%s", stackOf)
	var w Words
	if err := w.ReadFile(f, 0); err != nil || !strings.HasPrefix(w.Text(), "panic: oops\n") {
		t.Errorf("%q, %v", w.Text(), err)
	}
	if b, err := Read(f, 6); err != nil || string(b) != stackOf[len(stackOf)-6:] {
		t.Errorf("%q, %v", b, err)
	}
}

// FuzzText: whatever is printed, in whatever pieces, the words can be shown and are few.
func FuzzText(f *testing.F) {
	f.Fuzz(func(t *testing.T, crash, printed []byte, at uint) {
		var w, pieces Words
		w.Crashed(crash)
		pieces.Crashed(crash)
		w.Write(printed)
		n := int(at % uint(len(printed)+1))
		pieces.Write(printed[:n])
		pieces.Write(printed[n:])
		got := w.Text()
		if other := pieces.Text(); got != other {
			t.Errorf("%q in one piece, %q in two", got, other)
		}
		lines := strings.Split(got, "\n")
		if !utf8.ValidString(got) || len(lines) > Most+1+Before {
			t.Errorf("%d lines: %q", len(lines), got)
		}
		for _, l := range lines {
			if len(l) > maxLine {
				t.Errorf("a line of %d bytes", len(l))
			}
		}
		if strings.TrimRight(got, "\n") != got {
			t.Errorf("%q ends with an empty line", got)
		}
	})
}
