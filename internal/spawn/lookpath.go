package spawn

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// InterpreterError says that a program was found, but not what should run it:
// the interpreter of its #! line, or, with an empty Name, its dynamic loader.
type InterpreterError struct{ Name string }

func (e *InterpreterError) Error() string {
	if e.Name == "" {
		return "the file exists, but its dynamic loader does not"
	}
	return fmt.Sprintf("bad interpreter %q: %v", e.Name, syscall.ENOENT)
}

// interpreter reads the #! line of a script; "" if it has none or cannot be read.
func interpreter(path string) string {
	// It need not be any more what could not be executed a moment ago: a FIFO would be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|sys.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE since Linux 5.1
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return ""
	}
	return scriptInterpreter(head[:n])
}

// scriptInterpreter is interpreter for the beginning of a file.
func scriptInterpreter(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	line, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return ""
	}
	// Blanks and tabs separate, and nothing else: that the name ends in a carriage return is just
	// what must be seen.
	name := strings.TrimLeft(string(line), " \t")
	if end := strings.IndexAny(name, " \t"); end >= 0 {
		name = name[:end]
	}
	return name
}

// LookPath finds the executable that name stands for, as execvp(3) does but looking before anything
// is started: a name with a slash is itself, another is searched for in the directories of path (a
// PATH value) that we may search. An empty directory in path, which means the current one, is
// passed over: it is how somebody else's file gets executed.
//
// The error wraps fs.ErrNotExist if there is no such file, and fs.ErrPermission if there is, but
// none that may be executed. root is a directory that stands for "/", "" for "/" itself.
func LookPath(name, path, root string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(filepath.Join(root, name), name)
	}
	if name == "" {
		return "", &StepError{Step: StepExec, Object: `""`, Err: fs.ErrNotExist}
	}
	var denied error
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			continue
		}
		file := filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			continue // not there, or in a directory that we may not search
		}
		err := executable(filepath.Join(root, file), name)
		if err == nil {
			return file, nil
		}
		if denied == nil {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fail(StepExec, name, syscall.ENOENT)
}

func executable(file, name string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fail(StepExec, name, err)
	}
	if info.IsDir() {
		return fail(StepExec, name, syscall.EISDIR)
	}
	if info.Mode().Perm()&0o111 == 0 {
		return fail(StepExec, name, syscall.EACCES)
	}
	return nil
}

// NotFound says whether err means that there is no such program, in distinction
// to one that is there and cannot be executed: exit status 127 and 126 of env(1).
func NotFound(err error) bool {
	se, ok := err.(*StepError)
	return ok && se.Step == StepExec &&
		(se.Err == fs.ErrNotExist || se.Err == syscall.ENOENT || se.Err == syscall.ENOTDIR)
}
