package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openInputAs opens with the rights of c, on a thread that has no others and then ends. Its user is
// another for files only (setfsuid(2)): were it another in full, c could kill the thread, and us
// with it.
//
// It is still a thread of ours, to which the kernel shows what we have open (ptrace(2), "same
// thread group"): so a link of c's to /proc/self/fd/N would lead to a memory file of ours, or to a
// file in a directory that c may not enter. No such link is followed.
func openInputAs(path string, c Credential) (f *os.File, err error) {
	done := make(chan struct{})
	OnThread(func() {
		defer close(done)
		var leave func()
		if leave, err = becomeForFiles(c); err == nil {
			defer leave()
			f, err = openInputBy(path, openWithoutMagic)
		}
	})
	<-done
	return f, err
}

// openWithoutMagic is open(2) that fails with ELOOP at a link of /proc that is more than its text.
// Without openat2(2) (before Linux 5.6, or refused by a filter) it cannot be had.
func openWithoutMagic(path string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err == unix.ENOSYS || err == unix.EPERM {
		err = Unsupported("openat2 (Linux 5.6)")
	}
	return fd, err
}

func becomeForFiles(c Credential) (leave func(), err error) {
	if err = setThreadGroups(c.Groups); err == nil {
		leave, err = SetThreadFSUser(int(c.UID), int(c.GID))
	}
	if err == nil {
		// The change of fsuid has taken those for files away, unless a launcher forbade it
		// (SECBIT_NO_SETUID_FIXUP).
		if err = SetThreadCapabilities(0, NoAmbient); err != nil {
			leave()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open as user %d: %w", c.UID, err)
	}
	return leave, nil
}

// nameless says whether a pipe is one of pipe(2).
func nameless(f *os.File) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC, statfs(2)
	var st unix.Statfs_t
	err := WithFD(f, func(fd int) error {
		return retry(func() error { return unix.Fstatfs(fd, &st) })
	})
	return err == nil && int64(st.Type) == pipefs
}

// place holds a directory, or the link just met, by an O_PATH descriptor: that
// needs no right to read the directory, and what it means cannot change.
type place struct{ file *os.File }

func openPlace(path string) (place, error) { return pathAt(unix.AT_FDCWD, path, unix.O_DIRECTORY) }

func pathAt(dir int, name string, flags int) (place, error) {
	fd, err := retry1(func() (int, error) {
		return unix.Openat(dir, name, flags|unix.O_PATH|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return place{}, err
	}
	return place{os.NewFile(uintptr(fd), name)}, nil
}

func (p place) close() {
	_ = p.file.Close() // an O_PATH descriptor has nothing to flush that could fail; or it is nil
}

func (p place) in(fn func(dir int) error) error { return WithFD(p.file, fn) }
func (p place) stat() (fs.FileInfo, error)      { return p.file.Stat() }

func (p place) lookup(name string) (e entry, err error) {
	err = p.in(func(dir int) error {
		// O_DIRECTORY makes the kernel mount what autofs promises there; a bare
		// O_PATH would give the empty directory underneath.
		e.place, err = pathAt(dir, name, unix.O_NOFOLLOW|unix.O_DIRECTORY)
		if err == unix.ENOTDIR {
			e.place, err = pathAt(dir, name, unix.O_NOFOLLOW)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if e.fi, err = e.stat(); err != nil {
		e.close()
	}
	return e, err
}

func (p place) readlink(_ string, link entry) (target string, err error) {
	err = link.in(func(fd int) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf) // of the very link that was checked
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

// magic reports whether a link lies in /proc. The text of many links there is a
// description ("pipe:[4711]", "/tmp/x (deleted)"), not a path.
func (p place) magic(link entry) bool {
	var st unix.Statfs_t
	err := link.in(func(fd int) error {
		return retry(func() error { return unix.Fstatfs(fd, &st) })
	})
	return err == nil && int64(st.Type) == unix.PROC_SUPER_MAGIC
}

func (p place) enterMagic(name string) (at place, err error) {
	err = p.in(func(dir int) error {
		at, err = pathAt(dir, name, unix.O_DIRECTORY)
		return err
	})
	return at, err
}

func (p place) open(name, path string, flags int, mode fs.FileMode) (*os.File, error) {
	return p.openat(name, path, flags|unix.O_NOFOLLOW, mode)
}

func (p place) openMagic(name, path string, flags int) (*os.File, error) {
	return p.openat(name, path, flags, 0)
}

func (p place) openat(name, path string, flags int, mode fs.FileMode) (f *os.File, err error) {
	err = p.in(func(dir int) error {
		fd, err := retry1(func() (int, error) {
			return unix.Openat(dir, name, flags, uint32(mode))
		})
		if err == nil {
			f = os.NewFile(uintptr(fd), path)
		}
		return err
	})
	return f, err
}

func (p place) remove(name string) error {
	return p.in(func(dir int) error {
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return fmt.Errorf("remove it again: %w", err)
		}
		return nil
	})
}

// mkdir makes a directory. Nobody can enter it who may not do so when it has its owner and its
// mode.
func (p place) mkdir(name string, mode fs.FileMode, owner Owner) error {
	return p.in(func(dir int) error {
		if err := unix.Mkdirat(dir, name, uint32(mode.Perm()&0o700)); err != nil {
			return err
		}
		if err := unix.Fchownat(dir, name, owner.UID, owner.GID,
			unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set owner %d:%d: %w", owner.UID, owner.GID, err)
		}
		// Not fchmodat(2), which follows a link.
		fd, err := retry1(func() (int, error) {
			return unix.Openat(dir, name,
				unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			return err
		}
		err = retry(func() error { return unix.Fchmod(fd, uint32(mode.Perm())) })
		if err != nil {
			err = fmt.Errorf("set mode %04o: %w", mode.Perm(), err)
		}
		return errors.Join(err, CloseFD(fd))
	})
}
