package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const header = `# The command line

This page is made from the help pages of the command (UPDATE=1 go test
./cmd/internal/cli), and its examples are run by the tests of cmd/daemonry.
`

// TestDocs: docs/cli.md says what the help pages say. UPDATE=1 writes it.
func TestDocs(t *testing.T) {
	const file = "../../../docs/cli.md"
	var b strings.Builder
	b.WriteString(header)
	for _, p := range pages() {
		p.markdown(&b)
	}
	b.WriteString(daemonizeSection)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the help pages say: UPDATE=1 go test ./cmd/internal/cli", file)
	}
}

// TestExitStatusDocs: docs/exit-status.md has the table of every page. UPDATE=1 writes the tables.
func TestExitStatusDocs(t *testing.T) {
	const file = "../../../docs/exit-status.md"
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(have)
	for _, p := range pages() {
		text = withStatuses(text, p)
	}
	if text == string(have) {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Errorf("%s is not what the help pages say: UPDATE=1 go test ./cmd/internal/cli", file)
	} else if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withStatuses is a text with the table of a command below its heading.
func withStatuses(text string, p *page) string {
	const head = "| status | meaning |\n|---|---|\n"
	table := head
	for _, r := range p.statuses {
		table += fmt.Sprintf("| %s | %s |\n", r.term, r.text)
	}
	const others = "\n## The others\n"
	heading := "\n## `" + p.path() + "`\n"
	if p.name == program {
		heading = others
	}
	before, rest, ok := strings.Cut(text, heading)
	if !ok {
		return strings.Replace(text, others, heading+"\n"+table+others, 1)
	}
	intro, rest, ok := strings.Cut(rest, head)
	if !ok {
		return before + heading + "\n" + table + intro
	}
	for strings.HasPrefix(rest, "| ") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	return before + heading + intro + table + rest
}

func (p *page) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n\n", p.path(), capitalised(p.short))
	for _, line := range p.synopsis {
		fmt.Fprintf(b, "    %s\n", line)
	}
	for _, paragraph := range p.about {
		b.WriteByte('\n')
		wrap(b, 0, paragraph)
	}
	for _, g := range p.options {
		if g.title != "" {
			fmt.Fprintf(b, "\n**%s**\n", g.title)
		}
		fmt.Fprint(b, "\n| option | |\n|---|---|\n")
		for _, o := range g.options {
			fmt.Fprintf(b, "| `%s` | %s |\n", o.term(), cell(p.sayOption(o)))
		}
	}
	for _, s := range p.sections {
		fmt.Fprintf(b, "\n**%s**\n\n", capitalised(s.title))
		wrap(b, 0, s.intro)
		fmt.Fprintf(b, "\n| | |\n|---|---|\n")
		for _, r := range s.rows {
			fmt.Fprintf(b, "| `%s` | %s |\n", r.term, cell(r.text))
		}
	}
	fmt.Fprint(b, "\n| exit status | |\n|---|---|\n")
	for _, r := range p.statuses {
		fmt.Fprintf(b, "| %s | %s |\n", r.term, cell(r.text))
	}
	for _, r := range p.examples {
		fmt.Fprintf(b, "\n%s\n\n    %s\n", r.text, r.term)
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

const daemonizeSection = `
## daemonize

    daemonize [-a] [-c dir] [-e file] [-E name=value] [-l file] [-o file]
              [-p file] [-u user] [-v] path [arg] ...

A binary called under this name, by a link, and "daemonry daemonize" take the
options of daemonize(1) 1.7.8, by its rules: letters may stand together,
and options end at the first word that is none. Its checks have its sentences
and exit status 1.

What differs is what its documentation does not say:

| daemonize | here |
|---|---|
| returns 0 as soon as it has forked | returns when the program has come to rest, with the exit statuses of "daemonry detach" if it has not |
| writes the pid after it has returned, relative to -c | the pid file is complete, and where -p says, when it returns |
| takes over any pid file | refuses the pid file of a daemon that is alive (exit status 125); holds it locked |
| gives the pid file to the user of -u | leaves it to root, who alone is believed by root about processes of others |
| leaves open what it was started with | closes everything but 0, 1, 2 and the lock of -l |
| leaves signals blocked and ignored | every signal is at its default and unblocked |
| standard input cannot be read with -o or -e | standard input is /dev/null |
| keeps the umask | umask 0022 |
| runs a file without a first line "#!" by the shell | says so, with exit status 126 |

    daemonize -p $WORK/web.pid -o $WORK/web.log $WORK/web
`
