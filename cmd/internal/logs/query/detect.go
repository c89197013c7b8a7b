package query

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// Detect returns the format in which the log at path seems to be written, judging by the first line
// of the newest file that has one. A log without any looks like a raw one.
func Detect(path string) (line.Format, error) {
	files, err := layout.List(path)
	if err != nil {
		return line.Format{}, err
	}
	for _, f := range slices.Backward(append(files, layout.Rotated{Path: path})) {
		s, err := openSegment(Log{Path: path}, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return line.Format{}, err
		}
		r, err := s.next(true)
		first := bytes.Clone(r.Text)
		s.close()
		if err == nil {
			return line.Guess(first), nil
		}
		if err != io.EOF {
			return line.Format{}, err
		}
	}
	return line.Format{}, nil
}
