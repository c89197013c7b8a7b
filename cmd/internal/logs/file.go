package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/internal/sys"
)

// logFile is an open log file.
type logFile struct {
	f       *os.File
	st      sys.FileState // as refresh and append have left it
	born    time.Time     // when it was made, as near as we know
	used    int64         // time of the last use, for closing the one unused for longest
	checked int64         // time of the last look whether the name still leads here
}

// How often a log that is being written is looked for under its name.
const lookEvery = int64(time.Second)

// openLog opens or makes the file at path.
func openLog(path string, cfg *Config) (*logFile, error) {
	f, err := openAppend(path, true, fs.FileMode(cfg.Mode), cfg.Group)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(filepath.Dir(path), cfg.Group); err != nil {
			return nil, err
		}
		f, err = openAppend(path, true, fs.FileMode(cfg.Mode), cfg.Group)
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

// look learns the file's length and age.
func (l *logFile) look() error {
	if err := l.refresh(); err != nil {
		return err
	}
	l.born = time.Now()
	if l.st.Size == 0 {
		return nil
	}
	// The time of its making is not to be had everywhere; that of the last
	// write is at most too late, and then the file lives a little longer.
	fi, err := l.f.Stat()
	if err == nil {
		l.born = fi.ModTime()
	}
	return err
}

// endMax is how far from a file's end the beginning of an open line is looked for.
const endMax = 4 << 10

// state learns what the file's end, written in the format, is in the middle of. What was known
// before counts where the file does not say.
func (l *logFile) state(format line.Format, before line.State) (line.State, error) {
	if l.st.Size == 0 {
		return before.Start(), nil
	}
	end := make([]byte, min(endMax, l.st.Size))
	if _, err := l.f.ReadAt(end, l.st.Size-int64(len(end))); err != nil {
		return before, err
	}
	if end[len(end)-1] == '\n' {
		return before.Start(), nil
	}
	if !before.AtStart() {
		return before, nil
	}
	if !format.Mark || format.JSON {
		return before.In(line.Out), nil // there is one stream
	}
	if i := bytes.LastIndexByte(end, '\n'); i >= 0 || int64(len(end)) == l.st.Size {
		if r := format.Parse(end[i+1:]); r.Marked {
			return before.In(r.Stream), nil
		}
	}
	return line.Unknown, nil
}

// refresh asks for the file's state: somebody may have truncated or removed it.
func (l *logFile) refresh() error {
	st, err := sys.StatFD(int(l.f.Fd()))
	if err != nil {
		return &fs.PathError{Op: "stat", Path: l.f.Name(), Err: err}
	}
	l.st = st
	return nil
}

// append writes p to the end of the file and returns how much of it is there.
func (l *logFile) append(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := sys.WriteFD(int(l.f.Fd()), p[done:])
		if n > 0 {
			l.st.Size += int64(n)
			done += n
		}
		if err != nil {
			return done, &fs.PathError{Op: "write", Path: l.f.Name(), Err: err}
		}
	}
	return done, nil
}

// append writes p, output of the stream s, to the end of the sink's file, which is open.
func (k *sink) append(p []byte, s line.Stream) error {
	n, err := k.file.append(p)
	if n > 0 {
		k.end = k.end.In(s)
		if p[n-1] == '\n' {
			k.end = k.end.Start()
		}
	}
	return err
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

// old says that the sink's file is due for rotation by its age.
func (k *sink) old() bool {
	age := k.s.cfg.Rotate.Age
	return age > 0 && k.file.st.Size > 0 && k.end.AtStart() && time.Since(k.file.born) >= age
}

// fit returns how much of p to append to a file of the given length so that it is not longer than
// limit and no line is cut in two: 0 if p must go to a new file. A line alone may be longer than
// limit.
func fit(p []byte, size, limit int64, atStart bool) int {
	if limit == 0 || size+int64(len(p)) <= limit {
		return len(p)
	}
	room := max(limit-size, 0)
	if i := bytes.LastIndexByte(p[:room], '\n'); i >= 0 {
		return i + 1
	}
	if size > 0 && atStart {
		return 0
	}
	if i := bytes.IndexByte(p[room:], '\n'); i >= 0 {
		return int(room) + i + 1
	}
	return len(p)
}

// rotateRetry is how long to wait with the next attempt after a rotation that failed.
const rotateRetry = int64(time.Second)

// putAside renames the sink's file, which is open; the next output makes a new one. Readers
// of the old one go on reading it under its new name.
func (k *sink) putAside() error {
	// Whatever has the name now would be renamed, so it had better be our file.
	if st, err := sys.StatPath(k.path); err != nil {
		return fmt.Errorf("rotate: %w", err)
	} else if !st.Same(k.file.st) {
		return fmt.Errorf("rotate: %s is another file now", k.path)
	}
	// A clock that was set back must not make a later file sort before an earlier one.
	now := max(time.Now().UnixMicro(), k.last+1)
	if k.last == 0 {
		list, err := layout.List(k.path)
		if err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
		if len(list) > 0 {
			now = max(now, list[len(list)-1].Time.UnixMicro()+1)
		}
	}
	if err := os.Rename(k.path, layout.Name(k.path, time.UnixMicro(now))); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	k.last = now
	return nil
}
