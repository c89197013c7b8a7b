package persist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/atomicfile"
)

// Versioned is the version of a state file, to be embedded in what is read of it and written. A
// supervisor reads its own version and those before. One that does not know the version, or a
// field, does not start, and leaves the files as they are.
type Versioned struct {
	Version int `json:"version"`
}

func (v *Versioned) version() int { return v.Version }

// ReadState reads a state file into v, which stays as it is if there is none. A field that this
// program does not know is a newer version's: written anew, the file would lose it.
func ReadState(path string, newest int, v interface{ version() int }) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var head Versioned
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case head.Version > newest:
		return fmt.Errorf("%s: %w", path, newerError(head.Version, newest))
	case head.Version < 1:
		return fmt.Errorf("%s: it has no version", path)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if v.version() != head.Version { // two of that name
		return fmt.Errorf("%s: it has two versions", path)
	}
	return nil
}

// StateFile is a state file's path and content.
type StateFile struct {
	Path    string
	Content any
}

// Replace makes the file anew.
func (f StateFile) Replace() error {
	data, err := json.Marshal(f.Content)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(f.Path), err)
	}
	return atomicfile.Write(f.Path, append(data, '\n'), 0o600)
}

// ReplaceAll has each file replaced, one after the other.
func (b *Ballast) ReplaceAll(files []StateFile, replace func(StateFile) error) error {
	for _, f := range files {
		if err := b.spare(func() error { return replace(f) }); err != nil {
			return err
		}
	}
	_ = b.fill() // if there is room again
	return nil
}
