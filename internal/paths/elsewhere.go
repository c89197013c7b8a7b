package paths

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// A runtime directory may not be to be had where it should be: another user has taken the name in a
// temporary directory, the login's has gone with the login, a container has nothing that can be
// written to. The supervisor goes elsewhere then, and every command looks in the same places
// (Places). docs/adr/0009 says why these.

// pointerFile in the state directory says where the runtime directory is, or was. It proves
// nothing: who reads it looks.
const pointerFile = "runtime"

// Elsewhere has the runtime directory in the state directory, which nobody else can take.
func (p Paths) Elsewhere() Paths {
	p.Runtime = filepath.Join(p.State, "run")
	return p
}

// Rooted says whether all directories are below one that was named: then they are there, or
// nowhere.
func (p Paths) Rooted() bool {
	return filepath.Base(p.State) == "state" &&
		p.Runtime == filepath.Join(filepath.Dir(p.State), "run")
}

// Remember writes down where the runtime directory is, for commands with another environment and
// for who comes after us.
func (p Paths) Remember() error {
	path := filepath.Join(p.State, pointerFile)
	if p.remembered() == p.Runtime {
		return nil
	}
	f, _, err := sys.OpenTrusted(path,
		sys.TrustedOpen{Flags: os.O_WRONLY | os.O_CREATE, Mode: 0o600, Regular: true})
	if err != nil {
		return err
	}
	// In place, so that it needs no room on a full disk. A reader of half of it finds nothing
	// there.
	_, err = f.WriteAt([]byte(p.Runtime+"\n"), 0)
	if err == nil {
		err = f.Truncate(int64(len(p.Runtime) + 1))
	}
	return errors.Join(err, f.Close())
}

// Remembered has the runtime directory where Remember says that it was; it is p if nothing is
// written down. Below a root that was named it is nowhere else: a copy of that root says where the
// original's is.
func (p Paths) Remembered() Paths {
	if dir := p.remembered(); dir != "" && !p.Rooted() {
		p.Runtime = dir
	}
	return p
}

// mostPointer is more than a path has (PATH_MAX).
const mostPointer = 4097

// remembered is what Remember has written, "" if there is nothing to be read.
func (p Paths) remembered() string {
	f, _, err := sys.OpenTrusted(filepath.Join(p.State, pointerFile),
		sys.TrustedOpen{Regular: true})
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostPointer))
	dir, rest, whole := strings.Cut(string(data), "\n")
	if err != nil || !whole || rest != "" || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Clean(dir)
}

// Places are the paths under which a supervisor of this user and this environment may be found, the
// usual ones first. Those that are not there, and those that somebody else could have planted, are
// not among them.
func (p Paths) Places(getenv func(string) string, uid int) (list []Paths) {
	add := func(q Paths) {
		same := func(there Paths) bool { return there.Runtime == q.Runtime }
		if !slices.ContainsFunc(list, same) && q.Check() == nil {
			list = append(list, q)
		}
	}
	if p.State != "" {
		add(p)
		add(p.Remembered())
		if !p.Rooted() {
			add(p.Elsewhere())
		}
	}
	for _, dir := range temporary(getenv) {
		// A name with characters that mean something to Glob finds nothing, and then nothing is
		// looked for there.
		roots, _ := filepath.Glob(filepath.Join(dir, p.temporaryName(uid)+"*"))
		for _, root := range roots {
			add(below(root, p.Config))
		}
	}
	return list
}

// Temporary makes paths of ours alone in a temporary directory, for who can write nowhere else,
// with the directory that they are below. Each is tried; the error says what is wrong with all of
// them.
func (p Paths) Temporary(getenv func(string) string, group *int) (q Paths, root string, err error) {
	for _, dir := range temporary(getenv) {
		root, tempErr := os.MkdirTemp(dir, p.temporaryName(os.Geteuid()))
		if tempErr != nil {
			err = errors.Join(err, tempErr)
			continue
		}
		// services that run as other users pass through, as through any runtime directory of root's
		if os.Geteuid() == 0 {
			tempErr = os.Chmod(root, 0o711)
		}
		if q = below(root, p.Config); tempErr == nil {
			tempErr = q.Create(group)
		}
		if tempErr == nil {
			return q, root, nil
		}
		err = errors.Join(err, tempErr, os.RemoveAll(root))
	}
	return Paths{}, "", err
}

// temporaryName is what names in a temporary directory begin with. Those for a root that was named
// are its own.
func (p Paths) temporaryName(uid int) string {
	name := "daemonry-" + strconv.Itoa(uid)
	if p.Rooted() {
		sum := sha256.Sum256([]byte(p.State))
		name += "." + hex.EncodeToString(sum[:4])
	}
	return name + "-"
}

// temporary are directories that may be written to when others may not.
func temporary(getenv func(string) string) (list []string) {
	if dir := getenv("TMPDIR"); filepath.IsAbs(dir) {
		list = append(list, filepath.Clean(dir))
	}
	// the latter is a container's even if all else is read-only
	return append(list, "/tmp", "/dev/shm")
}

func below(root, config string) Paths {
	return Paths{
		Runtime: filepath.Join(root, "run"), State: filepath.Join(root, "state"),
		Log: filepath.Join(root, "log"), Config: config,
	}
}

// CreateState makes the state and the log directory.
func (p Paths) CreateState() error { return making(p.createState) }

func (p Paths) createState(made *made) error {
	f, _, err := create(p.State, made)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	f, created, err := create(p.Log, made)
	if err != nil {
		return err
	}
	if created {
		err = openToReaders(f)
	}
	return errors.Join(err, f.Close())
}

// CreateRuntime makes the runtime directory.
func (p Paths) CreateRuntime(group *int) error {
	return making(func(m *made) error { return p.createRuntime(group, m) })
}

func (p Paths) createRuntime(group *int, made *made) error {
	f, _, err := create(p.Runtime, made)
	if err != nil {
		return err
	}
	return errors.Join(share(f, "runtime", group, passing()), f.Close())
}

// Settle makes the runtime directory, elsewhere if it cannot be where it should, and says why.
//
// One that a supervisor which was killed has left is taken wherever it is: what is known of its
// services is in there, under the names that left says.
func (p Paths) Settle(group *int, left ...string) (q Paths, why error, err error) {
	if q := p.Remembered(); q != p && q.holds(left) && !p.holds(left) &&
		q.CreateRuntime(group) == nil {
		return q, nil, nil
	}
	err = p.CreateRuntime(group)
	if err == nil || p.Rooted() {
		return p, nil, err
	}
	q = p.Elsewhere()
	if elseErr := q.CreateRuntime(group); elseErr != nil {
		return p, nil, errors.Join(err, elseErr)
	}
	return q, fmt.Errorf("the runtime directory is %s: %w", q.Runtime, err), nil
}

// holds says whether one of the names is in the runtime directory.
func (p Paths) holds(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Lstat(filepath.Join(p.Runtime, name))
		return err == nil
	})
}

// made is a list of directories that were made, in order.
type made struct{ dirs []string }

// mkdirAll is os.MkdirAll that takes note of what it makes.
func (m *made) mkdirAll(dir string, mode fs.FileMode) error {
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() || dir == filepath.Dir(dir) {
		return nil
	}
	if err := m.mkdirAll(filepath.Dir(dir), mode); err != nil {
		return err
	}
	return m.mkdir(dir, mode)
}

func (m *made) mkdir(dir string, mode fs.FileMode) error {
	err := os.Mkdir(dir, mode)
	switch {
	case err == nil:
		m.dirs = append(m.dirs, dir)
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
}

// making removes what was made, the last first, if it was for nothing. What is not empty any more
// is somebody's by now, and stays.
func making(do func(*made) error) error {
	m := &made{}
	err := do(m)
	if err != nil {
		for _, dir := range slices.Backward(m.dirs) {
			_ = os.Remove(dir)
		}
	}
	return err
}
