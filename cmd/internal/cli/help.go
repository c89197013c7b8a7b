package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// page is what help says about one command, in the order of a man page.
type page struct {
	name     string // the word on the command line
	short    string // what it does, in a few words
	synopsis []string
	about    []string // paragraphs
	options  []group
	sections []section
	statuses []row
	examples []row // a command line and what it does
	seeAlso  []string
}

// group is options that belong together, under a title that may be empty.
type group struct {
	title   string
	options []option
}

// section is a list under a title of its own.
type section struct {
	title string
	intro string
	rows  []row
}

// row is a term and what it means.
type row struct{ term, text string }

// option is one option of a command.
type option struct {
	name string // "file", or "f, file" if a letter stands for it too
	arg  string // stands for its value in help; "" is a switch
	text string
	def  string // its default as help shows it; "" for none
	set  func(string) error
}

// value makes an option what pflag wants.
type value struct{ option }

func (v *value) String() string     { return v.def }
func (v *value) Type() string       { return v.arg }
func (v *value) Set(s string) error { return v.set(s) }

func (p *page) option(name string) (option, bool) {
	for _, g := range p.options {
		if i := slices.IndexFunc(g.options, func(o option) bool { return o.long() == name || name != "" && o.letter() == name }); i >= 0 {
			return g.options[i], true
		}
	}
	return option{}, false
}

func (p *page) optionNames() []string {
	var names []string
	for _, g := range p.options {
		for _, o := range g.options {
			names = append(names, o.long())
		}
	}
	return names
}

// path is the command as one types it.
func (p *page) path() string {
	if p.name == program {
		return program
	}
	return program + " " + p.name
}

// long is the option's name, without the letter.
func (o option) long() string {
	if _, long, ok := strings.Cut(o.name, ", "); ok {
		return long
	}
	return o.name
}

// letter stands for the option, if it is not "".
func (o option) letter() string {
	letter, _, ok := strings.Cut(o.name, ", ")
	if !ok {
		return ""
	}
	return letter
}

// term is the option as one types it.
func (o option) term() string {
	term := "--" + o.long()
	if o.letter() != "" {
		term = "-" + o.letter() + ", " + term
	}
	if o.arg == "" {
		return term
	}
	return term + " " + o.arg
}

// say is what the option does, with its default.
func (o option) say() string {
	if o.def == "" {
		return o.text
	}
	return strings.TrimSuffix(o.text, ".") + " (default: " + o.def + ")."
}

const columns = 79

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
			item(&b, o.term(), o.say())
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
