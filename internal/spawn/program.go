package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// CheckProgram says why a file cannot be a program for this machine, as far as the file shows it
// before it is executed: what is no regular file, or must not be executed, or is of another kind
// than the program that runs (machine, word, byte order), or has been copied in part, or whose
// interpreter is missing. It reads one page. What it cannot find out, it leaves to execve(2).
func CheckProgram(ctx context.Context, path string) error {
	_, err := sys.Within(ctx, StepExec.String()+" "+path, func() (struct{}, error) {
		if err := checkProgram(path); err != nil {
			// not fail, which would leave the number alone of what is told
			return struct{}{}, &StepError{Step: StepExec, Object: path, Err: err}
		}
		return struct{}{}, nil
	}, nil)
	return err
}

func checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return fmt.Errorf("a directory, and no program: %w", syscall.EACCES)
	case !info.Mode().IsRegular():
		return fmt.Errorf("no regular file: %w", syscall.EACCES)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("nobody may execute it: %w", syscall.EACCES)
	case info.Size() == 0:
		return fmt.Errorf("the file is empty: %w", errNoProgram)
	}
	head, err := readHead(path)
	if err != nil {
		return nil // it may well be executed without being read
	}
	if h, ok := elfOf(head); ok {
		if info.Size() < elfHeadLen {
			return fmt.Errorf("the file is not whole: it has %d bytes: %w", info.Size(),
				errNoProgram)
		}
		if err := h.differsFrom(ownHead()); err != nil {
			return err
		}
		if end := h.end(); int64(end) > info.Size() {
			return fmt.Errorf("the file is not whole: it has %d bytes of at least %d: %w",
				info.Size(), end, errNoProgram)
		}
	}
	name := interpreterIn(head)
	if !filepath.IsAbs(name) {
		return nil
	}
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return &InterpreterError{Name: name}
	}
	return nil
}

// errNoProgram is what execve(2) says of such files, or would if it looked.
var errNoProgram error = sys.ENOEXEC

func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err // the step names the file
	}
	return err
}

func readHead(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|sys.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return head[:n], nil
}

// ownHead is that of the program that runs, nil if it cannot be read.
func ownHead() []byte {
	self, err := sys.Self()
	if err != nil {
		return nil
	}
	head, err := readHead(self)
	if err != nil {
		return nil
	}
	return head
}
