// Package lastwords finds a program's last words in what it has printed.
package lastwords

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// Most is how many lines they are, or of a Go program that broke off how many of its reason.
	Most = 10
	// Before is how many lines are shown of what such a program printed before.
	Before = 5
	// Heading stands between the two.
	Heading = "printed before:"

	// maxLine is what is shown of a line, in bytes: a text is less than 17 KiB.
	maxLine = 1 << 10
	// maxRead is how much of a file is read, from its end. The stacks of 50,000 goroutines fit.
	maxRead = 16 << 20
	// maxCrash is how much is read of the runtime's own words, which begin with the reason.
	maxCrash = 64 << 10
)

// Lines returns the last n lines of what was printed; a last one without a newline counts.
func Lines(printed []byte, n int) []string {
	printed = bytes.TrimSuffix(printed, []byte{'\n'})
	var lines []string
	for more := len(printed) > 0; more && len(lines) < n; {
		i := bytes.LastIndexByte(printed, '\n')
		lines = append(lines, string(printed[i+1:]))
		if more = i >= 0; more {
			printed = printed[:i]
		}
	}
	slices.Reverse(lines)
	return lines
}

// Words takes in all that a program prints, and keeps the last words of it. The zero value is ready
// for that.
type Words struct {
	line   []byte // begun, of which more is to come
	recent []string
	block  block
	race   raceReport
	crash  []string // the first lines of what the runtime has said; nil if that is not known
}

// Crashed tells w, before it takes anything in, what the Go runtime itself has said of the
// program's end (runtime/debug.SetCrashOutput): it then is the reason, whatever looks like one in
// what the program has printed.
func (w *Words) Crashed(said []byte) {
	for line := range bytes.Lines(bytes.TrimRight(said, "\n")) {
		if len(w.crash) == Most {
			break
		}
		w.crash = append(w.crash, show(bytes.TrimSuffix(line, []byte{'\n'})))
	}
}

// Write takes in more. It does not fail.
func (w *Words) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, more, whole := bytes.Cut(rest, []byte{'\n'})
		// What is not valid is shown longer than it is, what is not shown need not be kept.
		if room := 2*maxLine - len(w.line); room > 0 {
			w.line = append(w.line, line[:min(room, len(line))]...)
		}
		if rest = more; whole {
			w.take(show(w.line))
			w.line = w.line[:0]
		}
	}
	return len(p), nil
}

// ReadFile takes in what is in f behind the offset from, the last 16 MiB of it at most.
func (w *Words) ReadFile(f *os.File, from int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var in io.Reader = io.NewSectionReader(f, from, max(0, info.Size()-from))
	if start := info.Size() - maxRead; start > from {
		in = &withoutLine{r: io.NewSectionReader(f, start, maxRead)}
	}
	// Not by io.Copy, which brings splice(2) and its like into every program that imports this.
	b := make([]byte, 32<<10)
	for {
		n, err := in.Read(b)
		_, _ = w.Write(b[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ReadCrash is Crashed for what is in f.
func (w *Words) ReadCrash(f *os.File) error {
	said, err := io.ReadAll(io.NewSectionReader(f, 0, maxCrash))
	if err == nil {
		w.Crashed(said)
	}
	return err
}

// Text is the last words: the last lines, or of a Go program that broke off those from the reason
// on, behind which come the stacks of all its goroutines, and then the lines before it. It is valid
// UTF-8.
func (w *Words) Text() string {
	if len(w.line) > 0 {
		w.take(show(w.line))
		w.line = w.line[:0]
	}
	reason, before := w.reason()
	switch before = trimBlank(before); {
	case len(reason) > 0 && len(before) > 0:
		reason = append(append(reason, Heading), before...)
	case len(reason) == 0:
		reason = trimBlank(w.recent)
	}
	if len(reason) == 0 {
		reason = w.race.lines
	}
	return strings.Join(reason, "\n")
}

// reason returns why a Go program broke off, nothing if it did not, and what it said before.
func (w *Words) reason() (reason, before []string) {
	before = w.block.before
	switch {
	case len(w.crash) == 0 && !w.block.whole():
		return nil, nil
	case len(w.crash) == 0:
		reason = w.block.lines
	case w.block.state == none: // it could not be printed, for a full disk
		reason, before = w.crash, last(w.recent, Before)
	case startsWhole(w.crash[0]):
		reason = w.crash
	default:
		// The runtime says the first line of a fatal error before it notes that it is dying, and
		// only then copies what it says (throw and fatal in runtime/panic.go).
		reason = slices.Concat(w.block.lines, w.crash)
	}
	return trimBlank(slices.Clone(reason[:min(Most, len(reason))])), before
}

// take takes in a line.
func (w *Words) take(line string) {
	for _, line := range w.race.filter(line) {
		if len(w.crash) > 0 {
			w.block.seek(line, w.crash[0], w.recent)
		} else {
			w.block.take(line, w.recent)
		}
		if w.recent = append(w.recent, line); len(w.recent) > 8*Most {
			w.recent = append(w.recent[:0], last(w.recent, Most)...)
		}
	}
}

// Text is the last words of what was printed.
func Text(printed []byte) string {
	var w Words
	_, _ = w.Write(printed)
	return w.Text()
}

// Read returns what is in f, its last most bytes.
func Read(f *os.File, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
}

// show is what can be shown of a line.
func show(line []byte) string {
	s := strings.ToValidUTF8(string(line), "\ufffd")
	if len(s) <= maxLine {
		return s
	}
	const mark = "…"
	end := maxLine - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// trimBlank returns the last lines without empty ones at the end and at the beginning.
func trimBlank(lines []string) []string {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	lines = last(lines, Most)
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	return lines
}

// withoutLine reads r from its second line on.
type withoutLine struct {
	r    io.Reader
	past bool
}

func (c *withoutLine) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.past {
		return n, err
	}
	_, rest, found := bytes.Cut(p[:n], []byte{'\n'})
	c.past = found
	return copy(p, rest), err
}
