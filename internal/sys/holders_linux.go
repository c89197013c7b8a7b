package sys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func lockForLife(f *os.File) error {
	if err := tryFlock(f); err != nil {
		return err
	}
	return ofdLock(f, unix.Flock_t{Type: unix.F_RDLCK, Len: StartByte})
}

func lockForStart(f *os.File) error {
	return ofdLock(f, unix.Flock_t{Type: unix.F_WRLCK, Start: StartByte, Len: 1})
}

// writeLocked asks whether a lock for reading would be refused: by one for writing alone.
func writeLocked(f *os.File) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_RDLCK}
	err := withFD(f, func(fd int) error {
		return retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lk) })
	})
	if err == unix.EINVAL || err == unix.EOPNOTSUPP {
		return false, Unsupported("fcntl(F_OFD_GETLK)")
	}
	return lk.Type != unix.F_UNLCK, wrap("fcntl(F_OFD_GETLK)", err)
}

func ofdLock(f *os.File, lk unix.Flock_t) error {
	return withFD(f, func(fd int) error {
		err := retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
		if err == unix.EINVAL || err == unix.EOPNOTSUPP { // gVisor; some FUSE file systems
			return Unsupported("fcntl(F_OFD_SETLK)")
		}
		return lockError("fcntl(F_OFD_SETLK)", err)
	})
}

func holdsLock(pid int, f *os.File) bool {
	for _, fd := range locked(pid, f) {
		if fd.Flags&pathOnlyFlag == 0 {
			return true
		}
	}
	return false
}

func changedAt(f *os.File) (at time.Time, err error) {
	err = withFD(f, func(fd int) error {
		var st unix.Stat_t
		if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
			return wrap("fstat", err)
		}
		at = time.Unix(st.Ctim.Unix())
		return nil
	})
	return at, err
}

// locked lists the descriptors by which a process has the file open under a lock.
func locked(pid int, f *os.File) []FD {
	own, err := statOf(f)
	if err != nil {
		return nil
	}
	fds, err := readFDs(pid)
	if err != nil {
		return nil
	}
	var list []FD
	for _, fd := range fds {
		if fd.File.Dev == own.Dev && fd.File.Inode == own.Ino && len(fd.LockedBy) > 0 {
			list = append(list, fd)
		}
	}
	return list
}

func statOf(f *os.File) (s FileState, err error) {
	err = withFD(f, func(fd int) error {
		s, err = statFD(fd)
		return err
	})
	return s, err
}

func closeInherited(f *os.File) {
	own := -1
	if err := withFD(f, func(fd int) error { own = fd; return nil }); err != nil {
		return
	}
	for _, fd := range locked(os.Getpid(), f) {
		if fd.Number != own && !fd.CloseOnExec() {
			CloseFD(fd.Number) // nothing was written to it
		}
	}
}

func openUnlinked(path string, most int) []*os.File {
	if !lockedElsewhere(filepath.Dir(path)) {
		return nil
	}
	names, err := namesIn("/proc")
	if err != nil {
		return nil
	}
	var list []*os.File
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		dir := "/proc/" + name + "/fd/"
		fds, err := namesIn(dir)
		if err != nil {
			continue // gone, or not ours to look into
		}
		for _, n := range fds {
			if target, err := os.Readlink(dir + n); err != nil || target != path+" (deleted)" {
				continue
			}
			if f, err := openHeld(pid, dir+n); err == nil && len(list) < most {
				list = append(list, f)
			} else if err == nil {
				f.Close() // one too many
			}
		}
	}
	return list
}

// openHeld opens what a descriptor of a process is of, if it is a regular file that this process
// has locked. It looks before it opens: a FIFO or a device would notice.
func openHeld(pid int, link string) (*os.File, error) {
	fd, err := retry1(func() (int, error) { return unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, wrap("open", err)
	}
	held := os.NewFile(uintptr(fd), link)
	defer held.Close()
	if fi, err := held.Stat(); err != nil || !fi.Mode().IsRegular() || !holdsLock(pid, held) {
		return nil, also(fs.ErrNotExist, err)
	}
	return openNow("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY, openPlain)
}

func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// lockedElsewhere says whether a file of the directory's file system has an open-file-description
// lock and is not in the directory.
func lockedElsewhere(dir string) bool {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || !bytes.Contains(locks, []byte("OFDLCK")) {
		return false
	}
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	s, err := statOf(d)
	if err != nil {
		return false
	}
	// "7: OFDLCK ADVISORY  WRITE -1 00:1b:1467 0 EOF". What btrfs and overlayfs show here is
	// another number than stat(2) has: there, nothing is found.
	device := fmt.Sprintf("%02x:%02x:", unix.Major(s.Dev), unix.Minor(s.Dev))
	candidates := map[uint64]bool{}
	for line := range bytes.Lines(locks) {
		fields := strings.Fields(string(line))
		if len(fields) < 6 || fields[1] != "OFDLCK" {
			continue
		}
		if inode, ok := strings.CutPrefix(fields[5], device); ok {
			if n, err := strconv.ParseUint(inode, 10, 64); err == nil {
				candidates[n] = true
			}
		}
	}
	if len(candidates) == 0 {
		return false
	}
	err = withFD(d, func(fd int) error {
		for buf := make([]byte, 32<<10); ; {
			n, err := retry1(func() (int, error) { return unix.Getdents(fd, buf) })
			if err != nil || n == 0 {
				return err
			}
			for rest := buf[:n]; len(rest) >= direntHeader; { // struct linux_dirent64, getdents(2)
				delete(candidates, binary.NativeEndian.Uint64(rest))
				size := int(binary.NativeEndian.Uint16(rest[16:]))
				if size < direntHeader || size > len(rest) {
					break
				}
				rest = rest[size:]
			}
		}
	})
	return err == nil && len(candidates) > 0
}

const direntHeader = 19
