package native

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBounds: files of a few megabytes that took minutes and gigabytes are refused in a moment, and
// it is said why.
func TestBounds(t *testing.T) {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const deep, keys = "more than 32 tables or arrays inside each other", "more than 20000 keys, " +
		"tables and arrays in one file"
	for name, c := range map[string]struct{ text, want string }{
		"dotted key": {
			"[service.a]\ncommand = \"true\"\nlabels." +
				strings.Repeat("a.", 100_000) + "b = \"x\"",
			deep,
		},
		"dotted table": {"[" + strings.Repeat("a.", 1_000_000) + "b]", deep},
		"arrays": {"x = " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
			deep},
		"inline tables": {
			"x = " + strings.Repeat("{a=", 100_000) + "1" + strings.Repeat("}", 100_000), deep,
		},
		"after a text": {"x = '''[[\n'''\ny = \"\\\"[[\"\nz = " + strings.Repeat("[", 33), deep},
		"services":     {many("[service.s%d]\ncommand = \"true\"\n", 100_000), keys},
		"labels":       {"[service.a.labels]\n" + many("l%d = \"1\"\n", 100_000), keys},
	} {
		began := time.Now()
		_, err := Parse("/x.toml", []byte(c.text), testEnv)
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "/x.toml:") {
			t.Errorf("%s: %.200v, want %q", name, err, c.want)
		}
		if took := time.Since(began); took > 20*time.Second { // it was a minute, on an idle machine
			t.Errorf("%s took %v", name, took)
		}
	}
	// What looks deep and is not.
	dots := strings.Repeat(".", 100) + strings.Repeat("[{", 100)
	text := "[service.a] # " + dots + "\ncommand = [\"a\", '" + dots +
		"']\ndescription = \"\\\\\"\n[service.a.labels]\n\"" +
		dots + "\" = '''" + dots + "\n" + dots + "'''\n"
	if _, err := Parse("/x.toml", []byte(text), testEnv); err != nil &&
		!strings.Contains(err.Error(), "labels") {
		t.Error(err)
	}
}

func TestByteOrderMark(t *testing.T) {
	file, err := Parse("/x.toml", []byte("\uFEFFservice.a.command = 'true'"), testEnv)
	if err != nil || len(file.Services) != 1 {
		t.Errorf("%+v, %v", file, err)
	}
	if _, err := Parse("/x.toml", []byte("\xff\xfes\x00"), testEnv); err == nil ||
		!strings.Contains(err.Error(), "UTF-16") {
		t.Error(err)
	}
}

// TestWords: what people write instead of a text is answered with what to write.
func TestWords(t *testing.T) {
	const head = "[service.a]\ncommand = 'true'\n"
	for in, want := range map[string]string{
		"user = " +
			"www-data": `user: a text stands in quotation marks: write user = "www-data"`,
		"user = sleep 1 # x":       `write user = "sleep 1"`,
		"timeout = 10s":            `write timeout = "10s"`,
		"umask = 0022":             `write umask = "0022"`,
		"ready = tcp:127.0.0.1:80": `write ready = "tcp:127.0.0.1:80"`,
		"description = nothing":    `write description = "nothing"`,
		"clear_env = yes":          `write clear_env = "yes" or true`,
		"user =":                   "user: there is no value",
		"user = “a”":               "quotation marks are for people",
		"user: 'a'":                "write KEY = VALUE",
		"groups = ['a', b]":        `a text stands in quotation marks: write "b"`,
		"groups = [\n a,\n]":       `x.toml:4:2: a text stands in quotation marks: write "a"`,
		`user = "a\d"`:             "a backslash stands for itself in '…'",
		`user = "a`:                "is not closed",
		"user = 'a":                "is not closed",
	} {
		if _, err := Parse("/x.toml", []byte(head+in), testEnv); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
