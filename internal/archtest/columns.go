package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"unicode/utf8"
)

// columnRules keep lines so short that two windows side by side show them whole.
var columnRules = []Rule{
	{"lines of Go have at most 100 columns", checkColumns},
	{"lines of scripts have at most 100 columns", checkScriptColumns},
	{"lines of Markdown have at most 100 columns", checkMarkdownColumns},
}

// mostColumns is the most columns that a line may have, where a tab is tabColumns.
const (
	mostColumns = 100
	tabColumns  = 4
)

func checkColumns(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		if !generated.MatchString(f.Text) {
			checkLines(f.Path, t.withoutRaw(f), report)
		}
	})
}

func checkScriptColumns(t *Tree, report Report) {
	for name, data := range t.Scripts {
		checkLines(name, string(data), report)
	}
}

func checkMarkdownColumns(t *Tree, report Report) {
	for name, data := range t.Pages {
		checkLines(name, tableRow.ReplaceAllString(string(data), ""), report)
	}
}

// generated is the line that tells that nobody edits a file (go help generate).
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// tableRow is a line of a table of Markdown, which has no way to go on in a next one.
var tableRow = regexp.MustCompile(`(?m)^ *\|.*$`)

func checkLines(name, text string, report Report) {
	for i, line := range strings.Split(text, "\n") {
		if n := columns(line); n > mostColumns && breakable(line) {
			report(name, "line %d has %d columns, more than %d", i+1, n, mostColumns)
		}
	}
}

// columns counts what an editor shows of a line: characters, not bytes.
func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}

// lineBegin is what each line of a paragraph has in front: the indentation, the mark of a comment.
var lineBegin = regexp.MustCompile(`^[ \t]*(?:(?://|#|[-*])[ \t]+)?`)

// breakable says whether there is any way to make a line short: not if it is a directive, or if one
// word of it, as an address, is too long by itself.
func breakable(line string) bool {
	if strings.HasPrefix(line, "//go:") {
		return false
	}
	begin := len(lineBegin.FindString(line))
	indent := columns(line[:begin])
	for word := range strings.FieldsSeq(line[begin:]) {
		if indent+columns(word) > mostColumns {
			return false
		}
	}
	return true
}

// withoutRaw is the text of a file but for what is in its raw strings, with the lines that it had.
// A script or an answer in JSON may be worth less when it is broken.
func (t *Tree) withoutRaw(f *File) string {
	var b strings.Builder
	done := 0
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || lit.Value[0] != '`' {
			return true
		}
		b.WriteString(f.Text[done:t.fset.Position(lit.Pos()).Offset])
		b.WriteString(strings.Repeat("\n", strings.Count(lit.Value, "\n")))
		done = t.fset.Position(lit.End()).Offset
		return true
	})
	return b.String() + f.Text[done:]
}
