package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// pages are those of all commands.
func pages() []page {
	all := []page{rootPage()}
	for _, e := range verbs {
		all = append(all, e.build(&app{}).page)
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
				if o.text == "" || !strings.HasSuffix(o.text, ".") || strings.ContainsAny(o.arg, "[]{}") && o.arg == "" {
					t.Errorf("%s: --%s says %q", p.name, o.name, o.text)
				}
			}
		}
	}
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
