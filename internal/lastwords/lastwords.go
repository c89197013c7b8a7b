// Package lastwords finds a program's last words in what it has printed.
package lastwords

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
)

// Most is how many lines they are.
const Most = 10

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

// Clean is what of it can be shown: valid UTF-8, without empty lines at the end.
func Clean(printed []byte) []byte {
	return bytes.TrimRight(bytes.ToValidUTF8(printed, []byte("\ufffd")), "\n")
}

// Text is the last words as a text: the last lines, or of a Go program that broke off those from
// the reason on, behind which come the stacks of all its goroutines.
func Text(printed []byte) string {
	printed = Clean(printed)
	lines := strings.Split(string(printed), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") {
			return strings.Join(lines[i:min(len(lines), i+Most)], "\n")
		}
	}
	return strings.Join(Lines(printed, Most), "\n")
}

// Read returns what is in f behind the offset from, its last most bytes. cut says that there is
// more before them.
func Read(f *os.File, from, most int64) (tail []byte, cut bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	start := max(from, info.Size()-most)
	tail, err = io.ReadAll(io.NewSectionReader(f, start, max(0, info.Size()-start)))
	return tail, start > from, err
}
