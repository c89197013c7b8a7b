package cli

import (
	"embed"
	"strings"
)

// helpFiles are the pages of all commands, help/COMMAND.md, and that of the command as a whole.
// They are Markdown that man pages can be made from as well: a title "# COMMAND - what it does",
// sections, indented command lines, and lists of a term with its text behind ": " on the next line.
// What options there are, with which argument and default, is where they are parsed; what they do
// is in the page, or for those of several commands in help/shared.md.
//
//go:embed help/*.md
var helpFiles embed.FS

// helpText is the text of a command's page. Each has one, and of the form that read knows: tests
// see to it.
func helpText(name string) string {
	text, _ := helpFiles.ReadFile("help/" + name + ".md")
	return string(text)
}

// shortOf is what a command does, in a few words.
func shortOf(name string) string {
	title, _, _ := strings.Cut(helpText(name), "\n")
	_, short, _ := strings.Cut(title, " - ")
	return short
}

// page is read for whoever asks for it, and not by the command at work.
func (v *verb) page() *page {
	p := &page{name: v.name, short: shortOf(v.name), options: v.options, texts: map[string]string{}}
	p.read(helpText("shared"))
	p.read(helpText(v.name))
	if v.list != nil {
		s := last(&p.sections)
		s.rows = append(s.rows, v.list()...)
	}
	return p
}

// read takes the text of a page in.
func (p *page) read(text string) {
	under := ""
	for block := range strings.SplitSeq(text, "\n\n") {
		block = strings.TrimRight(block, "\n")
		term, meaning, list := strings.Cut(block, "\n: ")
		switch {
		case under == "" && !strings.HasPrefix(block, "## "): // the title
		case strings.HasPrefix(block, "## "):
			under = strings.ToLower(block[len("## "):])
			if !partOfAll[under] {
				p.sections = append(p.sections, section{title: under})
			}
		case list:
			p.add(under, row{term, oneSpace(meaning)})
		case under == "synopsis":
			for line := range strings.Lines(block) {
				p.synopsis = append(p.synopsis, strings.TrimSpace(line))
			}
		case under == "examples" && strings.HasPrefix(block, "    "):
			last(&p.examples).term = strings.TrimSpace(block)
		default:
			p.say(under, oneSpace(block))
		}
	}
}

// partOfAll are the sections that pages have; others are a page's own.
var partOfAll = map[string]bool{
	"synopsis": true, "description": true, "options": true, "exit status": true, "examples": true,
	"see also": true,
}

// oneSpace joins lines to one.
func oneSpace(text string) string { return strings.Join(strings.Fields(text), " ") }

// add takes in a row of a list.
func (p *page) add(under string, r row) {
	switch under {
	case "options":
		p.texts[strings.TrimPrefix(r.term, "--")] = r.text
	case "exit status":
		p.statuses = append(p.statuses, r)
	default:
		s := last(&p.sections)
		s.rows = append(s.rows, r)
	}
}

// say takes in a paragraph.
func (p *page) say(under, text string) {
	switch under {
	case "description":
		p.about = append(p.about, text)
	case "examples":
		p.examples = append(p.examples, row{text: text})
	case "see also":
		p.seeAlso = strings.Split(text, ", ")
	default:
		last(&p.sections).intro = text
	}
}

// commandList is what the commands do, for the page of the command as a whole.
func commandList() []row {
	list := each(verbs,
		func(e entry) row { return row{e.name, capitalised(shortOf(e.name)) + "."} })
	return append(list, row{personality, "Take the options of daemonize(1); also under that name."})
}

// last is the last element of list, if need be a new one.
func last[T any](list *[]T) *T {
	if len(*list) == 0 {
		*list = make([]T, 1)
	}
	return &(*list)[len(*list)-1]
}

func capitalised(s string) string {
	first := min(1, len(s))
	return strings.ToUpper(s[:first]) + s[first:]
}
