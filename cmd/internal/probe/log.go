package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// maxLine bounds what is kept of a line; a longer one is matched by its first
// maxLine bytes.
const maxLine = 1 << 20

// tails asks whether a matching line was printed to any of the service's logs.
type tails struct {
	pattern *regexp.Regexp
	logs    []*tail
	last    string // the last line that did not match, shortened
}

func newTails(pattern *regexp.Regexp, env Env) *tails {
	t := &tails{pattern: pattern}
	for i, path := range env.Logs {
		log := &tail{path: env.path(path)}
		if i < len(env.Seen.logs) {
			log.before = env.Seen.logs[i]
		}
		t.logs = append(t.logs, log)
	}
	return t
}

func (t *tails) longest() time.Duration { return longestLook }

func (t *tails) Close() error {
	var errs []error
	for _, log := range t.logs {
		for _, f := range log.files {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (t *tails) ask(ctx context.Context) error {
	if len(t.logs) == 0 {
		return final{errors.New("the service has no log file to look at")}
	}
	for _, log := range t.logs {
		found, err := log.look(ctx, t.match)
		if found || err != nil {
			return err
		}
	}
	if t.last != "" {
		return fmt.Errorf("no line matches; the last one is %q", t.last)
	}
	return errors.New("nothing printed yet")
}

// match is given each complete line, without its end.
func (t *tails) match(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if t.pattern.Match(line) {
		return true
	}
	if line = bytes.TrimSpace(line); len(line) > 0 {
		t.last = string(line[:min(len(line), 200)])
	}
	return false
}

// A tail reads what is appended to the file called path. When the name is given
// to another file (rotation), that one is read from its start, and the old one
// still is as well, because its writer may go on with it for a while, as a
// program does until it is told to reopen. Two rotations between two looks
// (20 ms) would hide the file in the middle.
type tail struct {
	path   string
	before os.FileInfo // the file before the start, or nil
	files  []*follower // the file of that name, preceded by the one before it
}

// look reads all there is and tells whether a line matched.
func (t *tail) look(ctx context.Context, match func([]byte) bool) (bool, error) {
	if err := t.open(); err != nil {
		return false, err
	}
	for _, f := range t.files {
		if found, err := f.read(ctx, match); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// open makes the file now called path the last of t.files.
func (t *tail) open() error {
	fi, err := statOrNil(t.path)
	if fi == nil {
		return err // not there yet, or renamed and not created again
	}
	if !fi.Mode().IsRegular() {
		return final{fmt.Errorf(
			"%s is not a regular file: what is printed there cannot be read back", t.path,
		)}
	}
	if n := len(t.files); n > 0 && os.SameFile(fi, t.files[n-1].info) {
		return nil
	}
	// Whose log it is may have put another file's name in its place: what does not match is said,
	// so it must be the service's own.
	file, _, err := sys.OpenTrusted(t.path, sys.TrustedOpen{Regular: true, Single: true})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // renamed just now
	case errors.Is(err, sys.ErrInsecure):
		return final{err}
	case err != nil:
		return err
	}
	f := &follower{File: file}
	if f.info, err = file.Stat(); err != nil {
		return errors.Join(err, file.Close())
	}
	if len(t.files) == 0 && t.before != nil && os.SameFile(t.before, f.info) {
		f.pos = t.before.Size()
	}
	if n := len(t.files); n > 1 {
		err = t.files[0].Close()
		t.files = t.files[1:]
	}
	t.files = append(t.files, f)
	return err
}

// A follower reads one file, through truncation.
type follower struct {
	*os.File
	info os.FileInfo
	pos  int64
	line []byte // the beginning of a line whose end has not been written
}

func (f *follower) read(ctx context.Context, match func([]byte) bool) (bool, error) {
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	if fi.Size() < f.pos { // emptied in place: copytruncate
		f.pos, f.line = 0, nil
	}
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, err := f.ReadAt(buf, f.pos)
		f.pos += int64(n)
		if f.feed(buf[:n], match) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, ctx.Err()
}

// feed hands the complete lines of data to match and keeps the rest.
func (f *follower) feed(data []byte, match func([]byte) bool) bool {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		part := data
		if end >= 0 {
			part = data[:end]
		}
		f.line = append(f.line, part[:min(len(part), maxLine-len(f.line))]...)
		if end < 0 {
			return false
		}
		if match(f.line) {
			return true
		}
		f.line, data = f.line[:0], data[end+1:]
	}
	return false
}
