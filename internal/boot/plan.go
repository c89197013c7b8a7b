package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/writers"
)

// Action is what a step does.
type Action string

// The actions of steps.
const (
	Mkdir  Action = "mkdir"
	Write  Action = "write"
	Link   Action = "link"
	Remove Action = "remove"
	Run    Action = "run"
	Wait   Action = "wait" // until a path exists, which the init system makes by itself
)

// Step is one thing that is done, and undone if a later one fails.
type Step struct {
	Action Action `json:"action"`
	// Path that is made, written, removed or waited for.
	Path string `json:"path,omitempty"`
	// Target of a link.
	Target string `json:"target,omitempty"`
	// Mode and Content of a file that is written.
	Mode    fs.FileMode `json:"mode,omitzero"`
	Content []byte      `json:"-"`
	// Argv of a command that is run.
	Argv []string `json:"argv,omitempty"`

	was      []byte // what is there before a write or a removal; nil: no file
	optional bool   // nothing to remove is no failure
	do       func(ctx context.Context) error
	undo     func(ctx context.Context) error
}

func (s Step) String() string {
	switch s.Action {
	case Link:
		return "link " + s.Path + " to " + s.Target
	case Run:
		return "run " + strings.Join(s.Argv, " ")
	case Wait:
		return "wait for " + s.Path
	}
	return string(s.Action) + " " + s.Path
}

// Plan is what is to be done. It holds for the machine as it was when the plan
// was made.
type Plan struct {
	System System
	// Notes are what the init system does otherwise than a service asks.
	Notes []writers.Note
	// Hints are what a person should know besides.
	Hints []string

	m      *Machine
	manual []string // services that do not start by themselves
	idle   bool     // nothing is started now
	steps  []Step
	done   []func(ctx context.Context) error // undo what was done, the last one last
}

func (m *Machine) newPlan(notes []writers.Note) *Plan {
	return &Plan{System: m.System, Notes: notes, m: m}
}

// Steps are what Apply will do, in order. There are none if everything is as it
// shall be.
func (p *Plan) Steps() []Step {
	return slices.DeleteFunc(slices.Clone(p.steps), func(s Step) bool { return s.Action == "" })
}

// settle drops what only undoes, where nothing is done.
func (p *Plan) settle() {
	if len(p.Steps()) == 0 {
		p.steps = nil
	}
}

func (p *Plan) hint(format string, args ...any) {
	p.Hints = append(p.Hints, fmt.Sprintf(format, args...))
}

func (p *Plan) add(s Step) { p.steps = append(p.steps, s) }

// run adds a command. What undoes it stands in a step before it, so that a
// command that fails halfway is undone too.
func (p *Plan) run(undo func(ctx context.Context) error, argv ...string) {
	if undo != nil {
		p.onUndo(undo)
	}
	p.add(Step{Action: Run, Argv: argv})
}

// onUndo adds what is done only if a later step fails.
func (p *Plan) onUndo(undo func(ctx context.Context) error) { p.add(Step{undo: undo}) }

// command makes an undo of a command.
func (p *Plan) command(argv ...string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := p.m.run(ctx, argv...)
		return err
	}
}

// write adds the writing of a file, with the directories that are missing above
// it, unless it is there as it shall be.
func (p *Plan) write(path string, mode fs.FileMode, content []byte) (bool, error) {
	var have []byte
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	case !fi.Mode().IsRegular():
		return false,
			&fs.PathError{Op: "replace", Path: path, Err: errors.New("it is not a regular file")}
	default:
		if have, err = os.ReadFile(path); err != nil {
			return false, err
		}
		if bytes.Equal(have, content) && fi.Mode().Perm() == mode {
			return false, nil
		}
	}
	if err := p.mkdirs(filepath.Dir(path)); err != nil {
		return false, err
	}
	p.add(Step{Action: Write, Path: path, Mode: mode, Content: content, was: have})
	return true, nil
}

func (p *Plan) mkdirs(dir string) error {
	_, err := os.Stat(dir)
	if err == nil || p.plans(Mkdir, dir) {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := p.mkdirs(parent); err != nil {
			return err
		}
	}
	p.add(Step{Action: Mkdir, Path: dir, Mode: 0o755})
	return nil
}

func (p *Plan) plans(action Action, path string) bool {
	return slices.ContainsFunc(p.steps,
		func(s Step) bool { return s.Action == action && s.Path == path })
}

// isLink says whether a symbolic link with that target is at path; nothing may be
// there instead. Something else is an error.
func isLink(path, target string) (bool, error) {
	have, err := os.Readlink(path)
	switch {
	case err == nil && have == target:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, &ForeignError{path} // another target, or EINVAL: it is no link
}

func (p *Plan) remove(path string, was []byte) {
	p.add(Step{Action: Remove, Path: path, was: was})
}

// prune adds the removal of service directories that files leave empty. What
// somebody has put there stays, with its directory.
func (p *Plan) prune(files []found) {
	if !p.m.inDirectories() {
		return
	}
	var dirs []string
	for _, f := range files {
		if dir := filepath.Dir(f.path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	// those inside first
	slices.SortFunc(dirs, func(x, y string) int { return strings.Compare(y, x) })
	for _, dir := range dirs {
		p.add(Step{Action: Remove, Path: dir, optional: true})
	}
}

// undoTime bounds what is undone after the context has ended.
const undoTime = 2 * time.Minute

// Apply does what is planned. If a step fails, or ctx ends, what was done is
// undone, in reverse. The error says which step failed and why, and what could
// not be undone.
func (p *Plan) Apply(ctx context.Context) error {
	for _, s := range p.steps {
		err := context.Cause(ctx)
		if err == nil {
			err = p.apply(ctx, s)
		}
		if err == nil {
			continue
		}
		if s.Action != "" && s.Action != Run {
			err = fmt.Errorf("%s: %w", s, err)
		}
		undoCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		if undoErr := p.Undo(undoCtx); undoErr != nil {
			return fmt.Errorf("%w; not all could be undone: %w", err, undoErr)
		}
		return err
	}
	return nil
}

// Undo takes back what Apply did, in reverse, as far as it came. A second call
// does nothing.
func (p *Plan) Undo(ctx context.Context) error {
	var errs []error
	for _, undo := range slices.Backward(p.done) {
		errs = append(errs, undo(ctx))
	}
	p.done = nil
	return errors.Join(errs...)
}

func (p *Plan) undoLater(undo func() error) {
	p.done = append(p.done, func(context.Context) error { return undo() })
}

func (p *Plan) apply(ctx context.Context, s Step) error {
	if s.undo != nil {
		p.done = append(p.done, s.undo)
	}
	if s.do != nil {
		return s.do(ctx)
	}
	switch s.Action {
	case Mkdir:
		if err := os.Mkdir(s.Path, s.Mode); err != nil {
			return plain(err)
		}
		p.undoLater(func() error { return os.Remove(s.Path) })
		return os.Chmod(s.Path, s.Mode) // whatever the umask
	case Write:
		return p.applyWrite(s)
	case Remove:
		return p.applyRemove(s)
	case Link:
		if err := os.Symlink(s.Target, s.Path); err != nil {
			return plain(err)
		}
		p.undoLater(func() error { return os.Remove(s.Path) })
	case Run:
		_, err := p.m.run(ctx, s.Argv...)
		return err
	case Wait:
		return appear(ctx, s.Path)
	}
	return nil
}

// plain is the reason alone: the step names the path.
func plain(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}

// unchanged refuses a file that somebody has changed since the plan was made.
func (s Step) unchanged() error {
	fi, err := os.Lstat(s.Path)
	if err != nil || !fi.Mode().IsRegular() {
		// what is no file cannot be replaced, and a link is as good as another
		return ignoreMissing(err)
	}
	now, err := os.ReadFile(s.Path)
	if err == nil && (s.was == nil || !bytes.Equal(now, s.was)) {
		err = errors.New("somebody has changed it meanwhile")
	}
	return err
}

func (p *Plan) applyWrite(s Step) error {
	if err := s.unchanged(); err != nil {
		return plain(err)
	}
	restore, err := restorer(s.Path)
	if err != nil {
		return plain(err)
	}
	// Even a write that fails may have come as far as the renaming.
	p.undoLater(restore)
	return plain(atomicfile.Write(s.Path, s.Content, s.Mode))
}

// restorer remembers what is at path, and brings it back.
func restorer(path string) (func() error, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return ignoreMissing(os.Remove(path)) }, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case fi.Mode().IsRegular():
		content, err := os.ReadFile(path)
		return func() error { return atomicfile.Write(path, content, fi.Mode().Perm()) }, err
	case fi.Mode().Type() == fs.ModeSymlink:
		target, err := os.Readlink(path)
		return func() error { return os.Symlink(target, path) }, err
	}
	return func() error { return os.Mkdir(path, fi.Mode().Perm()) }, nil
}

func (p *Plan) applyRemove(s Step) error {
	if err := s.unchanged(); err != nil {
		return plain(err)
	}
	restore, err := restorer(s.Path)
	if err == nil {
		err = os.Remove(s.Path)
	}
	switch {
	case err == nil:
		p.undoLater(restore)
	case s.optional:
		err = nil // it is gone, or somebody keeps something in it
	}
	return plain(err)
}
