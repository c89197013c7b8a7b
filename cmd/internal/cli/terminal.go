package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/daemonry/daemonry/cmd/internal/safetext"
	"github.com/daemonry/daemonry/internal/sys"
)

// screen is a terminal that shows text, and does nothing else for what is written to it: names,
// reasons and lines of services are on their way to it in every command. What is to act on it is
// written to file.
type screen struct {
	io.Writer
	file *os.File
}

// onScreen puts a screen between us and w if that is a terminal. To a file or a pipe bytes are
// bytes.
func onScreen(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && sys.IsTerminal(int(f.Fd())) {
		return &screen{safetext.Writer(f), f}
	}
	return w
}

// fileOf returns the file that w writes to, nil if it is none, and whether that is a terminal.
func fileOf(w io.Writer) (f *os.File, terminal bool) {
	if s, ok := w.(*screen); ok {
		return s.file, true
	}
	f, _ = w.(*os.File)
	return f, false
}

// isTerminal says whether somebody looks at w whose terminal can do more than show text.
func isTerminal(w io.Writer) bool {
	_, terminal := fileOf(w)
	return terminal && os.Getenv("TERM") != "dumb"
}

// statusLine is a line on a terminal that says what is being waited for.
type statusLine struct {
	w     io.Writer
	shown bool
}

// statusLine returns nil where a line that comes and goes would be in the way.
func (a *app) statusLine(quiet bool) *statusLine {
	if quiet || !isTerminal(a.err) {
		return nil
	}
	file, _ := fileOf(a.err)
	return &statusLine{w: file}
}

// eraseLine goes to the beginning of the line and clears it (ECMA-48, EL).
const eraseLine = "\r\x1b[K"

// maxPhase keeps the line a line: what has wrapped cannot be erased.
const maxPhase = 60

func (l *statusLine) show(phase string) {
	fmt.Fprintf(l.w, "%swaiting for %.*s …", eraseLine, maxPhase, oneLine(phase))
	l.shown = true
}

func (l *statusLine) erase() {
	if l != nil && l.shown {
		fmt.Fprint(l.w, eraseLine)
	}
}

// palette colours results; the zero value leaves them as they are.
type palette struct{ good, bad, wait, dim, reset string }

// colours returns the palette for standard output (https://no-color.org).
func (a *app) colours() palette {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(a.out) {
		return palette{}
	}
	return palette{good: "\x1b[32m", bad: "\x1b[1;31m", wait: "\x1b[33m", dim: "\x1b[2m",
		reset: "\x1b[0m"}
}

// jsonEncoder writes for programs and people, not for web pages.
func jsonEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// writeJSON writes one value on one line.
func (a *app) writeJSON(v any) error {
	return jsonEncoder(a.out).Encode(v)
}
