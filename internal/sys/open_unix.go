//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openFlags are the flags for an existing file. O_CREATE and O_EXCL are decided
// by the walk, and O_TRUNC waits until the file has been checked.
func (w *walk) openFlags() int {
	// Without O_NONBLOCK the open of a FIFO waits for somebody else to open it as well, for ever it
	// may be.
	flags := w.o.Flags &^ (os.O_CREATE | os.O_EXCL | os.O_TRUNC)
	return flags | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_NONBLOCK
}

// create makes the file. The mode stays 0600 at most until the owner is right:
// nobody can open the file meanwhile who may not do so afterwards.
func (w *walk) create(name string) (*os.File, error) {
	flags := w.o.Flags&^os.O_TRUNC | os.O_CREATE | os.O_EXCL | unix.O_NOCTTY | unix.O_CLOEXEC
	f, err := w.at.open(name, w.path, flags, w.o.Mode.Perm()&0o600)
	if errors.Is(err, syscall.EEXIST) {
		if w.o.Flags&os.O_EXCL != 0 {
			return nil, syscall.EEXIST
		}
		return nil, errRaced // somebody else was first: take theirs
	}
	if err != nil {
		return nil, bare(err)
	}
	if err := w.dress(f); err != nil {
		return nil, Also(err, w.undo(name, f))
	}
	return f, nil
}

func (w *walk) dress(f *os.File) error {
	if o := w.o.Owner; o != nil {
		if err := f.Chown(o.UID, o.GID); err != nil {
			return fmt.Errorf("set owner %d:%d: %w", o.UID, o.GID, bare(err))
		}
	}
	// After chown, which clears the set-user-ID bits.
	if err := f.Chmod(w.o.Mode); err != nil {
		return fmt.Errorf("set mode %04o: %w", w.o.Mode.Perm(), bare(err))
	}
	return nil
}

// undo removes the file just created, unless the name means another by now.
func (w *walk) undo(name string, f *os.File) error {
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return w.removeSame(name, fi)
}

// removeSame removes what the name means, if that is the file of fi.
func (w *walk) removeSame(name string, fi fs.FileInfo) error {
	e, err := w.at.lookup(name)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove it again: %w", err)
	}
	defer e.close()
	if !os.SameFile(fi, e.fi) {
		return nil
	}
	return w.at.remove(name)
}

// open opens the existing file that was looked up as fi.
func (w *walk) open(name string, fi fs.FileInfo) (*os.File, error) {
	if w.o.Flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL {
		return nil, syscall.EEXIST
	}
	if err := w.check(fi); err != nil {
		return nil, err
	}
	f, err := leased(func() (*os.File, error) { return w.at.open(name, w.path, w.openFlags(), 0) })
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ELOOP), errors.Is(err,
		syscall.EMLINK):
		return nil, errRaced // gone, or a link now (FreeBSD says EMLINK)
	case err != nil:
		return nil, unread(fi, bare(err))
	}
	return w.accept(f, func(now fs.FileInfo) error {
		if !os.SameFile(fi, now) {
			return errRaced
		}
		return nil
	})
}

// leasePatience is more than a holder of a lease has to give it up (/proc/sys/fs/lease-break-time,
// 45 s).
const leasePatience = time.Minute

// leased repeats an open that must not wait for a peer, as long as it is put off by a lease of
// somebody else's on a regular file: a file server's, say. The open itself has asked for its end
// (fcntl(2), F_SETLEASE), which comes in a bounded time.
func leased[T any](open func() (T, error)) (T, error) {
	for end := time.Now().Add(leasePatience); ; time.Sleep(5 * time.Millisecond) {
		f, err := open()
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(end) {
			return f, err
		}
	}
}

// openMagic opens through a link of /proc, which leads to an open file and not
// to a name: only the kernel can follow it.
func (w *walk) openMagic(name string) (*os.File, error) {
	f, err := leased(func() (*os.File, error) {
		return w.at.openMagic(name, w.path, w.openFlags())
	})
	if err != nil {
		return nil, bare(err)
	}
	return w.accept(f, w.checkFile)
}

// accept returns an open file that is judged to be the right one, ready for use.
func (w *walk) accept(f *os.File, judge func(fs.FileInfo) error) (*os.File, error) {
	fi, err := f.Stat()
	if err == nil {
		err = judge(fi)
	}
	if err == nil {
		err = w.settle(f, fi)
	}
	if err != nil {
		return nil, Also(err, f.Close())
	}
	return f, nil
}

// settle does what had to wait until the file was known to be the right one.
func (w *walk) settle(f *os.File, fi fs.FileInfo) error {
	if err := WithFD(f, func(fd int) error { return unix.SetNonblock(fd, false) }); err != nil {
		return wrap("fcntl", err)
	}
	if w.o.Flags&os.O_TRUNC != 0 && fi.Mode().IsRegular() {
		return f.Truncate(0)
	}
	return nil
}

// checkFile judges a file by itself: its type, and where it is to be ours alone, its owner.
func (w *walk) checkFile(fi fs.FileInfo) error {
	switch {
	case fi.IsDir():
		return syscall.EISDIR
	case w.o.Regular && !fi.Mode().IsRegular():
		return fmt.Errorf("it is not a regular file but %s", describe(fi.Mode()))
	case !w.o.Ours:
		return nil
	}
	owner, _, err := FileOwner(fi)
	if err == nil && !trustedUID(owner.UID) {
		err = fmt.Errorf("%w: it belongs to user %d", ErrInsecure, owner.UID)
	}
	return err
}

// unread says in words what ENXIO means of a FIFO and of a socket.
func unread(fi fs.FileInfo, err error) error {
	switch {
	case !errors.Is(err, syscall.ENXIO):
		return err
	case fi.Mode().Type() == fs.ModeNamedPipe:
		return fmt.Errorf("it is a FIFO that nobody reads from: %w", err)
	case fi.Mode().Type() == fs.ModeSocket:
		return fmt.Errorf("it is a socket: %w", err)
	}
	return err
}

func describe(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		return "a device"
	}
	return m.Type().String()
}

// check judges an existing file before it is opened.
func (w *walk) check(fi fs.FileInfo) error {
	err := w.checkFile(fi)
	created := w.o.Flags&os.O_CREATE != 0
	if err != nil || !created && !w.o.Single || !fi.Mode().IsRegular() {
		return err
	}
	dir, err := w.at.stat()
	if err != nil {
		return fmt.Errorf("look at the directory: %w", bare(err))
	}
	dirOwner, _, err := FileOwner(dir)
	if err != nil {
		return err
	}
	if dir.Mode().Perm()&0o022 == 0 && trustedUID(dirOwner.UID) {
		return nil // nobody else can put anything here
	}
	owner, links, err := FileOwner(fi)
	switch {
	case err != nil:
		return err
	case links != 1:
		return fmt.Errorf("%w: it has %d hard links in a directory that others may write",
			ErrInsecure, links)
	case !created || trustedUID(owner.UID) || owner.UID == dirOwner.UID:
	case dir.Mode().Perm()&0o002 != 0:
		return fmt.Errorf(
			"%w: user %d put it there before us, in a directory that everybody may write",
			ErrInsecure, owner.UID,
		)
	}
	return nil
}
