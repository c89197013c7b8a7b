package detach

import (
	"os"
	"strings"

	"github.com/daemonry/daemonry/internal/lastwords"
	"github.com/daemonry/daemonry/internal/sys"
)

// lastWords are the lines a program printed before it died, read back from
// where its output went. What goes to /dev/null is gone: a descriptor cannot be exchanged once a
// program has it, and a pipe would need somebody to stay and read it (docs/adr/0003-last-words.md).
type lastWords struct {
	path  string
	start int64 // what was there before us
}

// begin notes where the files stand now; the first that is one counts.
func (w *lastWords) begin(paths ...string) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			w.path, w.start = path, info.Size()
			return
		}
	}
}

// lines returns the last words since begin. A file that cannot be read says nothing.
func (w *lastWords) lines() []string {
	if w.path == "" {
		return nil
	}
	f, _, err := sys.OpenTrusted(w.path,
		sys.TrustedOpen{Flags: os.O_RDONLY, Regular: true, Single: true})
	if err != nil {
		return nil
	}
	defer f.Close()
	var words lastwords.Words
	if err := words.ReadFile(f, w.start); err != nil {
		return nil
	}
	if text := words.Text(); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}
