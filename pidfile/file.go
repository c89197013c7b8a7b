package pidfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Adopt takes over a pid file that a launcher acquired and handed down as an
// inherited descriptor. It makes the descriptor close-on-exec, so that no child
// inherits the lock, and verifies that path names this very file and that the lock is
// ours. It owns file from now on, and closes it on failure.
func Adopt(file *os.File, path string) (*File, error) {
	f := &File{file: file}
	if err := f.adopt(path); err != nil {
		return nil, sys.Also(fmt.Errorf("adopt pid file %s: %w", path, err), file.Close())
	}
	held.Store(file, nil)
	return f, nil
}

func (f *File) adopt(path string) error {
	err := sys.WithFD(f.file, func(fd int) error { return sys.SetCloseOnExec(fd, true) })
	if err != nil {
		return err
	}
	// A second lock through the same description succeeds (flock(2)).
	if err := f.lock(); err != nil {
		return err
	}
	if err := f.locate(path); err != nil {
		return err
	}
	_, err = secure(f.file)
	return err
}

// Path is the file's absolute name, without symbolic links.
func (f *File) Path() string { return f.path }

// File returns the open file, to be handed down to the daemon. It stays ours:
// neither close it nor unlock it.
func (f *File) File() *os.File { return f.file }

// LockFile returns the descriptor that has the lock, with [Options].HandDown, to be handed down;
// nil where that has no effect. It stays ours as well.
func (f *File) LockFile() *os.File { return f.lockFD }

// Write records process pid, which must be alive, and sets its fingerprint.
// Readers see the old content, an empty file, or the new content. On failure,
// as on a full disk, the file is empty or as before.
//
// An error that wraps ErrNoFingerprint means that the pid is written but not
// proven: the file system rounds times, /proc is missing, or the file belongs to
// somebody else (then only root may set its time).
func (f *File) Write(pid int) error {
	if err := f.write(pid); err != nil {
		return fmt.Errorf("pid file %s: %w", f.path, err)
	}
	return nil
}

func (f *File) write(pid int) error {
	id, idErr := sys.Identify(pid)
	switch {
	case errors.Is(idErr, sys.ErrHidden), errors.Is(idErr, errors.ErrUnsupported), errors.Is(idErr,
		fs.ErrNotExist):
		// It cannot be told who the process is: no /proc, or another user's under hidepid.
	case idErr != nil:
		return idErr
	}
	if err := f.current(); err != nil {
		return err
	}
	if err := f.put(strconv.Itoa(pid) + "\n"); err != nil {
		return err
	}
	f.written = pid
	if idErr != nil {
		return fmt.Errorf("%w: %w", ErrNoFingerprint, idErr)
	}
	want := time.Unix(time.Now().Unix(), fingerprint(id))
	kept, err := sys.SetModTime(f.file, f.path, want)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFingerprint, err)
	}
	if kept.Nanosecond() != want.Nanosecond() {
		return fmt.Errorf("%w: the file system rounded %d ns to %d",
			ErrNoFingerprint, want.Nanosecond(), kept.Nanosecond())
	}
	return nil
}

// put replaces the content in place: a rename would leave the lock on the old
// file. It empties the file first, because a write that makes a file grow from
// nothing is whole for readers, while an overwrite is not: "1" over "12483" was
// read as "1" and "483". One reader can still be misled: who has read the old content
// and reads on, for the end of the file, only after both steps, gets the rest of a longer
// new content after the old one. Find reads until it reads the same twice.
//
// There is no fsync: after a crash of the machine the content is void anyway.
func (f *File) put(text string) error {
	f.stale = false // whatever comes of it, what was there is gone
	if err := f.file.Truncate(0); err != nil {
		return err
	}
	if _, err := f.file.WriteAt([]byte(text), 0); err != nil {
		return sys.Also(err, f.file.Truncate(0))
	}
	return nil
}

// Remove deletes the pid file if it is ours: if the path still names the file
// we hold, and the pid in it is the one we wrote or our own. Where we may not delete it, as an
// ordinary user in root's directory, and where the path does not lead to it any more, as after
// chroot(2), it is emptied, which says as much: Find calls it Dead, without a pid, and Acquire
// takes it. A file that Acquire found and that was not written since stays as it was. Removed
// already: no error. Another file in the place of one that is gone is not touched: ErrReplaced.
// The lock is held all the time; call Close afterwards.
func (f *File) Remove() error {
	if err := f.remove(); err != nil {
		return fmt.Errorf("remove pid file %s: %w", f.path, err)
	}
	return nil
}

func (f *File) remove() error {
	if f.stale {
		return nil
	}
	rec, err := read(f.file)
	if err != nil {
		return err
	}
	ours := rec.err == nil && (rec.pid == f.written || rec.pid == os.Getpid())
	if !ours && rec.size > 0 { // empty: acquired only, or Write failed
		return errors.New("its content is not ours")
	}
	// Whatever becomes of the name. We may go on for a while, too, but who starts now is told that
	// this name is free (lost).
	if err := f.file.Truncate(0); err != nil {
		return err
	}
	err = f.current()
	switch {
	case err == nil:
		return unlessKept(sys.Unlink(f.path))
	case !errors.Is(err, ErrReplaced):
		return unlessKept(err)
	}
	if there, err := f.linked(); err != nil || there {
		return err // out of our root, or moved away: what has its name is another's
	}
	if _, err := os.Lstat(f.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.removeRestored(rec.pid)
}

// unlessKept is nil for the reasons for which a file stays that is emptied: not permitted, or the
// file, or what it is in, is mounted so (unlink(2)), or its name is none in this root.
func unlessKept(err error) error {
	for _, reason := range []error{
		fs.ErrPermission, sys.EROFS, sys.EBUSY, sys.ENOTDIR,
	} {
		if errors.Is(err, reason) {
			return nil
		}
	}
	return err
}

// linked says whether the file that we hold has a name.
func (f *File) linked() (bool, error) {
	fi, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	_, links, err := sys.FileOwner(fi)
	return links > 0, err
}

// Close closes our descriptor. The lock ends with the last descriptor of the
// same description: a launcher may close its own after handing one down.
func (f *File) Close() error {
	held.Delete(f.file)
	if err := f.closeFiles(); err != nil {
		return fmt.Errorf("pid file %s: %w", f.path, err)
	}
	return nil
}

func (f *File) closeFiles() error {
	err := f.file.Close()
	if f.lockFD != nil {
		err = errors.Join(err, f.lockFD.Close())
	}
	return err
}

// maxSize is more than a pid with any reasonable white space.
const maxSize = 64

// record is the content of a pid file at one moment.
type record struct {
	fi   fs.FileInfo
	size int // of the content as read
	pid  int
	err  error // why the content is not a pid
}

// read reads content and time of the file as they belong together: until two
// looks at it are alike, because a writer may come between any two calls.
func read(file *os.File) (record, error) {
	var last []byte
	var lastFI fs.FileInfo
	for range maxTries {
		buf := make([]byte, maxSize+1)
		n, err := file.ReadAt(buf, 0)
		if err != nil && err != io.EOF {
			return record{}, err
		}
		fi, err := file.Stat()
		if err != nil {
			return record{}, err
		}
		if lastFI != nil && bytes.Equal(buf[:n], last) && fi.ModTime().Equal(lastFI.ModTime()) {
			r := record{fi: fi, size: n}
			r.pid, r.err = parse(buf[:n])
			return r, nil
		}
		last, lastFI = buf[:n], fi
	}
	return record{}, errors.New("it keeps changing while it is read")
}
