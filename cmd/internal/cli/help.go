package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// page is what help says about one command, in the order of a man page.
type page struct {
	name     string // the word on the command line
	short    string // what it does, in a few words
	synopsis []string
	about    []string // paragraphs
	options  options
	texts    map[string]string // what each option does, by its long name
	sections []section
	statuses []row
	examples []row // a command line and what it does
	seeAlso  []string
}

// section is a list under a title of its own.
type section struct {
	title string
	intro string
	rows  []row
}

// row is a term and what it means.
type row struct{ term, text string }

// path is the command as one types it.
func (p *page) path() string {
	if p.name == program {
		return program
	}
	return program + " " + p.name
}

const columns = 79

// sayOption is what an option does, with its default.
func (p *page) sayOption(o option) string {
	text := p.texts[o.long()]
	if o.def == "" {
		return text
	}
	return strings.TrimSuffix(text, ".") + " (default: " + o.def + ")."
}

// text lays the page out for a terminal.
func (p *page) text() string {
	var b strings.Builder
	title := func(s string) { fmt.Fprintf(&b, "%s\n", strings.ToUpper(s)) }
	title("name")
	wrap(&b, 4, p.path()+" - "+p.short)
	title("\nsynopsis")
	for _, line := range p.synopsis {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	if len(p.about) > 0 {
		title("\ndescription")
	}
	for i, paragraph := range p.about {
		if i > 0 {
			b.WriteByte('\n')
		}
		wrap(&b, 4, paragraph)
	}
	title("\noptions")
	for i, g := range p.options {
		if g.title != "" {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "  %s\n", g.title)
		}
		for _, o := range g.options {
			item(&b, o.term(), p.sayOption(o))
		}
	}
	item(&b, "-h, --help", "Show this page.")
	for _, s := range p.sections {
		title("\n" + s.title)
		if s.intro != "" {
			wrap(&b, 4, s.intro)
		}
		for _, r := range s.rows {
			item(&b, r.term, r.text)
		}
	}
	if len(p.statuses) > 0 {
		title("\nexit status")
	}
	for _, r := range p.statuses {
		item(&b, r.term, r.text)
	}
	if len(p.examples) > 0 {
		title("\nexamples")
	}
	for i, r := range p.examples {
		if i > 0 {
			b.WriteByte('\n')
		}
		wrap(&b, 4, r.text)
		fmt.Fprintf(&b, "        %s\n", r.term)
	}
	if len(p.seeAlso) > 0 {
		title("\nsee also")
		wrap(&b, 4, strings.Join(p.seeAlso, ", "))
	}
	return b.String()
}

// termWidth is where the text beside a short term begins.
const termWidth = 26

// item writes a term with its text beside it, or below it if it is long.
func item(b *strings.Builder, term, text string) {
	const indent = "    "
	width := utf8.RuneCountInString(indent + term)
	if width+2 <= termWidth {
		var body strings.Builder
		wrap(&body, termWidth, text)
		b.WriteString(indent + term + strings.Repeat(" ", termWidth-width))
		b.WriteString(strings.TrimLeft(body.String(), " "))
		return
	}
	b.WriteString(indent + term + "\n")
	wrap(b, termWidth, text)
}

// wrap writes text in lines of at most columns, each indented.
func wrap(b *strings.Builder, indent int, text string) {
	used := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
			b.WriteString(strings.Repeat(" ", indent))
			used = indent
		case used+1+n > columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = indent
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
}
