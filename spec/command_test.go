package spec

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"":                       nil,
		" \t\n":                  nil,
		"a  b\tc\nd":             {"a", "b", "c", "d"},
		`a 'b c' "d e"`:          {"a", "b c", "d e"},
		`'' ""`:                  {"", ""},
		`a'b'"c"\d`:              {"abcd"},
		`"a\"b\\c\$d\e"`:         {`a"b\c$d\e`},
		`'a\'`:                   {`a\`},
		"a\\\nb \\\n c":          {"ab", "c"},
		"\"a\\\nb\"":             {"ab"},
		`\  x`:                   {" ", "x"},
		`a#b`:                    {"a#b"},
		`*.go ~ $HOME {a,b} [x]`: {"*.go", "~", "$HOME", "{a,b}", "[x]"},
		`ä "ö ü"`:                {"ä", "ö ü"},
	} {
		got, err := Split(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	refuse(t, Split, map[string]string{
		"a | b": "unquoted '|'", "a && b": "unquoted '&'", "a; b": "unquoted ';'",
		"a > b": "unquoted '>'", "a < b": "unquoted '<'",
		"$(a)": "unquoted '('", "`a`": "unquoted '`'", "a # b": "unquoted '#'", "'a": "not closed",
		`"a`: "not closed", `"a\"`: "not closed",
		`a\`: "ends in a backslash", "a\x00b": "NUL", "'\x00'": "NUL",
	})
}

// The shell is the judge of Split and of Command.String.
func TestSplitAsShell(t *testing.T) {
	for _, text := range []string{
		`a 'b c' "d e"`, `'' ""`, `a'b'"c"\d`, `"a\"b\\c\$d\e"`, `'a\'`, "a\\\nb \\\n c",
		"\"a\\\nb\"", `\  x`, `a#b`, `"a'b" 'c"d'`, "a\tb", `-n -e \\n`, `\"\'`,
	} {
		want := shellWords(t, text)
		got, err := Split(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: Split says %q (%v), sh says %q", text, got, err, want)
		}
	}
	for _, words := range []Command{{"a", "b c", "", "'", `"`, `\`, "$HOME", "`x`", "*", "#",
		"a\nb", "ä", "~", "!", "{a,b}", "=", "-n"}} {
		if got := shellWords(t, words.String()); !reflect.DeepEqual(Command(got), words) {
			t.Errorf("%q: sh reads %s as %q", words, words, got)
		}
	}
}

func shellWords(t *testing.T, text string) []string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", `printf '%s\0' `+text).Output()
	if err != nil {
		t.Fatalf("sh: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func FuzzSplit(f *testing.F) {
	f.Add(`a 'b c' "d\"" \e`)
	f.Add("x\\\ny")
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Split(text)
		if err != nil {
			return
		}
		again, err := Split(Command(words).String())
		if err != nil || !reflect.DeepEqual(again, words) {
			t.Errorf("%q: %q, then %q, %v", text, words, again, err)
		}
	})
}

func TestParseEnv(t *testing.T) {
	text := "\ufeff# comment\n; too\n\nA=1\nexport B = two words \nC='a # b\n$X'\n" +
		"D=\"x\\ny\\\"z\\q\" # after\nE=\nF=a#b # c\nG=#\nH=\"\"\nA=2"
	want := []string{
		"A=1", "B=two words", "C=a # b\n$X", "D=x\ny\"z\\q", "E=", "F=a#b", "G=", "H=", "A=2",
	}
	got, err := ParseEnv(text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if got, err := ParseEnv("A=1\r\nB='2'\r\n"); err != nil ||
		!reflect.DeepEqual(got, []string{"A=1", "B=2"}) {
		t.Errorf("CRLF: %q, %v", got, err)
	}
	refuse(t, ParseEnv, map[string]string{
		"A=1\n\nfoo": `line 3: there is no =`,
		"1A=2":       "line 1: what is before the = is not the name", "=x": "not the name",
		"A='b\n\n":          "line 1: the quote ' is not closed",
		"A='1'\nB='x\ny' z": `line 2: something follows`, "A=a\x00": "NUL", "A B=1": "not the name",
	})
}

func FuzzParseEnv(f *testing.F) {
	f.Add("A=1\nexport B='x\ny' # c\nC=\"\\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := ParseEnv(text)
		if err != nil {
			return
		}
		for _, v := range vars {
			name, value, ok := strings.Cut(v, "=")
			if !ok || checkEnvName(name) != nil || strings.ContainsRune(value, 0) {
				t.Errorf("%q makes %q", text, v)
			}
		}
	})
}
