//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// mostInterpreters is how many the kernel goes through for one program (exec_binprm in fs/exec.c).
const mostInterpreters = 5

// far says whether the kernel may have to wait for somebody else (a file server, the program behind
// a FUSE file system) when the target starts. Then it is not for a thread of ours: while execve(2)
// waits for the file of the program, the thread that forked is in vfork(2), with the runtime's
// ForkLock, and stops the runtime's world from being stopped; and a thread that waits in chdir(2)
// cannot be ended. A stage can be killed.
//
// The question is asked of the same file systems, by a goroutine that is left behind when ctx ends.
func (s *description) far(ctx context.Context) (bool, error) {
	var at place
	far, err := sys.Within(ctx, "", func() (bool, error) { return s.look(&at), nil }, nil)
	if err != nil {
		err = at.stuck(err)
	}
	return far, err
}

// look is far, and says where it is. Where there is an error, the start is going to have it too,
// and says so.
func (s *description) look(at *place) bool {
	if s.Dir != "" {
		at.set(StepDirectory, s.Dir)
		if local, err := sys.LocalFS(s.Dir); err == nil && !local {
			return true
		}
	}
	at.set(StepExec, s.Path)
	path := s.Path
	for range mostInterpreters {
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Dir, path)
		}
		local, err := sys.LocalFS(path)
		if err != nil {
			return false
		}
		if !local {
			return true
		}
		next, held := executedBy(path)
		if held || next == "" {
			return held
		}
		path = next
	}
	return false
}

// executedBy returns the file that the kernel opens to execute the file path, "" for none. held
// says that somebody has a lease on it, whom the kernel is going to ask (fcntl(2)).
func executedBy(path string) (next string, held bool) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", false // opening a device may do something
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", errors.Is(err, syscall.EWOULDBLOCK)
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := f.ReadAt(head, 0)
	if n == 0 && err != nil {
		return "", false
	}
	return interpreterIn(head[:n]), false
}
