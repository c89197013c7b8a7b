package supervise

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/spawn"
)

// environment is what services inherit whose descriptions came from one command. All that have the
// same share it.
type environment struct {
	id   string   // of its content
	vars []string // "NAME=VALUE", by name
	err  error    // why it cannot be had; then there are no vars
}

// newEnvironment takes in the variables of whoever describes services. Nil stays nil: there is no
// word of it.
func newEnvironment(vars []string) *environment {
	if vars == nil {
		return nil
	}
	last := map[string]string{}
	for _, kv := range vars {
		if name, _, ok := strings.Cut(kv, "="); ok && name != "" && !spawn.IsMark(name) && !strings.ContainsRune(kv, 0) {
			last[name] = kv
		}
	}
	v := &environment{vars: make([]string, 0, len(last))}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		v.vars = append(v.vars, last[name])
	}
	v.id = idOfEnvironment(v.text())
	return v
}

// text is what the file has: each variable with a NUL after it, as in /proc/PID/environ, for values
// may hold any other byte.
func (v *environment) text() []byte {
	var b []byte
	for _, kv := range v.vars {
		b = append(append(b, kv...), 0)
	}
	return b
}

func idOfEnvironment(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// changed are the names of variables that differ, sorted.
func (v *environment) changed(from *environment) []string {
	names := map[string]bool{}
	for _, pair := range [][2]*environment{{v, from}, {from, v}} {
		for _, kv := range pair[0].vars {
			if _, there := slices.BinarySearchFunc(pair[1].vars, kv, strings.Compare); !there {
				name, _, _ := strings.Cut(kv, "=")
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// environDir, in the state directory, has a file for each environment, named by its content: what
// is read is what was written.
const environDir = "environment"

// environments are those on disk. Files are written before the owner knows of them, so that a
// service is never started with one that a successor would not find.
type environments struct {
	dir   string
	mu    sync.Mutex
	saved map[string]bool
	fresh map[string]bool // saved for a request that the owner may not have heard yet
}

// save writes v, unless it is there.
func (s *environments) save(v *environment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.err != nil {
		return nil
	}
	if s.fresh == nil {
		s.saved, s.fresh = map[string]bool{}, map[string]bool{}
	}
	s.fresh[v.id] = true
	if s.saved[v.id] {
		return nil
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	path := filepath.Join(s.dir, v.id)
	if err := atomicfile.Write(path, v.text(), 0o600); err != nil {
		return err
	}
	s.saved[v.id] = true
	return nil
}

// load reads the environment of that id.
func (s *environments) load(id string) *environment {
	v := &environment{id: id}
	data, err := os.ReadFile(filepath.Join(s.dir, id))
	if err == nil && idOfEnvironment(data) != id {
		err = errors.New("it is not what was written")
	}
	if err != nil {
		v.err = fmt.Errorf("the environment that it was described in: %w", err)
		return v
	}
	if text := strings.TrimSuffix(string(data), "\x00"); text != "" {
		v.vars = strings.Split(text, "\x00")
	}
	return v
}

// sweep removes what is not in use any more, after what is has been written down.
func (s *environments) sweep(used map[string]*environment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for id := range used {
		delete(s.fresh, id)
	}
	for _, name := range names {
		if used[name.Name()] == nil && !s.fresh[name.Name()] {
			delete(s.saved, name.Name())
			errs = append(errs, os.Remove(filepath.Join(s.dir, name.Name())))
		}
	}
	return errors.Join(errs...)
}

// environOf is the environment of that id, which is read once.
func (e *Engine) environOf(id string) *environment {
	if id == "" {
		return nil // of before environments were kept: ours
	}
	if e.environs[id] == nil {
		e.environs[id] = e.kept.load(id)
	}
	return e.environs[id]
}

// describeEnviron gives s an environment, unless it has it or there is no word of one, and says
// whether that changed something.
func (e *Engine) describeEnviron(s *service, v *environment) bool {
	if v == nil || s.environ != nil && s.environ.id == v.id && s.environ.err == nil {
		return false
	}
	if e.environs[v.id] == nil || e.environs[v.id].err != nil {
		e.environs[v.id] = v
	}
	s.environ = e.environs[v.id]
	return true
}

// environChanges are the names of the variables that s would get another value of.
func (e *Engine) environChanges(s *service, v *environment) []string {
	switch {
	case v == nil:
		return nil
	case s.environ == nil:
		return v.changed(newEnvironment(e.o.Environ))
	case s.environ.id == v.id, s.environ.err != nil: // what it was nobody knows
		return nil
	}
	return v.changed(s.environ)
}

// usedEnvirons forgets those that nobody has.
func (e *Engine) usedEnvirons() map[string]*environment {
	used := map[string]*environment{}
	for _, s := range e.byName {
		if s.environ != nil {
			used[s.environ.id] = s.environ
		}
	}
	e.environs = used
	return maps.Clone(used)
}

func (v *environment) name() string {
	if v == nil {
		return ""
	}
	return v.id
}
