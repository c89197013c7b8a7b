package query

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// write makes a log of n lines, one a second from the time begin on, in the format, spread over
// files of 1,000 lines of which those before the last two are compressed.
func write(t testing.TB, path string, f line.Format, begin time.Time, n int) Log {
	t.Helper()
	var buf []byte
	files := 0
	for i := range n {
		at := begin.Add(time.Duration(i) * time.Second)
		w := f.Writer(line.Stream(i%2), at)
		buf, _ = w.Append(buf, fmt.Appendf(nil, "%s line %d", filepath.Base(path), i),
			true, line.State{})
		if i%1000 == 999 && i < n-1 {
			name := layout.Name(path, at.Add(time.Millisecond))
			switch files % 3 {
			case 0:
				store(t, name+".zst", zst(t, buf))
			case 1:
				store(t, name+".gz", gz(t, buf))
			case 2:
				store(t, name, buf)
			}
			files++
			buf = nil
		}
	}
	store(t, path, buf)
	return Log{Service: filepath.Base(path), Path: path, Format: f}
}

func store(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func collect(t testing.TB, logs []Log, q Query) []string {
	t.Helper()
	var got []string
	err := Run(t.Context(), logs, q, func(r Record) error {
		got = append(got, string(r.Text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func lines(name string, from, to int) []string {
	var want []string
	for i := from; i < to; i++ {
		want = append(want, fmt.Sprintf("%s line %d", name, i))
	}
	return want
}

var formats = map[string]line.Format{
	"raw":       {},
	"utc":       {Stamp: line.UTC},
	"local":     {Stamp: line.Local, Mark: true},
	"json":      {JSON: true, Mark: true},
	"json utc":  {JSON: true, Stamp: line.UTC},
	"mark only": {Mark: true},
}

func TestRun(t *testing.T) {
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			l := write(t, filepath.Join(t.TempDir(), "a"), f, day, 7500)
			for _, c := range []struct {
				what     string
				q        Query
				from, to int
				timed    bool
			}{
				{"all", Query{}, 0, 7500, false},
				{"last of the current file", Query{Last: 7}, 7493, 7500, false},
				{"last over all files", Query{Last: 7000}, 500, 7500, false},
				{"last of more than there are", Query{Last: 10000}, 0, 7500, false},
				{"since", Query{Since: day.Add(4321 * time.Second)}, 4321, 7500, true},
				{"since in a compressed file", Query{Since: day.Add(500 * time.Second)},
					500, 7500, true},
				{"since the current file", Query{Since: day.Add(7400 * time.Second)},
					7400, 7500, true},
				{"since later than all", Query{Since: day.Add(9000 * time.Second)}, 0, 0, true},
				{"until", Query{Until: day.Add(1500 * time.Second)}, 0, 1501, true},
				{"last until", Query{Until: day.Add(1500 * time.Second), Last: 600},
					901, 1501, true},
				{"last until in the current file",
					Query{Until: day.Add(7300 * time.Second), Last: 3}, 7298, 7301, true},
				{"until the current file begins",
					Query{Until: day.Add(6999 * time.Second), Last: 2}, 6998, 7000, true},
				{"until before all", Query{Until: day.Add(-time.Second)}, 0, 0, true},
				{
					"between",
					Query{Since: day.Add(2222 * time.Second), Until: day.Add(2224 * time.Second)},
					2222, 2225, true,
				},
				{"last since", Query{Since: day.Add(7400 * time.Second), Last: 10000},
					7400, 7500, true},
			} {
				if c.timed && !f.JSON && f.Stamp == line.NoStamp {
					continue
				}
				if got := collect(t, []Log{l}, c.q); !slices.Equal(got, lines("a", c.from, c.to)) {
					t.Errorf("%s: %d lines, first %q, last %q; want lines %d to %d",
						c.what, len(got), first(got), first(got[max(0, len(got)-1):]), c.from, c.to)
				}
			}
		})
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// TestTimesOfLinesThatWereReadTogether: lines of one reading have one time and can be in several
// files, whose names are later.
func TestTimesOfLinesThatWereReadTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	l := Log{Service: "a", Path: path, Format: line.Format{Stamp: line.UTC}}
	for i := range 6 {
		var buf []byte
		for j := range 10 {
			n := i*10 + j
			// 0 to 24, 25 to 49, 50 to 59
			w := l.Format.Writer(line.Out, day.Add(time.Duration(n/25)*time.Second))
			buf, _ = w.Append(buf, fmt.Appendf(nil, "a line %d", n), true, line.State{})
		}
		name := path
		if i < 5 {
			name = layout.Name(path,
				day.Add(time.Duration((i*10+9)/25)*time.Second+time.Duration(i+1)*time.Millisecond))
		}
		store(t, name, buf)
	}
	for _, c := range []struct {
		since, until int
		from, to     int
	}{{0, 0, 0, 25}, {0, 1, 0, 50}, {1, 1, 25, 50}, {1, 2, 25, 60}, {2, 2, 50, 60}} {
		q := Query{Since: day.Add(time.Duration(c.since) * time.Second),
			Until: day.Add(time.Duration(c.until) * time.Second)}
		if got := collect(t, []Log{l}, q); !slices.Equal(got, lines("a", c.from, c.to)) {
			t.Errorf("from %d to %d: %q", c.since, c.until, got)
		}
		q.Last = 3
		if got := collect(t, []Log{l}, q); !slices.Equal(got, lines("a", c.to-3, c.to)) {
			t.Errorf("last from %d to %d: %q", c.since, c.until, got)
		}
	}
}

func TestGrepAndStreams(t *testing.T) {
	l := write(t, filepath.Join(t.TempDir(), "a"),
		line.Format{Stamp: line.UTC, Mark: true}, day, 3500)
	got := collect(t, []Log{l}, Query{Grep: regexp.MustCompile(` 3?999$`)})
	if !slices.Equal(got, []string{"a line 999"}) {
		t.Errorf("grep: %q", got)
	}
	got = collect(t, []Log{l}, Query{Grep: regexp.MustCompile(`00$`), Last: 3})
	if !slices.Equal(got, []string{"a line 3200", "a line 3300", "a line 3400"}) {
		t.Errorf("grep, last 3: %q", got)
	}
	got = collect(t, []Log{l}, Query{Streams: []line.Stream{line.Err}, Last: 2})
	if !slices.Equal(got, []string{"a line 3497", "a line 3499"}) {
		t.Errorf("standard error, last 2: %q", got)
	}
}

func TestMergeByTime(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a"), line.Format{Stamp: line.UTC}, day, 2500)
	b := write(t, filepath.Join(dir, "b"), line.Format{JSON: true},
		day.Add(500*time.Millisecond), 2500)
	var want []string
	for i := range 2500 {
		want = append(want, fmt.Sprintf("a line %d", i), fmt.Sprintf("b line %d", i))
	}
	if got := collect(t, []Log{b, a}, Query{}); !slices.Equal(got, want) {
		t.Errorf("%d lines, not merged by time: %q", len(got), got[:10])
	}
	if got := collect(t, []Log{b, a}, Query{Last: 5}); !slices.Equal(got, want[4990:]) {
		t.Errorf("last 5 of each: %q", got)
	}
	// One service with two files has one last line, not two.
	b.Service = a.Service
	if got := collect(t, []Log{b, a}, Query{Last: 5}); !slices.Equal(got, want[4995:]) {
		t.Errorf("last 5 of a service with two files: %q", got)
	}
}

// TestSearchReadsLittle shows that points in time in a large file are found without reading it.
func TestSearchReadsLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	const n = 300_000
	l := write(t, path, line.Format{Stamp: line.UTC}, day, 1)
	var buf []byte
	for i := range n {
		w := l.Format.Writer(line.Out, day.Add(time.Duration(i)*time.Second))
		buf, _ = w.Append(buf, fmt.Appendf(nil, "a line %d", i), true, line.State{})
	}
	store(t, path, buf)
	s, err := openSegment(l, layout.Rotated{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, want := range []int{0, 1, 777, 150_000, n - 1} {
		since := day.Add(time.Duration(want) * time.Second)
		s.limit = int64(len(buf))
		if err := s.end(since); err != nil {
			t.Fatal(err)
		}
		records, err := s.last(Query{Until: since}, 1)
		if err != nil || len(records) != 1 ||
			string(records[0].Text) != fmt.Sprintf("a line %d", want) {
			t.Errorf("until line %d: found %d lines, %v", want, len(records), err)
		}
		through := int64(bytes.Index(buf, fmt.Appendf(nil, "a line %d\n", want)))
		if s.limit-through > 2*pieceMax {
			t.Errorf("until line %d: ends %d bytes behind it", want, s.limit-through)
		}
		s.limit = int64(len(buf))
		if err := s.search(since); err != nil {
			t.Fatal(err)
		}
		from := s.at
		for {
			r, err := s.next(true)
			if err != nil {
				t.Fatal(err)
			}
			if r.Time.Before(since) {
				continue
			}
			if string(r.Text) != fmt.Sprintf("a line %d", want) {
				t.Errorf("since line %d: found %q", want, r.Text)
			}
			if s.at-from > 2*pieceMax {
				t.Errorf("since line %d: read %d bytes from where the search ended",
					want, s.at-from)
			}
			break
		}
	}
}

func TestLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	long := strings.Repeat("0123456789", 100_000)
	store(t, path, []byte("short\n"+long+"\nend"))
	var joined strings.Builder
	err := Run(t.Context(), []Log{{Path: path}}, Query{}, func(r Record) error {
		joined.Write(r.Text)
		if !r.More {
			joined.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if joined.String() != "short\n"+long+"\nend" {
		t.Errorf("%d bytes, want %d", joined.Len(), len(long)+10)
	}
}

// TestFollow appends to a log, rotates and compresses it, faster than the follower may be, and
// truncates it.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	store(t, path, []byte("old\nbefore\n"))
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string, 10000)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, []Log{{Path: path}}, Query{Follow: true, Last: 1}, func(r Record) error {
			got <- string(r.Text)
			return nil
		})
	}()
	want := func(line string) {
		t.Helper()
		select {
		case l := <-got:
			if l != line {
				t.Fatalf("got %q, want %q", l, line)
			}
		case err := <-done:
			t.Fatalf("waiting for %q: the follower ended: %v", line, err)
		case <-time.After(time.Minute):
			t.Fatalf("waited for %q in vain", line)
		}
	}
	say := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	want("before")
	say("one\ntw")
	want("one")
	say("o\n")
	want("two")
	at := time.Now()
	for i := range 300 {
		say(fmt.Sprintf("line %d\n", i))
		if i%10 != 9 {
			continue
		}
		at = at.Add(time.Millisecond)
		name := layout.Name(path, at)
		if err := os.Rename(path, name); err != nil {
			t.Fatal(err)
		}
		say("")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		store(t, name+".zst", zst(t, b))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		want(fmt.Sprintf("line %d", i))
	}
	// that of a name of somebody else's is read to its end if it was open by then
	say("the last file is open\n")
	want("the last file is open")
	say("unfinished")
	if err := os.Rename(path, path+".moved"); err != nil { // as mv or logrotate would
		t.Fatal(err)
	}
	say("new\n")
	want("unfinished")
	want("new")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	say("a\n")
	want("a")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	say("again\n")
	want("again")
	if err := os.RemoveAll(dir); err != nil { // the directory too
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	say("anew\n")
	want("anew")
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("at the end of the context: %v", err)
	}
}

func TestDisk(t *testing.T) {
	l := write(t, filepath.Join(t.TempDir(), "a"), line.Format{}, day, 3500)
	u, err := Disk([]Log{l, {Path: filepath.Join(t.TempDir(), "none")}})
	if err != nil || u[0].Files != 4 || u[0].Bytes < 10_000 || u[1].Files != 0 {
		t.Errorf("Disk = %+v, %v", u, err)
	}
}
