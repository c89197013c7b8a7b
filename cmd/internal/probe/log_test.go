//go:build unix

package probe

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// A logTest is a log in the middle of being asked: each step writes and asks.
type logTest struct {
	t    *testing.T
	path string
	q    question
}

func newLogTest(t *testing.T, pattern, before string) *logTest {
	path := filepath.Join(t.TempDir(), "log")
	if before != "" {
		write(t, path, before)
	}
	c := ask(spec.ProbeLog, pattern)
	q, err := newQuestion(c, lookAt(t, c, Env{Logs: []string{path}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return &logTest{t, path, q}
}

func (l *logTest) yes() {
	l.t.Helper()
	if err := l.q.ask(context.Background()); err != nil {
		l.t.Error(err)
	}
}

func (l *logTest) no(reason string) {
	l.t.Helper()
	if err := l.q.ask(context.Background()); err == nil || err.Error() != reason {
		l.t.Errorf("got %v, want %s", err, reason)
	}
}

const silent = "nothing printed yet"

func TestLogFromWhereItStood(t *testing.T) {
	l := newLogTest(t, "^ready$", "ready\nold instance: not rea")
	l.no(silent)
	appendTo(t, l.path, "starting\r\n")
	l.no(`no line matches; the last one is "starting"`)
	appendTo(t, l.path, "re")
	l.no(`no line matches; the last one is "starting"`)
	appendTo(t, l.path, "ady")
	l.no(`no line matches; the last one is "starting"`)
	appendTo(t, l.path, "\n")
	l.yes()
}

func TestLogAppearsLater(t *testing.T) {
	l := newLogTest(t, "listening on [0-9]+", "")
	l.no(silent)
	write(t, l.path, "now listening on 8080\r\n")
	l.yes()
}

func TestLogInvalidUTF8(t *testing.T) {
	l := newLogTest(t, "ready", "")
	write(t, l.path, "\xff\xfe caf\xe9 \x00 ready \xc3\n")
	l.yes()
	l = newLogTest(t, "ready", "")
	write(t, l.path, "\xff\n")
	l.no(`no line matches; the last one is "\xff"`)
}

func TestLogLongLines(t *testing.T) {
	l := newLogTest(t, "needle$", "")
	write(t, l.path, strings.Repeat("x", 200<<10))
	l.no(silent)
	appendTo(t, l.path, "needle\n")
	l.yes()

	l = newLogTest(t, "^(needle|x+end)$", "")
	write(t, l.path, strings.Repeat("x", maxLine+100)+"end\n")
	l.no(`no line matches; the last one is "` + strings.Repeat("x", 200) + `"`)
	appendTo(t, l.path, "needle\n")
	l.yes()
}

func TestLogTruncated(t *testing.T) {
	l := newLogTest(t, "ready", "an old line\n")
	appendTo(t, l.path, "half a line, longer than what follows: re")
	l.no(silent)
	if err := os.Truncate(l.path, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, l.path, "ady\n") // not the end of the line that is gone
	l.no(`no line matches; the last one is "ady"`)
	appendTo(t, l.path, "ready\n")
	l.yes()
}

func TestLogTruncatedBeforeTheFirstLook(t *testing.T) {
	l := newLogTest(t, "ready", "a long line of an old instance\n")
	write(t, l.path, "ready\n")
	l.yes()
}

func TestLogRotated(t *testing.T) {
	rotate := func(l *logTest) {
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			t.Fatal(err)
		}
	}
	l := newLogTest(t, "ready", "old\n")
	l.no(silent)
	rotate(l)
	l.no(silent)
	write(t, l.path, "ready\n")
	l.yes()

	// The writer goes on with the old file until it is told.
	l = newLogTest(t, "ready", "old\n")
	l.no(silent)
	rotate(l)
	write(t, l.path, "")
	l.no(silent)
	appendTo(t, l.path+".1", "ready\n")
	l.yes()

	// Rotated over and over, it keeps no more than two files open.
	l = newLogTest(t, "ready", "old\n")
	for range 10 {
		l.no(silent)
		rotate(l)
		write(t, l.path, "")
	}
	if n := len(l.q.(*tails).logs[0].files); n > 2 {
		t.Errorf("%d files open", n)
	}
}

func TestLogMustBeAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := sys.MakeFIFO(path, 0o600); err != nil {
		t.Fatal(err)
	}
	c := ask(spec.ProbeLog, "x")
	wantError(t, Wait(within(t), c, Env{Logs: []string{path}}), path+" is not a regular file")
	wantError(t, Wait(within(t), c, Env{}), "no log file to look at")
}

func TestLogIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	c := ask(spec.ProbeLog, "ready")
	env := lookAt(t, c, Env{Dir: dir, Logs: []string{"out", "err"}})
	ready := make(chan error, 1)
	go func() { ready <- Wait(within(t), c, env) }()
	for _, part := range []string{"star", "ting\nrea", "dy\n"} {
		appendTo(t, filepath.Join(dir, "err"), part)
		time.Sleep(time.Millisecond) // only to have it split across looks
	}
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	if err := Once(within(t), c, env); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

// However a text is cut into writes, the same lines come out.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), 3)
	f.Add([]byte("\n\n\xff\xfe\n"), 1)
	f.Add(bytes.Repeat([]byte("x"), 300), 7)
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		if step < 1 {
			return
		}
		var f follower
		var got []byte
		for rest := text; len(rest) > 0; {
			n := min(step, len(rest))
			f.feed(rest[:n], func(line []byte) bool {
				got = append(append(got, line...), '\n')
				return false
			})
			rest = rest[n:]
		}
		want := text[:bytes.LastIndexByte(text, '\n')+1]
		if len(text) < maxLine && !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestLogCarriageReturn(t *testing.T) {
	tails := tails{pattern: regexp.MustCompile("^ready$")}
	if !tails.match([]byte("ready\r")) {
		t.Error("the line end of another system hides the line")
	}
}
