package spawn

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/internal/lastwords"
	"github.com/daemonry/daemonry/internal/sys"
)

// MostText is how many bytes of a text one process tells another: that of a reason is for people.
const MostText = 64 << 10

// Shorten cuts a text that is longer than most bytes, between two characters, and says how much is
// missing.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > most-utf8.UTFMax && end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (cut, %d bytes more)", text[:end], len(text)-end)
}

// words are what a stage prints: on standard error the dynamic linker says which library it has not
// found, and a package why it cannot be initialised. It is a file in memory, so that they are part
// of the error. Those of a stage that does what it should are of no interest: what the program says
// at its initialisation it says again when it is one.
type words struct{ file *os.File } // nil: the stage has our standard error, and says it there

func newWords() (words, error) {
	f, err := sys.InMemory("daemonry-words")
	return words{f}, sys.IfSupported(err)
}

// Much is said by a linker that misses a library with many functions in it.
const (
	mostWordLines = 4
	mostWords     = 512
)

// last are the last of them in one line, "" for none.
func (w words) last() string {
	if w.file == nil {
		return ""
	}
	var said lastwords.Words
	_ = said.ReadFile(w.file, 0) // it is in memory: there is no error but that it is closed
	text := said.Text()
	lines := strings.Split(text, "\n")
	switch {
	case strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: "):
		lines = lines[:1] // behind it are the stacks
	case strings.HasPrefix(text, "runtime: "): // about threads or memory, before a fatal error
		if i := slices.Index(lines, ""); i >= 0 {
			lines = lines[:i]
		}
	}
	var last []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			last = append(last, l)
		}
	}
	last = last[max(0, len(last)-mostWordLines):]
	return Shorten(strings.Join(last, "; "), mostWords)
}

// after is err with the last of them behind it.
func (w words) after(err error) error {
	if last := w.last(); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

func (w words) close() {
	if w.file != nil {
		_ = w.file.Close() // in memory: nothing is left to be written
	}
}
