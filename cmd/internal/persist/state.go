package persist

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

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

// Environments are those in a directory that has a file for each, named by its content: what is
// read is what was written. Files are written before the owner knows of them, so that a service is
// never started with one that a successor would not find.
type Environments struct {
	Dir   string
	mu    sync.Mutex
	saved map[string]bool
	fresh map[string]bool // saved for a request that the owner may not have heard yet
}

// text is what the file has: each variable with a NUL after it, as in /proc/PID/environ, for values
// may hold any other byte.
func text(vars []string) []byte {
	var b []byte
	for _, kv := range vars {
		b = append(append(b, kv...), 0)
	}
	return b
}

// EnvironmentID is the id of an environment of these variables, in this order.
func EnvironmentID(vars []string) string { return idOf(text(vars)) }

func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Save writes the environment of that id, unless it is there.
func (s *Environments) Save(id string, vars []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh == nil {
		s.saved, s.fresh = map[string]bool{}, map[string]bool{}
	}
	s.fresh[id] = true
	if s.saved[id] {
		return nil
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := atomicfile.Write(filepath.Join(s.Dir, id), text(vars), 0o600); err != nil {
		return err
	}
	s.saved[id] = true
	return nil
}

// Load reads the environment of that id.
func (s *Environments) Load(id string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(s.Dir, id))
	if err == nil && idOf(data) != id {
		err = errors.New("it is not what was written")
	}
	if err != nil {
		return nil, fmt.Errorf("the environment that it was described in: %w", err)
	}
	if text := strings.TrimSuffix(string(data), "\x00"); text != "" {
		return strings.Split(text, "\x00"), nil
	}
	return nil, nil
}

// Sweep removes what is not in use any more, after what is has been written down.
func (s *Environments) Sweep(used func(id string) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		switch id := name.Name(); {
		case used(id):
			delete(s.fresh, id)
		case !s.fresh[id]:
			delete(s.saved, id)
			errs = append(errs, os.Remove(filepath.Join(s.Dir, id)))
		}
	}
	return errors.Join(errs...)
}
