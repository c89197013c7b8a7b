package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/query"
)

// texts returns what the lines of a formatted log say, pieces joined.
func texts(t testing.TB, f line.Format, log []byte) string {
	t.Helper()
	var b strings.Builder
	for _, l := range bytes.SplitAfter(log, []byte{'\n'}) {
		l, end := bytes.CutSuffix(l, []byte{'\n'})
		if len(l) == 0 && !end {
			continue
		}
		r := f.Parse(l)
		if r.Time.IsZero() && (f.JSON || f.Stamp != line.NoStamp) {
			t.Fatalf("a line without a time stamp: %.200q", l)
		}
		b.Write(r.Text)
		if end && !r.More {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var allFormats = map[string]line.Format{
	"utc": {Stamp: line.UTC}, "local": {Stamp: line.Local}, "json": {JSON: true},
	"marked": {Stamp: line.UTC, Mark: true}, "marked json": {JSON: true, Mark: true},
}

func TestFormattedLinesAreUnchanged(t *testing.T) {
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, "%d %s\n", i, strings.Repeat("é\x00\"\\", i%40))
	}
	for name, f := range allFormats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for i, data := range []string{
				"one\ntwo\n\n\nthree\n",
				"no final newline",
				"NUL \x00 and invalid \xff\xfe\n",
				strings.Repeat("long", 1<<20) + "\nshort\n",
				many.String(),
			} {
				id := fmt.Sprint("svc", i)
				s, w := r.open(t, id, Config{Format: f, Rotate: Rotate{Size: 300_000, Keep: -1}})
				if _, err := w.WriteString(data); err != nil {
					t.Fatal(err)
				}
				mustDrain(t, s)
				if got := texts(t, f, whole(t, r.path(id+".log"))); got != data {
					t.Errorf("%d: %d bytes arrived, %d written: %.100q",
						i, len(got), len(data), got)
				}
			}
		})
	}
}

func TestStreamsApart(t *testing.T) {
	r := newRig(t)
	s, out := r.open(t, "a", Config{Format: line.Format{Mark: true}})
	err, e := s.ErrorEnd()
	if e != nil {
		t.Fatal(e)
	}
	defer err.Close()
	say := func(f *os.File, text string) {
		t.Helper()
		f.WriteString(text)
		mustDrain(t, s)
	}
	say(out, "one\nworking... ")
	say(err, "oops\n")
	say(out, "done\n")
	say(err, "no newline")
	err.Close() // the process has ended
	eventually(t, "the end of standard error is seen", func() bool {
		var ended bool
		s.do(func() error { ended = s.err.ended; return nil })
		return ended
	})
	err2, e := s.ErrorEnd()
	if e != nil {
		t.Fatal(e)
	}
	defer err2.Close()
	say(err2, "next\n")
	want := "out one\nout working... \nerr oops\nout+ done\nerr no newline\nerr next\n"
	if got := whole(t, r.path("a.log")); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorFile(t *testing.T) {
	r := newRig(t)
	s, out := r.open(t, "a", Config{ErrPath: r.path("a.err")})
	err, e := s.ErrorEnd()
	if e != nil {
		t.Fatal(e)
	}
	defer err.Close()
	fmt.Fprintln(out, "fine")
	fmt.Fprintln(err, "bad")
	mustDrain(t, s)
	if o, e := whole(t, r.path("a.log")), whole(t, r.path("a.err")); string(o) != "fine\n" ||
		string(e) != "bad\n" {
		t.Errorf("out %q, err %q", o, e)
	}
	if last, e := s.Tail(3); e != nil || len(last) != 1 || last[0] != "bad" {
		t.Errorf("Tail = %q, %v", last, e)
	}
	// Joined from the next process on.
	if e := s.Reconfigure(Config{Path: r.path("a.log")}); e != nil {
		t.Fatal(e)
	}
	joined, e := s.ErrorEnd()
	if e != nil {
		t.Fatal(e)
	}
	defer joined.Close()
	fmt.Fprintln(joined, "joined")
	mustDrain(t, s) // between two FIFOs there is no order but that of reading
	fmt.Fprintln(err, "from the old process")
	mustDrain(t, s)
	if o := whole(t, r.path("a.log")); string(o) != "fine\njoined\nfrom the old process\n" {
		t.Errorf("out %q", o)
	}
}

func TestUnfinishedLineIsNotHeldForLong(t *testing.T) {
	r := newRig(t)
	_, w := r.open(t, "a", Config{Format: line.Format{Stamp: line.UTC}})
	w.WriteString("complete\npassword: ")
	eventually(t, "the unfinished line arrives", func() bool {
		return bytes.HasSuffix(whole(t, r.path("a.log")), []byte("Z password: "))
	})
	w.WriteString("typed\n")
	eventually(t, "its end arrives, in the same line", func() bool {
		return bytes.HasSuffix(whole(t, r.path("a.log")), []byte("Z password: typed\n"))
	})
}

func TestMask(t *testing.T) {
	r := newRig(t)
	mask := []*regexp.Regexp{regexp.MustCompile(`token=\w+`), regexp.MustCompile(`\d{16}`)}
	s, w := r.open(t, "a", Config{Mask: mask})
	// In two writes: a secret is found even if it comes in two halves.
	w.WriteString("GET /?token=sec")
	time.Sleep(30 * time.Millisecond) // long enough for the engine to have looked in between
	w.WriteString("ret&x=1\ncard 1234567890123456\nnothing\n")
	mustDrain(t, s)
	const want = "GET /?***&x=1\ncard ***\nnothing\n"
	if got := whole(t, r.path("a.log")); string(got) != want {
		t.Errorf("file: %q", got)
	}
}

func TestRateLimit(t *testing.T) {
	r := newRig(t)
	s, w := r.open(t, "a", Config{Limit: Limit{Lines: 100, Per: 2 * time.Second}})
	var sent strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&sent, "line %d\n", i)
	}
	w.WriteString(sent.String())
	mustDrain(t, s)
	eventually(t, "the notice", func() bool {
		return bytes.Contains(whole(t, r.path("a.log")), []byte("suppressed"))
	})
	got := string(whole(t, r.path("a.log")))
	passed := strings.Count(got, "\nline ") + 1
	var lines, size int
	i := strings.Index(got, "daemonry: ")
	if _, err := fmt.Sscanf(got[i:], "daemonry: %d lines (%d bytes) suppressed",
		&lines, &size); err != nil {
		t.Fatalf("%v: %q", err, got[i:])
	}
	if passed < 100 || passed+lines != 1000 || len(got[:i])+size != sent.Len() {
		t.Errorf("%d lines passed, %d suppressed (%d bytes)", passed, lines, size)
	}
	if st, err := s.Stats(); err != nil || st.Suppressed != int64(size) {
		t.Errorf("Stats = %+v, %v", st, err)
	}
}

func TestCompressionAndKeeping(t *testing.T) {
	for _, how := range []layout.Compression{layout.Gzip, layout.Zstd} {
		r := newRig(t)
		s, w := r.open(t, "a", Config{Rotate: Rotate{Size: 10_000, Keep: 5, Compress: how}})
		var want strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		w.WriteString(want.String())
		mustDrain(t, s)
		var list []layout.Rotated
		eventually(t, "five compressed files", func() bool {
			list, _ = layout.List(r.path("a.log"))
			for _, f := range list {
				if f.Compression != how {
					return false
				}
			}
			return len(list) == 5
		})
		fi, err := os.Stat(list[0].Path)
		if err != nil || fi.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
		if how == layout.Zstd {
			f, err := os.Open(list[4].Path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z, err := zstd.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			b, err := io.ReadAll(z)
			if err != nil || !strings.Contains(want.String(), string(b)) || len(b) < 9_000 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
	}
}

// TestBudget: the oldest rotated files go first, whoever's they are, also those in the log
// directory whose service is not there any more; current files stay.
func TestBudget(t *testing.T) {
	dir := t.TempDir()
	r := &rig{dir: dir}
	if err := os.Mkdir(r.path(""), 0o700); err != nil {
		t.Fatal(err)
	}
	left := layout.Name(r.path("gone.log"), time.Now().Add(-time.Hour))
	for path, size := range map[string]int{
		left: 60_000, r.path("gone.log"): 30_000,
		layout.Name(r.path("newer.log"), time.Now()): 50_000,
	} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := New(Options{Dir: dir + "/run", Budget: 100_000, LogDir: r.path("")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r.Engine = e
	eventually(t, "what an earlier time left is within the budget", func() bool {
		_, err := os.Stat(left)
		return os.IsNotExist(err)
	})
	if u, err := query.Disk([]query.Log{{Path: r.path("gone.log")},
		{Path: r.path("newer.log")}}); err != nil || u[0].Bytes != 30_000 || u[1].Bytes != 50_000 {
		t.Fatalf("more was removed than had to be: %+v, %v", u, err)
	}
	if err := os.Remove(r.path("gone.log")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		s, w := r.open(t, id, Config{Rotate: Rotate{Size: 10_000, Keep: -1}})
		w.WriteString(strings.Repeat("0123456789\n", 30_000))
		mustDrain(t, s)
	}
	var u []query.Usage
	eventually(t, "the logs are within the budget", func() bool {
		u, err = query.Disk([]query.Log{{Path: r.path("a.log")}, {Path: r.path("b.log")}})
		return err == nil && u[0].Bytes+u[1].Bytes <= 100_000
	})
	if u[1].Bytes < 50_000 {
		t.Errorf("of the newer log only %d bytes are left", u[1].Bytes)
	}
}
