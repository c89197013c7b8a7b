package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/paths"
)

// supervisorLog takes what the supervisor has to say for itself.
func supervisorLog(p paths.Paths) string { return filepath.Join(p.State, "supervisor.log") }

// logForSupervisor is where a supervisor that is started can write what it has to say. It lives
// without: what it looks after is worth more than its words, which are in "daemonry events" too.
func (a *app) logForSupervisor(p paths.Paths) string {
	path := supervisorLog(p)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o640)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		a.say("the supervisor has no log: %s", err)
		return ""
	}
	return path
}

// lengthOf is how long the log is: 0 if it is not there, or cannot be looked at.
func lengthOf(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// mostSupervisorLog bounds supervisor.log, and the file beside it that has what came before.
const mostSupervisorLog = 1 << 20

// ownLog writes what the supervisor has difficulties with, and keeps its log within bounds.
type ownLog struct {
	out  io.Writer
	file *os.File // standard error, if that is the log; nil: somebody else's
	path string
	mu   sync.Mutex
}

// newOwnLog finds out whether out is the supervisor's own log. It is then open for appending, by
// nobody else.
func newOwnLog(out io.Writer, p paths.Paths) *ownLog {
	l := &ownLog{out: out, path: supervisorLog(p)}
	f, ok := out.(*os.File)
	if !ok {
		return l
	}
	have, err := f.Stat()
	there, pathErr := os.Lstat(l.path)
	if err == nil && pathErr == nil && os.SameFile(have, there) {
		l.file = f
	}
	return l
}

func (l *ownLog) trouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound()
	fmt.Fprintf(l.out, "%s: %s: %s\n",
		time.Now().Format(time.RFC3339), program, oneLine(err.Error()))
}

// bound puts a log that is too long aside. It is copied and cut, for it is open as standard output
// and error as well, where a crash of the runtime writes. What cannot be copied is given up: a log
// that is not bounded fills the disk.
func (l *ownLog) bound() {
	if l.file == nil {
		return
	}
	fi, err := l.file.Stat()
	if err != nil || fi.Size() < mostSupervisorLog {
		return
	}
	f, err := os.Open(l.path)
	if err == nil {
		var data []byte
		if data, err = io.ReadAll(io.NewSectionReader(f, max(0, fi.Size()-mostSupervisorLog),
			mostSupervisorLog)); err == nil {
			err = atomicfile.WriteForBoot(l.path+".1", data, 0o640)
		}
		_ = f.Close()
	}
	if cutErr := l.file.Truncate(0); cutErr != nil {
		return
	}
	if err != nil {
		fmt.Fprintf(l.out, "%s: %s: what was here before is lost: %s\n",
			time.Now().Format(time.RFC3339), program, oneLine(err.Error()))
	}
}
