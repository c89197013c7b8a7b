package safetext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestAppendLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢 🙂\ttab":                       "plain ü 漢 🙂\ttab",
		"\x1b[31mred":                            "\x1b[31mred\x1b[0m",
		"\x1b[31mred\x1b[0m":                     "\x1b[31mred\x1b[0m",
		"\x1b[31mred\x1b[m end":                  "\x1b[31mred\x1b[m end",
		"\x1b[1;38;2;1;2;3mx\x1b[0;4mu":          "\x1b[1;38;2;1;2;3mx\x1b[0;4mu\x1b[0m",
		"\x1b[38:2::1:2:3mx":                     "\x1b[38:2::1:2:3mx\x1b[0m",
		"\x1b[2J":                                `\x1b[2J`,
		"\x1b]0;title\x07":                       `\x1b]0;title\x07`,
		"\x1b]52;c;YQ==\x1b\\":                   `\x1b]52;c;YQ==\x1b\`,
		"\x1b[1;1H":                              `\x1b[1;1H`,
		"\x1bc":                                  `\x1bc`,
		"\x1b[?25l\x1b[>4;2m":                    `\x1b[?25l\x1b[>4;2m`,
		"\x1b[31":                                `\x1b[31`,
		"\x1b[" + strings.Repeat("1;", 50) + "m": `\x1b[` + strings.Repeat("1;", 50) + "m",
		"10%\r20%":                               `10%\x0d20%`,
		"crlf\r":                                 "crlf",
		"over\b\b":                               `over\x08\x08`,
		"\x7f\x00":                               `\x7f\x00`,
		"\u009b2J":                               `\u009b2J`,
		"\x9b2J\xff":                             `\x9b2J\xff`,
		"a\u202eb\u2066c\u2069":                  `a\u202eb\u2066c\u2069`,
		"a\u2028b\ufeff\U000e0041":               `a\u2028b\ufeff\u{e0041}`,
	} {
		if got := string(AppendLine([]byte("> "), []byte(in))); got != "> "+want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\tü": "a\tü", "\x1b[31mred": `\x1b[31mred`, "a\nb\r": `a\x0ab\x0d`, "\xff": `\xff`,
		"\u009b": `\u009b`,
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := Writer(&b)
	for _, text := range []string{"\x1b[31mred\nnot", " \x1b[32m", "green", "\n\x1b[2J", "\n\n"} {
		if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	if want := "\x1b[31mred\x1b[0m\nnot \x1b[32mgreen\x1b[0m\n\\x1b[2J\n\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	// JSON on a terminal is still JSON.
	b.Reset()
	if err := json.NewEncoder(w).Encode("\u009b2J\u202e\x1b"); err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != "\u009b2J\u202e\x1b" ||
		bytes.Contains(b.Bytes(), []byte("\u009b")) {
		t.Errorf("%q, %v", back, err)
	}
}

// FuzzSafe: whatever comes, nothing but text and colours goes out, and the line ends as it began.
func FuzzSafe(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		line := bytes.ReplaceAll(in, []byte("\n"), nil)
		checkSafe(t, AppendLine(nil, line))
		plain := Plain(string(in))
		if strings.ContainsFunc(plain, hidden) || Plain(plain) != plain {
			t.Errorf("%q: %q", in, plain)
		}
		var b bytes.Buffer
		if _, err := Writer(&b).Write(append(in, '\n')); err != nil {
			t.Fatal(err)
		}
		for out := range bytes.Lines(b.Bytes()) {
			checkSafe(t, bytes.TrimSuffix(out, []byte("\n")))
		}
		if bytes.Count(b.Bytes(), []byte("\n")) != bytes.Count(in, []byte("\n"))+1 {
			t.Errorf("%q has other lines: %q", in, b.Bytes())
		}
	})
}

// checkSafe is a terminal that knows colours, written apart from the code above.
func checkSafe(t *testing.T, line []byte) {
	t.Helper()
	coloured := false
	for rest := string(line); rest != ""; {
		if after, ok := strings.CutPrefix(rest, "\x1b["); ok {
			parameters, end, found := strings.Cut(after, "m")
			if !found || strings.Trim(parameters, "0123456789;:") != "" {
				t.Fatalf("%q: a sequence that is no colour", line)
			}
			coloured = strings.Trim(parameters, "0") != ""
			rest = end
			continue
		}
		r := []rune(rest)[0]
		if strings.ContainsRune("\r\n\v\f\b\a\x1b\x7f", r) || r < ' ' && r != '\t' ||
			r >= 0x80 && r < 0xa0 ||
			r >= 0x202a && r <= 0x202e || !strings.HasPrefix(rest, string(r)) {
			t.Fatalf("%q: %q passes", line, r)
		}
		rest = rest[len(string(r)):]
	}
	if coloured {
		t.Fatalf("%q: the colour is not taken back", line)
	}
}
