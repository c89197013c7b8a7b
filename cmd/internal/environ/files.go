package environ

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/daemonry/daemonry/internal/atomicfile"
)

// files are those of a directory that has one for each environment, named by its content: what is
// read is what was written. Any goroutine may use them.
type files struct {
	dir   string
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

// idOf is the id of an environment of that text.
func idOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// save writes the environment of that id, unless it is there.
func (f *files) save(id string, vars []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fresh == nil {
		f.saved, f.fresh = map[string]bool{}, map[string]bool{}
	}
	f.fresh[id] = true
	if f.saved[id] {
		return nil
	}
	if err := os.Mkdir(f.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := atomicfile.Write(filepath.Join(f.dir, id), text(vars), 0o600); err != nil {
		return err
	}
	f.saved[id] = true
	return nil
}

// load reads the environment of that id.
func (f *files) load(id string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(f.dir, id))
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

// sweep removes what is not in use any more, after what is has been written down.
func (f *files) sweep(used func(id string) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		switch id := name.Name(); {
		case used(id):
			delete(f.fresh, id)
		case !f.fresh[id]:
			delete(f.saved, id)
			errs = append(errs, os.Remove(filepath.Join(f.dir, id)))
		}
	}
	return errors.Join(errs...)
}
