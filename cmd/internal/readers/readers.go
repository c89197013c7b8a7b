// Package readers holds what the readers of all formats share: a file of theirs is read up to a
// bound.
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
