package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// logMode is the mode of an output file that is created: what programs print is not for everybody.
const logMode fs.FileMode = 0o640

// Streams are the open standard descriptors of a process to be.
type Streams struct {
	Files   []spawn.File
	created []*os.File // files that were not there before
}

// OpenStreams opens what p says of the descriptors 0, 1 and 2. What is "null" is
// left out: spawn puts /dev/null there. log is what "log" means, nil for nothing.
//
// New files belong to owner, if there is one, so that the program can open them again after a
// rotation. What is read from is opened as the owner (sys.OpenInput), what is written to by a path
// on which only root and we have a say (sys.OpenTrusted).
//
// Nothing is waited for but an answer of the file system, and that until ctx ends (sys.StuckError):
// a FIFO with a name is opened whether somebody has its other end or not, and for writing it must
// have a reader.
func OpenStreams(
	ctx context.Context, p spec.Process, owner *sys.Credential, log *os.File,
) (_ *Streams, err error) {
	s := new(Streams)
	defer func() {
		if err != nil {
			s.Discard()
		}
	}()
	if err := s.openInput(ctx, p.Stdin, owner); err != nil {
		return nil, fmt.Errorf("stdin: %w", err)
	}
	out, err := s.openOutput(ctx, p.Stdout, 1, owner, log)
	if err != nil {
		return nil, fmt.Errorf("stdout: %w", err)
	}
	// The same name twice is the same open file, or the two would overwrite each other.
	if p.Stderr.Kind == spec.StreamStdout || p.Stderr == p.Stdout && p.Stdout.Path != "" {
		s.add(2, out)
		return s, nil
	}
	if _, err = s.openOutput(ctx, p.Stderr, 2, owner, log); err != nil {
		return nil, fmt.Errorf("stderr: %w", err)
	}
	return s, nil
}

func (s *Streams) add(fd int, f *os.File) {
	if f != nil {
		s.Files = append(s.Files, spawn.File{FD: fd, Source: f})
	}
}

func (s *Streams) openInput(ctx context.Context, in spec.Stream, owner *sys.Credential) error {
	switch in.Kind {
	case "", spec.StreamNull:
		return nil
	case spec.StreamInherit:
		s.add(0, os.Stdin)
		return nil
	case spec.StreamPath:
		open := func() (*os.File, error) { return sys.OpenInput(in.Path, owner) }
		f, err := sys.Within(ctx, "open "+in.Path, open, closeLate)
		if err != nil {
			return err
		}
		s.add(0, f)
		return nil
	}
	return fmt.Errorf("%q cannot be read from", in)
}

func (s *Streams) openOutput(
	ctx context.Context, out spec.Stream, fd int, owner *sys.Credential, log *os.File,
) (f *os.File, err error) {
	switch out.Kind {
	case "", spec.StreamNull:
		return nil, nil
	case spec.StreamLog:
		f = log
	case spec.StreamInherit:
		if f = os.Stdout; fd == 2 {
			f = os.Stderr
		}
	case spec.StreamPath, spec.StreamTruncate:
		if f, err = s.openFile(ctx, out, owner); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%q cannot be written to", out)
	}
	s.add(fd, f)
	return f, nil
}

func (s *Streams) openFile(
	ctx context.Context, out spec.Stream, owner *sys.Credential,
) (*os.File, error) {
	o := sys.TrustedOpen{Flags: os.O_WRONLY | os.O_CREATE | os.O_APPEND, Mode: logMode}
	if out.Kind == spec.StreamTruncate {
		o.Flags |= os.O_TRUNC
	}
	if owner != nil {
		o.Owner = &sys.Owner{UID: int(owner.UID), GID: int(owner.GID)}
	}
	if !filepath.IsAbs(out.Path) {
		return nil, fmt.Errorf("%s: not an absolute path", out.Path)
	}
	type opened struct {
		*os.File
		created bool
	}
	open := func() (opened, error) {
		f, created, err := sys.OpenTrusted(out.Path, o)
		return opened{f, created}, err
	}
	f, err := sys.Within(ctx, "open "+out.Path, open, func(f opened) {
		if f.created {
			removeEmpty(f.File)
		}
		f.Close()
	})
	if err != nil {
		return nil, err
	}
	if f.created {
		s.created = append(s.created, f.File)
	}
	return f.File, nil
}

// closeLate closes what was opened when nobody waited for it any more.
func closeLate(f *os.File) { f.Close() }

// removeEmpty removes a file that was created and holds nothing, if its name still means it.
func removeEmpty(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() > 0 {
		return err
	}
	return sys.RemoveTrusted(f.Name(), info)
}

// Close closes the files, which the started process has copies of.
func (s *Streams) Close() error {
	var err error
	for _, f := range s.Files {
		if f.Source.Fd() > 2 {
			if e := f.Source.Close(); !errors.Is(e, os.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// Discard closes the files and removes those that were created and hold nothing, for a start that
// failed.
func (s *Streams) Discard() error {
	var err error
	for _, f := range s.created {
		err = errors.Join(err, removeEmpty(f))
	}
	return errors.Join(err, s.Close())
}
