package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// place holds a directory, or the link just met, by an O_PATH descriptor: that
// needs no right to read the directory, and what it means cannot change.
type place struct{ file *os.File }

func openPlace(path string) (place, error) { return pathAt(unix.AT_FDCWD, path, unix.O_DIRECTORY) }

func pathAt(dir int, name string, flags int) (place, error) {
	fd, err := retry1(func() (int, error) { return unix.Openat(dir, name, flags|unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return place{}, err
	}
	return place{os.NewFile(uintptr(fd), name)}, nil
}

func (p place) close() {
	if p.file != nil {
		_ = p.file.Close() // an O_PATH descriptor has nothing to flush that could fail
	}
}

func (p place) in(fn func(dir int) error) error { return withFD(p.file, fn) }

func (p place) stat() (fs.FileInfo, error) { return p.file.Stat() }

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
	err := link.in(func(fd int) error { return retry(func() error { return unix.Fstatfs(fd, &st) }) })
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
		fd, err := retry1(func() (int, error) { return unix.Openat(dir, name, flags, uint32(mode)) })
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
		if err := unix.Fchownat(dir, name, owner.UID, owner.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set owner %d:%d: %w", owner.UID, owner.GID, err)
		}
		// Not fchmodat(2), which follows a link.
		fd, err := retry1(func() (int, error) {
			return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
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
