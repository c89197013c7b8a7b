package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/daemonry/daemonry/spec"
)

// pages are those of all commands.
func pages() []*page {
	for _, name := range verbNames() {
		if helpText(name) == "" {
			panic("there is no help/" + name + ".md")
		}
	}
	all := []*page{(&app{}).rootVerb().page()}
	for _, e := range verbs {
		all = append(all, e.verb(&app{}).page())
	}
	return all
}

// TestHelp holds every page to the form of a manual: complete, and no wider than a terminal.
func TestHelp(t *testing.T) {
	for _, p := range pages() {
		text := p.text()
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%s: wider than 80 columns: %s", p.name, line)
			}
		}
		for _, title := range []string{"NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "EXAMPLES"} {
			if !strings.Contains(text, "\n"+title+"\n") && !strings.HasPrefix(text, title+"\n") {
				t.Errorf("%s: no %s", p.name, title)
			}
		}
		for _, g := range p.options {
			for _, o := range g.options {
				if text := p.texts[o.long()]; !strings.HasSuffix(text, ".") {
					t.Errorf("%s: --%s says %q", p.name, o.name, text)
				}
			}
		}
	}
}

// TestEachHasItsPage: a command is in the file of its name, and so is its page, of which nothing is
// lost on the way to the reader; and there is no page of anything else.
func TestEachHasItsPage(t *testing.T) {
	files, err := helpFiles.ReadDir("help")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]bool{}
	for _, f := range files {
		of[strings.TrimSuffix(f.Name(), ".md")] = true
	}
	delete(of, "shared")
	unused := optionsIn("shared")
	for _, p := range pages() {
		if !of[p.name] {
			t.Errorf("%s: no help/%[1]s.md", p.name)
		}
		delete(of, p.name)
		if _, err := os.Stat(p.name + ".go"); err != nil && p.name != program {
			t.Error(err)
		}
		for _, name := range p.options.names() {
			delete(unused, name)
		}
		for name, text := range optionsIn(p.name) {
			if _, ok := p.options.named(name); !ok || text == optionsIn("shared")[name] {
				t.Errorf("help/%s.md: --%s is no option of the command, or is in help/shared.md",
					p.name, name)
			}
		}
		got, want := strings.Fields(p.source()), strings.Fields(helpText(p.name))
		if !slices.Equal(got, want) {
			t.Errorf("help/%s.md is read as\n%s", p.name, strings.Join(got, " "))
		}
	}
	for name := range of {
		t.Errorf("help/%s.md: no such command", name)
	}
	for name := range unused {
		t.Errorf("help/shared.md: --%s: no such option", name)
	}
	// What pages say of values that are in the code.
	if text := optionsIn("start")["budget"]; !strings.Contains(text,
		" "+spec.DefaultBudgetWindow.String()+" ") {
		t.Errorf("help/start.md: --budget %s", text)
	}
	if p := (&verb{name: "completion"}).page(); !strings.Contains(p.synopsis[0],
		strings.Join(shellNames(), "|")) {
		t.Errorf("help/completion.md: %s", p.synopsis[0])
	}
}

// optionsIn are what a file says of options.
func optionsIn(file string) map[string]string {
	p := page{texts: map[string]string{}}
	p.read(helpText(file))
	return p.texts
}

// TestEachIsListed: what is written as a command is one. UPDATE=1 lists it, as the last one.
func TestEachIsListed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	const list, end = "cli.go", "\n}\n\nfunc verbNames()"
	var missing strings.Builder
	for _, file := range files {
		name := strings.TrimSuffix(file, ".go")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(verbNames(), name) ||
			!strings.Contains(string(text), "\nfunc "+name+"Verb(a *app) *verb {") {
			continue
		}
		if os.Getenv("UPDATE") == "" {
			t.Errorf("%s is not among the verbs; UPDATE=1 lists it", name)
		}
		fmt.Fprintf(&missing, "\n\t{%q, %sVerb},", name, name)
	}
	if os.Getenv("UPDATE") == "" || missing.Len() == 0 {
		return
	}
	text, err := os.ReadFile(list)
	if err == nil {
		err = os.WriteFile(list,
			[]byte(strings.Replace(string(text), end, missing.String()+end, 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// source is the file that the page was read from, but for its line breaks and what is not from
// there.
func (p *page) source() string {
	var b strings.Builder
	rows := func(list []row) {
		for _, r := range list {
			fmt.Fprintf(&b, "%s\n: %s\n\n", r.term, r.text)
		}
	}
	fmt.Fprintf(&b, "# %s - %s\n\n## Synopsis\n\n%s\n\n",
		p.path(), p.short, strings.Join(p.synopsis, "\n"))
	if len(p.about) > 0 {
		fmt.Fprintf(&b, "## Description\n\n%s\n\n", strings.Join(p.about, "\n\n"))
	}
	if own := optionsIn(p.name); len(own) > 0 {
		b.WriteString("## Options\n\n")
		for _, name := range p.options.names() {
			if text, ok := own[name]; ok {
				rows([]row{{"--" + name, text}})
			}
		}
	}
	for _, s := range p.sections {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", capitalised(s.title), s.intro)
		if s.title != "commands" && s.title != "formats" {
			rows(s.rows)
		}
	}
	b.WriteString("## Exit status\n\n")
	rows(p.statuses)
	b.WriteString("## Examples\n\n")
	for _, r := range p.examples {
		fmt.Fprintf(&b, "%s\n\n    %s\n\n", r.text, r.term)
	}
	if len(p.seeAlso) > 0 {
		fmt.Fprintf(&b, "## See also\n\n%s\n", strings.Join(p.seeAlso, ", "))
	}
	return b.String()
}

// TestExamples: no example that is not run by a script, of cmd/daemonry or of this package.
func TestExamples(t *testing.T) {
	var scripts strings.Builder
	files, err := filepath.Glob("../../daemonry/testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	ours, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, ours...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The port of an example is whichever is free when a script runs it.
		scripts.WriteString(strings.ReplaceAll(string(data), "${EXAMPLE_PORTS}0", "9180"))
	}
	for _, p := range pages() {
		for _, example := range p.examples {
			if !strings.Contains(scripts.String(), " "+example.term+"\n") {
				t.Errorf("%s: no script runs %q", p.name, example.term)
			}
		}
	}
}
