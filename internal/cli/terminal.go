package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// isTerminal says whether somebody looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && sys.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
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
	return &statusLine{w: a.err}
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
	return palette{good: "\x1b[32m", bad: "\x1b[1;31m", wait: "\x1b[33m", dim: "\x1b[2m", reset: "\x1b[0m"}
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
