// Package readers holds what the readers of all formats share: how a file is read, and what is said
// of its lines.
package readers

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/spec"
)

// Text is what a file holds. One of more than most bytes is an error, so that what is no file of
// services does not fill the memory.
func Text(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %s",
			spec.ByteSize(most))}
	}
	return string(data), err
}

// Error is one line that is wrong.
type Error struct {
	File    string
	Line    int
	Message string
}

// Errorf makes one.
func Errorf(file string, line int, format string, args ...any) Error {
	return Error{file, line, fmt.Sprintf(format, args...)}
}

func (e Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// Note says what the service made of a file does not say, or says differently.
type Note struct {
	File string
	Line int
	Key  string // "Service.KillMode", where lines have keys
	Text string
}

// Notef makes one.
func Notef(file string, line int, key, format string, args ...any) Note {
	return Note{file, line, key, fmt.Sprintf(format, args...)}
}

func (n Note) String() string {
	text := n.Text
	if n.Key != "" {
		text = n.Key + ": " + text
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, text)
}

// NameLength returns the length of the variable's name that s begins with.
func NameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
