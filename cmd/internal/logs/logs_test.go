package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
)

// bench is an engine in a temporary directory.
type rig struct {
	*Engine
	dir string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	e, err := New(Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return &rig{e, dir}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, "log", name) }

// open opens a stream that logs to its own file, and the end a service would have.
func (r *rig) open(t testing.TB, id string, cfg Config) (*Stream, *os.File) {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = r.path(id + ".log")
	}
	s, err := r.Open(id, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.ServiceEnd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return s, f
}

func mustDrain(t testing.TB, s *Stream) {
	t.Helper()
	if err := s.Drain(); err != nil {
		t.Fatal(err)
	}
}

// whole returns everything in the log at path, rotated files first.
func whole(t testing.TB, path string) []byte {
	t.Helper()
	list, err := layout.List(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, r := range list {
		b, err := os.ReadFile(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return append(all, b...)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBytesArriveAsTheyAre(t *testing.T) {
	r := newRig(t)
	for i, data := range []string{
		"one\ntwo\n",
		"no final newline",
		"\x00NUL\x00 and \xff\xfe invalid\n\n\n",
		strings.Repeat("x", 3<<20) + "\n", // a line of 3 MiB
		"",
	} {
		id := fmt.Sprint("svc", i)
		s, w := r.open(t, id, Config{})
		if _, err := w.WriteString(data); err != nil {
			t.Fatal(err)
		}
		mustDrain(t, s)
		if got := whole(t, r.path(id+".log")); string(got) != data {
			t.Errorf("%d: %d bytes arrived, %d written", i, len(got), len(data))
		}
	}
}

func TestPermissions(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{})
	fmt.Fprintln(w, "x")
	mustDrain(t, s)
	for path, want := range map[string]os.FileMode{
		r.path("a.log"):                     0o640,
		filepath.Join(r.dir, "run"):         0o700,
		filepath.Join(r.dir, "run", "fifo"): 0o700,
	} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v", path, fi.Mode().Perm(), want)
		}
	}
}

func TestRotationBySize(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{Rotate: Rotate{Size: 1000, Keep: -1}})
	var want bytes.Buffer
	for i := range 5000 {
		line := fmt.Sprintf("%d %s\n", i, strings.Repeat("y", i%150))
		if i%500 == 7 {
			line = fmt.Sprintf("%d %s\n", i, strings.Repeat("long", 1000))
		}
		want.WriteString(line)
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	mustDrain(t, s)
	if !bytes.Equal(whole(t, r.path("a.log")), want.Bytes()) {
		t.Error("the files in order are not what was written")
	}
	list, err := layout.List(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 300 {
		t.Errorf("only %d rotated files", len(list))
	}
	for _, f := range list {
		b, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		// The line that crosses the limit is not cut.
		if whole := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1; whole > 1000 ||
			!bytes.HasSuffix(b, []byte{'\n'}) {
			t.Errorf("%s: %d bytes, %d lines, ends %q",
				f.Path, len(b), bytes.Count(b, []byte{'\n'}), b[max(0, len(b)-5):])
		}
	}
}

func TestMovedAndRemovedLogsAreMadeAnew(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{})
	say := func(text string) {
		t.Helper()
		fmt.Fprintln(w, text)
		mustDrain(t, s)
	}
	say("first")
	if err := os.Rename(r.path("a.log"), r.path("a.old")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	say("second")
	if got := whole(t, r.path("a.log")); string(got) != "second\n" {
		t.Errorf("after moving and re-opening: %q", got)
	}
	if err := os.RemoveAll(r.path("")); err != nil { // the directory too
		t.Fatal(err)
	}
	say("third")
	if got := whole(t, r.path("a.log")); string(got) != "third\n" {
		t.Errorf("after removal: %q", got)
	}
	if err := os.Rename(r.path("a.log"), r.path("a.old")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a moved log is made anew", func() bool {
		say("more")
		_, err := os.Stat(r.path("a.log"))
		return err == nil
	})
	if err := os.Truncate(r.path("a.log"), 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	say("after truncation")
	if got := whole(t, r.path("a.log")); string(got) != "after truncation\n" {
		t.Errorf("after truncation: %q", got)
	}
}

// TestOneStreamToAFile: two writers would rotate under each other, and after a crash neither could
// tell which bytes are its own.
func TestOneStreamToAFile(t *testing.T) {
	r := newRig(t)
	a, _ := r.open(t, "a", Config{ErrPath: r.path("a.err")})
	for _, path := range []string{r.path("a.log"), r.path("a.err"), r.path("x/../a.log")} {
		if s, err := r.Open("b", Config{Path: path}); err == nil ||
			!strings.Contains(err.Error(), "is the log of a") {
			t.Errorf("%s, a second time: %v, %v", path, s, err)
		}
	}
	b, _ := r.open(t, "b", Config{})
	if err := b.Reconfigure(Config{Path: r.path("a.log")}); err == nil {
		t.Error("a change of settings took another's log")
	}
	if err := a.Reconfigure(Config{Path: r.path("c.log")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Reconfigure(Config{Path: r.path("a.log")}); err != nil {
		t.Errorf("a log that was given up: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open("d", Config{Path: r.path("a.log")}); err != nil {
		t.Errorf("the log of a stream that was closed: %v", err)
	}
}

func TestTail(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{Rotate: Rotate{Size: 20, Keep: -1}})
	fmt.Fprint(w, "one\ntwo\nthree\nfour\nfive\nsix\nseven")
	mustDrain(t, s)
	for n, want := range map[int]string{
		1: "seven", 3: "five six seven", 5: "three four five six seven",
	} {
		got, err := s.Tail(n)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("Tail(%d) = %q, %v; want %s", n, got, err, want)
		}
	}
}

func TestWriters(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{})
	fmt.Fprintln(w, "x")
	if st, err := s.Stats(); err != nil || !st.Writers {
		t.Fatalf("Stats = %+v, %v", st, err)
	}
	w.Close()
	eventually(t, "the end of all writers is seen", func() bool {
		st, err := s.Stats()
		return err == nil && !st.Writers
	})
	w, err := s.ServiceEnd()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	fmt.Fprintln(w, "y")
	eventually(t, "output of the next process arrives by itself", func() bool {
		return string(whole(t, r.path("a.log"))) == "x\ny\n"
	})
}
