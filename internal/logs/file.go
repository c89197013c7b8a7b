package logs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/sys"
)

// logFile is a stream's open log file.
type logFile struct {
	f       *os.File
	st      sys.FileState // Size is kept up to date by append
	midLine bool          // it does not end with a newline
	born    time.Time     // when it was made, as near as we know
	used    int64         // time of the last use, for closing the one unused for longest
	checked int64         // time of the last look whether the name still leads here
}

// How often a log that is being written is looked for under its name.
const lookEvery = int64(time.Second)

// openLog opens or makes the file at path.
func openLog(cfg *Config) (*logFile, error) {
	f, err := sys.OpenAppend(cfg.Path, fs.FileMode(cfg.Mode), cfg.Group)
	if os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o750); err != nil {
			return nil, err
		}
		f, err = sys.OpenAppend(cfg.Path, fs.FileMode(cfg.Mode), cfg.Group)
	}
	if err != nil {
		return nil, err
	}
	l := &logFile{f: f}
	if err := l.look(); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// look learns the file's length and how it ends.
func (l *logFile) look() error {
	fi, err := l.f.Stat()
	if err != nil {
		return err
	}
	l.born = fi.ModTime()
	if err := l.refresh(); err != nil {
		return err
	}
	l.midLine = false
	if l.st.Size > 0 {
		var last [1]byte
		if _, err := l.f.ReadAt(last[:], l.st.Size-1); err != nil {
			return err
		}
		l.midLine = last[0] != '\n'
	} else {
		l.born = time.Now()
	}
	return nil
}

// refresh asks for the file's state: somebody may have truncated or removed it.
func (l *logFile) refresh() error {
	st, err := sys.StatFD(int(l.f.Fd()))
	if err != nil {
		return &fs.PathError{Op: "stat", Path: l.f.Name(), Err: err}
	}
	if st.Size == 0 {
		l.midLine = false
	}
	l.st = st
	return nil
}

// append writes p to the end of the file.
func (l *logFile) append(p []byte) error {
	for len(p) > 0 {
		n, err := sys.WriteFD(int(l.f.Fd()), p)
		if n > 0 {
			l.midLine = p[n-1] != '\n'
			l.st.Size += int64(n)
			p = p[n:]
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: l.f.Name(), Err: err}
		}
	}
	return nil
}

// displaced says whether the log's name leads elsewhere now: it was removed or moved away.
func (l *logFile) displaced(path string, now int64) bool {
	if l.st.Nlink == 0 {
		return true
	}
	if now-l.checked < lookEvery {
		return false
	}
	l.checked = now
	st, err := sys.StatPath(path)
	return err != nil || !st.Same(l.st)
}

// fit returns how much of p to append to a file of the given length so that it is not longer than
// limit and no line is cut in two: 0 if p must go to a new file. A line alone may be longer than limit.
func fit(p []byte, size, limit int64, midLine bool) int {
	if limit == 0 || size+int64(len(p)) <= limit {
		return len(p)
	}
	room := max(limit-size, 0)
	if i := bytes.LastIndexByte(p[:room], '\n'); i >= 0 {
		return i + 1
	}
	if size > 0 && !midLine {
		return 0
	}
	if i := bytes.IndexByte(p[room:], '\n'); i >= 0 {
		return int(room) + i + 1
	}
	return len(p)
}

// rotate renames the stream's file and forgets it; the next output makes a new one. Readers
// of the old one go on reading it under its new name.
func (s *Stream) rotate() error {
	// Whatever has the name now is renamed, so it had better be our file.
	if st, err := sys.StatPath(s.cfg.Path); err != nil || !st.Same(s.file.st) {
		return nil
	}
	now := time.Now().UnixMicro()
	// A clock that was set back must not make a later file sort before an earlier one.
	now = max(now, s.lastRotation+1)
	if s.lastRotation == 0 {
		list, err := layout.List(s.cfg.Path)
		if err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
		if len(list) > 0 {
			now = max(now, list[len(list)-1].Time.UnixMicro()+1)
		}
	}
	name := layout.Name(s.cfg.Path, time.UnixMicro(now))
	if err := os.Rename(s.cfg.Path, name); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	s.lastRotation = now
	return nil
}
