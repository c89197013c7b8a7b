package query

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/sys"
)

// follower is a chain that does not end: a source whose io.EOF means "nothing for now".
type follower struct {
	c     *chain    // the history, while there is some
	seg   *segment  // being read
	final bool      // nobody writes to it any more
	named bool      // it was opened under its rotated name
	t     time.Time // rotated files up to this one are done with, or part of the history
	gone  bool      // the log's name leads nowhere
}

// How often to look without being told: where there is no inotify, and for directories that are not
// there.
const lookEvery = 200 * time.Millisecond

func follow(ctx context.Context, logs []Log, q Query, emit func(Record) error) error {
	w, err := watch(logs)
	if err != nil {
		return err
	}
	defer w.close()
	defer context.AfterFunc(ctx, w.close)()
	// Only now, so that nothing is written between the look and the watch.
	chains, err := openChains(logs, q)
	defer closeChains(chains)
	if err != nil {
		return err
	}
	var followers []*follower
	for _, c := range chains {
		f := &follower{c: c}
		if n := len(c.files); n > 0 {
			f.t = c.files[n-1].Time
		}
		defer f.close()
		followers = append(followers, f)
	}
	if q.Last > 0 {
		for _, c := range chains {
			if err := c.settle(); err != nil {
				return err
			}
		}
		if err := emitLast(ctx, chains, q, emit); err != nil {
			return ended(ctx, err)
		}
		for _, f := range followers {
			if err := f.skip(); err != nil {
				return err
			}
		}
	}
	for {
		if err := merge(ctx, followers, emit); err != nil {
			return ended(ctx, err)
		}
		gone := slices.ContainsFunc(followers, func(f *follower) bool { return f.gone })
		if err := w.wait(ctx, gone); err != nil {
			return ended(ctx, err)
		}
	}
}

// ended turns the errors that the end of the context causes into none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// settle takes an unfinished last line of the current file out of what was there before.
func (c *chain) settle() error {
	s := c.current
	if s == nil || s.limit == 0 {
		return nil
	}
	var end [1]byte
	if _, err := s.f.ReadAt(end[:], s.limit-1); err != nil {
		return err
	}
	if end[0] == '\n' {
		return nil
	}
	at, err := s.back(s.limit, 1)
	s.limit = at
	return err
}

// skip begins with what comes after the files as they were.
func (f *follower) skip() error {
	f.c.files = nil
	if s := f.c.current; s != nil {
		f.seg, f.c.current = s, nil
		return s.from(s.limit)
	}
	return nil
}

func (f *follower) close() {
	if f.seg != nil {
		f.seg.close()
	}
}

func (f *follower) next() (Record, error) {
	for {
		if f.seg == nil {
			if err := f.open(); err != nil {
				return Record{}, err
			}
		}
		r, err := f.seg.next(f.final)
		if err == nil {
			if f.c.q.matches(&r.Record) {
				return r, nil
			}
			continue
		}
		if err != io.EOF {
			return Record{}, err
		}
		if f.final {
			if err := f.pass(); err != nil {
				return Record{}, err
			}
			continue
		}
		if moved, err := f.moved(); err != nil {
			return Record{}, err
		} else if !moved {
			return Record{}, io.EOF
		}
	}
}

// open begins the next file: of the history, then the current one of that time, then whatever came
// after it.
func (f *follower) open() error {
	current := f.c.current
	err := f.c.open()
	if err == nil {
		f.seg, f.c.seg = f.c.seg, nil
		f.named = f.seg != current
		f.final = f.named
		return nil
	}
	if err != io.EOF {
		return err
	}
	// The current file first: should it be put aside before the others are listed, it is among
	// them.
	s, err := openSegment(f.c.log, layout.Rotated{Path: f.c.log.Path})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r, err := f.after()
	if err != nil || r != nil {
		if s != nil {
			s.close()
		}
		f.seg, f.named, f.final = r, true, true
		return err
	}
	if s == nil {
		return io.EOF
	}
	f.seg, f.named, f.final = s, false, false
	return nil
}

// after opens the first rotated file after f.t; none is nil.
func (f *follower) after() (*segment, error) {
	files, err := layout.List(f.c.log.Path)
	if err != nil {
		return nil, err
	}
	for _, r := range files {
		if !r.Time.After(f.t) {
			continue
		}
		f.t = r.Time
		// removed by age or number: too slow
		if s, err := openSegment(f.c.log, r); !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	return nil, nil
}

// moved looks what has become of the current file. If it was put aside, nobody writes to it any
// more, but something may have been written since it was read; if it was truncated, it is read from
// its beginning.
func (f *follower) moved() (bool, error) {
	mine, err := f.seg.f.Stat()
	if err != nil {
		return false, err
	}
	if mine.Size() < f.seg.at {
		return true, f.seg.from(0)
	}
	there, err := os.Stat(f.c.log.Path)
	if f.gone = errors.Is(err, fs.ErrNotExist); f.gone {
		return false, nil // the new one is not made yet; until then the old one may grow
	}
	if err != nil {
		return false, err
	}
	f.final = !os.SameFile(mine, there)
	return f.final, nil
}

// pass leaves a file that has been read to its end.
func (f *follower) pass() error {
	if !f.named {
		if err := f.identify(); err != nil {
			return err
		}
	}
	err := f.seg.close()
	f.seg = nil
	return err
}

// identify finds the time in the name that the file has got when it was put aside. If it got no
// such name, somebody else moved it, and what is rotated already came before it.
func (f *follower) identify() error {
	// Linux knows an open file's name even when it has been compressed, and removed, since
	// (proc_pid_fd(5)).
	if name, err := sys.NameOf(f.seg.f); err == nil {
		if _, r, ok := layout.Parse(name); ok {
			f.t = r.Time
			return nil
		}
	}
	mine, err := f.seg.f.Stat()
	if err != nil {
		return err
	}
	files, err := layout.List(f.c.log.Path)
	if err != nil {
		return err
	}
	for _, r := range files {
		if fi, err := os.Stat(r.Path); err == nil && os.SameFile(fi, mine) {
			f.t = r.Time
			return nil
		}
	}
	if n := len(files); n > 0 {
		f.t = files[n-1].Time
	}
	return nil
}

// watcher tells when to look again.
type watcher struct {
	w       *sys.Watcher // nil: look every so often
	dirs    []string
	missing bool // one of them cannot be watched
}

func watch(logs []Log) (*watcher, error) {
	sw, err := sys.NewWatcher()
	if errors.Is(err, errors.ErrUnsupported) {
		return &watcher{}, nil
	}
	if err != nil {
		return nil, err
	}
	w := &watcher{w: sw}
	for _, l := range logs {
		if dir := filepath.Dir(l.Path); !slices.Contains(w.dirs, dir) {
			w.dirs = append(w.dirs, dir)
		}
	}
	w.add()
	return w, nil
}

// add watches the directories that have these names now: one may have been made, removed, or made
// anew. What is watched already costs a system call. It comes before each look, so that nothing is
// written in between unseen.
func (w *watcher) add() {
	w.missing = false
	for _, dir := range w.dirs {
		if err := w.w.Add(dir); err != nil {
			w.missing = true
		}
	}
}

// wait returns when it is time for the next look. While a log is gone, its directory may be too, of
// which the kernel does not tell as long as we hold a file that was in it.
func (w *watcher) wait(ctx context.Context, gone bool) error {
	if w.w == nil || w.missing {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	} else {
		timeout := time.Hour
		if gone {
			timeout = lookEvery
		}
		if err := w.w.Wait(timeout); err != nil {
			return err
		}
	}
	if w.w != nil {
		w.add()
	}
	return nil
}

func (w *watcher) close() {
	if w.w != nil {
		w.w.Close()
	}
}
