package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/writers/all"
	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/internal/writers"
)

// exportCall is what the words of "daemonry export" ask for.
type exportCall struct {
	described
	dir   string
	force bool
	opts  writers.Options
}

func exportVerb(a *app) *verb {
	call := &exportCall{}
	return &verb{
		list: formatList,
		options: []group{{"", []option{
			call.fileOption(),
			{"o, output", "DIR", "standard output", parsed(&call.dir, word)},
			{"force", "", "", toggle(&call.force)},
			{"user", "", "", toggle(&call.opts.User)},
			{"for-version", "N", "the oldest supported", parsed(&call.opts.Version, number)},
		}}},
		run: func(words []string) error { return a.export(call, words) },
	}
}

func formatList() []row {
	return each(all.Targets(),
		func(t writers.Target) row { return row{t.Name, capitalised(t.About) + "."} })
}

func (a *app) export(call *exportCall, words []string) error {
	formats := "one of " + strings.Join(all.Names(), ", ")
	if len(words) == 0 {
		return usagef("no format given").advise(formats)
	}
	target, ok := all.Lookup(words[0])
	if !ok {
		return usagef("unknown format %q", words[0]).
			advise(cmp.Or(meant("%q", words[0], all.Names()), formats))
	}
	if call.force && call.dir == "" {
		return usagef("--force without -o: there is nothing to replace")
	}
	ctx, done := untilSignal()
	defer done()
	services, err := a.describedServices(ctx, call.described, words[1:])
	if err != nil {
		return err
	}
	out, err := target.Render(services, call.opts)
	if err != nil {
		return err
	}
	if call.dir == "" {
		a.printNotes(out.Notes)
		_, err := a.out.Write(stream(target, out.Files))
		return err
	}
	plan, err := boot.Export(out.Files, boot.ExportOptions{Dir: call.dir, Force: call.force})
	if err != nil {
		return inTheWay(err, "--force replaces it")
	}
	a.printNotes(out.Notes)
	return plan.Apply(ctx)
}

// inTheWay gives the hint for files that are not ours.
func inTheWay(err error, hint string) error {
	if errors.As(err, new(*boot.ChangedError)) || errors.As(err, new(*boot.ForeignError)) {
		return &statusError{status: exitFailed, err: err, hint: hint}
	}
	return err
}

// printNotes says what will differ.
func (a *app) printNotes(notes []writers.Note) {
	for _, n := range notes {
		fmt.Fprintln(a.err, oneLine(n.String()))
	}
}

// stream is several files one after the other, each below a comment with its
// name; formats that may be joined stay valid.
func stream(target writers.Target, files []writers.File) []byte {
	if len(files) == 1 {
		return files[0].Content
	}
	var b bytes.Buffer
	for i, f := range files {
		switch {
		case i > 0 && target.Name == "kubernetes":
			b.WriteString("---\n")
		case i > 0:
			b.WriteByte('\n')
		}
		b.WriteString(target.Comment("==> "+f.Path+" <==") + "\n")
		b.Write(f.Content)
	}
	return b.Bytes()
}
