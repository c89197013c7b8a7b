package line

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var at = time.Date(2026, 11, 21, 2, 48, 30, 123456789, time.UTC)

func TestForms(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("", -3*3600-1800)
	defer func() { time.Local = zone }()
	for _, c := range []struct {
		f    Format
		s    Stream
		text string
		end  bool
		at   State
		want string
		then State
	}{
		{Format{}, Out, "a\x00b", true, State{}, "a\x00b\n", State{}},
		{Format{}, Out, "rest", true, State{}.In(Out), "rest\n", State{}},
		{Format{}, Log, "notice", true, State{}.In(Out), "\nnotice\n", State{cut: 1}},
		{Format{Stamp: UTC}, Out, "a", true, State{}, "2026-11-21T02:48:30.123456Z a\n", State{}},
		{Format{Stamp: UTC}, Out, "a", false, State{}, "2026-11-21T02:48:30.123456Z a",
			State{}.In(Out)},
		{Format{Stamp: UTC}, Out, "b", true, State{}.In(Out), "b\n", State{}},
		{Format{Stamp: UTC}, Out, "b", true, State{}.In(Out).Ended(Out),
			"\n2026-11-21T02:48:30.123456Z b\n", State{}},
		{Format{Stamp: Local, Mark: true}, Err, "a", true, State{},
			"2026-11-20T23:18:30.123456-03:30 err a\n", State{}},
		{Format{Mark: true}, Err, "b", true, State{}.In(Out), "\nerr b\n", State{cut: 1}},
		{Format{Mark: true}, Out, "rest", true, State{cut: 1}, "out+ rest\n", State{}},
		{Format{Mark: true}, Out, "rest", true, Unknown, "\nout+ rest\n", State{}},
		{Format{Mark: true}, Out, "new", true, State{}.In(Out).Ended(Out), "\nout new\n", State{}},
		{Format{Mark: true}, Log, "notice", true, Unknown, "\nlog notice\n", State{}},
		{Format{JSON: true}, Out, "a\"\\\t\x01é", true, State{},
			`{"time":"2026-11-21T02:48:30.123456Z","line":"a\"\\\t\u0001é"}` + "\n", State{}},
		{Format{JSON: true, Mark: true}, Err, "\xff", false, State{},
			`{"time":"2026-11-21T02:48:30.123456Z","stream":"err","bytes":"/w==","partial":true}` + "\n", State{}},
	} {
		w := c.f.Writer(c.s, at)
		got, then := w.Append(nil, []byte(c.text), c.end, c.at)
		if string(got) != c.want || then != c.then {
			t.Errorf("%+v %q after %v: %q, %v; want %q, %v",
				c.f, c.text, c.at, got, then, c.want, c.then)
		}
	}
}

var formats = []Format{{Stamp: UTC}, {Stamp: Local}, {Stamp: UTC, Mark: true}, {Mark: true},
	{JSON: true}, {JSON: true, Mark: true}, {JSON: true, Stamp: Local}}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats).Draw(t, "format")
		s := rapid.SampledFrom([]Stream{Out, Err, Log}).Draw(t, "stream")
		text := bytes.ReplaceAll(rapid.SliceOf(rapid.Byte()).Draw(t, "text"), []byte{'\n'}, nil)
		if rapid.Bool().Draw(t, "valid") {
			text = []byte(strings.ReplaceAll(rapid.String().Draw(t, "string"), "\n", ""))
		}
		w := f.Writer(s, at)
		got, then := w.Append(nil, text, true, State{})
		if then != (State{}) || bytes.IndexByte(got, '\n') != len(got)-1 {
			t.Fatalf("%q is not one line", got)
		}
		if f.JSON && !json.Valid(got) {
			t.Fatalf("not JSON: %q", got)
		}
		r := f.Parse(got[:len(got)-1])
		if !bytes.Equal(r.Text, text) || r.More || r.Rest {
			t.Fatalf("%q read back as %q", text, r.Text)
		}
		if f.Mark && r.Stream != s {
			t.Fatalf("stream %v read back as %v", s, r.Stream)
		}
		if (f.JSON || f.Stamp != NoStamp) && !r.Time.Equal(at.Truncate(time.Microsecond)) {
			t.Fatalf("time read back as %v", r.Time)
		}
	})
}

// TestPlainStopsAtTheFirstEscape compares the eight-at-a-time scan with the obvious one.
func TestPlainStopsAtTheFirstEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(
			rapid.SampledFrom([]byte{'a', '"', '\\', 0x1f, 0x20, 0x7f, 0x80, 0xff, '!', '#',
				'[', ']', 0}),
			0, 40,
		).Draw(
			t, "bytes",
		)
		want := bytes.IndexFunc(p, func(r rune) bool { return r == '"' || r == '\\' || r < 0x20 })
		if want < 0 {
			want = len(p)
		}
		if got := plain(p); got != want {
			t.Fatalf("plain(%q) = %d, want %d", p, got, want)
		}
	})
}

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringN(1, -1, 200).Draw(t, "text")
		if s == "" {
			return
		}
		p := []byte(s)[:rapid.IntRange(1, len(s)).Draw(t, "length")]
		n := Cut(p)
		if n < 1 || n > len(p) || len(p)-n > 3 {
			t.Fatalf("Cut(%q) = %d of %d", p, n, len(p))
		}
		if len(p) >= utf8.UTFMax && !utf8.Valid(p[:n]) {
			t.Fatalf("Cut(%q) = %d cuts a character", p, n)
		}
	})
	if n := Cut([]byte("\x80\x80\x80\x80\x80")); n != 5 {
		t.Errorf("Cut of what is not UTF-8 = %d", n)
	}
}

func TestGuess(t *testing.T) {
	for _, f := range formats {
		if f == (Format{Mark: true}) {
			continue // nothing tells it from a service that prints "out"
		}
		w := f.Writer(Out, at)
		l, _ := w.Append(nil, []byte("text"), true, State{})
		got := Guess(l[:len(l)-1])
		if f.JSON {
			f.Stamp = NoStamp // parsing does not need it
		}
		if got != f && !(f.Stamp == Local && got.Stamp == UTC) {
			t.Errorf("%q: guessed %+v, is %+v", l, got, f)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-11-21T02:48:30.123456Z out+ text"), uint8(3))
	f.Add([]byte("2026-11-20T23:18:30.123456-03:30 err text"), uint8(1))
	f.Add(
		[]byte(
			`{"time":"2026-11-21T02:48:30.123456Z","stream":"err","bytes":"/w==","partial":true}`,
		),
		uint8(4),
	)
	f.Fuzz(func(t *testing.T, l []byte, which uint8) {
		format := formats[int(which)%len(formats)]
		r := format.Parse(l)
		if !format.JSON && !bytes.HasSuffix(l, r.Text) {
			t.Fatalf("%q lost bytes: %q", l, r.Text)
		}
		Guess(l)
	})
}

func BenchmarkText(b *testing.B) { benchmark(b, Format{Stamp: UTC, Mark: true}) }
func BenchmarkJSON(b *testing.B) { benchmark(b, Format{JSON: true}) }

func benchmark(b *testing.B, f Format) {
	text := []byte(strings.Repeat("0123456789", 10))
	dst := make([]byte, 0, 1<<10)
	w := f.Writer(Out, at)
	b.SetBytes(int64(len(text) + 1))
	for b.Loop() {
		dst, _ = w.Append(dst[:0], text, true, State{})
	}
}
