package sys

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TryOFDLock takes the exclusive open-file-description lock on all of f
// (fcntl(2), F_OFD_SETLK, Linux 3.15) without waiting; ErrLocked if another
// description or process has an fcntl lock on the file. Its life is that of a
// flock lock, but it can be asked for (LockedByOther), and it is seen by
// programs that lock with fcntl or lockf, which on Linux do not see flock.
// errors.ErrUnsupported where the platform or the file system has none.
func TryOFDLock(f *os.File) error { return ofdLock(f, unix.Flock_t{Type: unix.F_WRLCK}) }

// LockedByOther asks whether another description holds an fcntl lock (on the
// BSDs: any lock) on f. It takes no lock itself, not for an instant, so it
// cannot make anybody else's TryFlock fail.
func LockedByOther(f *os.File) (bool, error) { return queryOFDLock(f, unix.F_WRLCK) }

func queryOFDLock(f *os.File, kind int16) (bool, error) {
	held, err := queryLock(f, "fcntl(F_OFD_GETLK)", unix.F_OFD_GETLK, kind)
	if errno, ok := Errno(err); ok && (errno == unix.EINVAL || errno == unix.EOPNOTSUPP) {
		return false, Unsupported("fcntl(F_OFD_GETLK)")
	}
	return held, err
}

// LockForLife takes the locks of a file for a process that is to have it open for life, and need
// not write to it: the flock(2) lock, and an open-file-description lock for reading on all but
// StartByte, by which LockedByOther and programs that lock with fcntl see it. Errors as those of
// TryFlock and TryOFDLock. Linux only.
func LockForLife(f *os.File) error {
	if err := TryFlock(f); err != nil {
		return err
	}
	return ofdLock(f, unix.Flock_t{Type: unix.F_RDLCK, Len: StartByte})
}

// LockForStart takes StartByte, for as long as a start is in progress; f must be open for writing.
// Errors as those of TryOFDLock.
func LockForStart(f *os.File) error {
	return ofdLock(f, unix.Flock_t{Type: unix.F_WRLCK, Start: StartByte, Len: 1})
}

// WriteLocked asks whether another description has an fcntl lock for writing on any part of f,
// StartByte too. On Linux only who may write to a file gets one: a lock for reading, and that of
// flock(2), is given to whoever may open the file. errors.ErrUnsupported as for LockedByOther.
func WriteLocked(f *os.File) (bool, error) {
	return queryOFDLock(f, unix.F_RDLCK) // refused by one for writing alone
}

func ofdLock(f *os.File, lk unix.Flock_t) error {
	return WithFD(f, func(fd int) error {
		err := retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
		if err == unix.EINVAL || err == unix.EOPNOTSUPP { // gVisor; some FUSE file systems
			return Unsupported("fcntl(F_OFD_SETLK)")
		}
		return lockError("fcntl(F_OFD_SETLK)", err)
	})
}

// HoldsLock says whether process pid has f's file open under a lock: that it is shown so in its
// /proc/PID/fdinfo (Linux 4.1). Where that cannot be seen it is false.
func HoldsLock(pid int, f *os.File) bool {
	return slices.ContainsFunc(locked(pid, f), func(fd FD) bool { return !fd.pathOnly() })
}

// ChangedAt is when the content or anything of the inode of a file was last changed (st_ctime,
// inode(7)): only who may write to the file or owns it can bring that forward. Linux only.
func ChangedAt(f *os.File) (at time.Time, err error) {
	err = WithFD(f, func(fd int) error {
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
	fds, err := ReadFDs(pid)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(fds, func(fd FD) bool {
		return fd.File.Dev != own.Dev || fd.File.Inode != own.Ino || len(fd.LockedBy) == 0
	})
}

func statOf(f *os.File) (s FileState, err error) {
	err = WithFD(f, func(fd int) error {
		s, err = StatFD(fd)
		return err
	})
	return s, err
}

// CloseInherited closes the descriptors of this process, but for f itself, that have f's file open
// under a lock and would outlive execve(2): those that it was born with.
func CloseInherited(f *os.File) {
	own := -1
	if err := WithFD(f, func(fd int) error { own = fd; return nil }); err != nil {
		return
	}
	for _, fd := range locked(os.Getpid(), f) {
		if fd.Number != own && !fd.CloseOnExec() {
			CloseFD(fd.Number) // nothing was written to it
		}
	}
}

// OpenUnlinked opens the files that were called path, have been removed, and are still open under
// an open-file-description lock in some process that we may look into: at most most. Linux only,
// and none elsewhere.
//
// It looks at all descriptors of all processes, which takes milliseconds, but only if some file of
// that file system is locked so that is not in path's directory now.
func OpenUnlinked(path string, most int) []*os.File {
	if !lockedElsewhere(filepath.Dir(path)) {
		return nil
	}
	pids, _ := PIDs()
	var list []*os.File
	for _, pid := range pids {
		_ = EachFD(pid, func(fd int, target string) bool { // an error: it is not ours to look into
			if target == path+" (deleted)" && len(list) < most {
				if f, err := openHeld(pid, fd); err == nil {
					list = append(list, f)
				}
			}
			return true
		})
	}
	return list
}

// openHeld opens what a descriptor of a process is of, if it is a regular file that this process
// has locked. It looks before it opens: a FIFO or a device would notice.
func openHeld(pid, n int) (*os.File, error) {
	link := fdPath(pid, n)
	fd, err := retry1(func() (int, error) { return unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, wrap("open", err)
	}
	held := os.NewFile(uintptr(fd), link)
	defer held.Close()
	if fi, err := held.Stat(); err != nil || !fi.Mode().IsRegular() || !HoldsLock(pid, held) {
		return nil, Also(fs.ErrNotExist, err)
	}
	return openNow(fdPath(0, fd), unix.O_RDONLY, openPlain)
}

// lockedElsewhere says whether a file of the directory's file system has an open-file-description
// lock and is not in the directory.
func lockedElsewhere(dir string) bool {
	locks := locksOf("OFDLCK")
	if len(locks) == 0 {
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
	candidates := map[uint64]bool{}
	for _, l := range locks {
		if l.device == deviceText(s.Dev) {
			candidates[l.inode] = true
		}
	}
	if len(candidates) == 0 {
		return false
	}
	err = WithFD(d, func(fd int) error {
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

// Lockers are those that are seen: of the processes that we may look into, and of those that
// /proc/locks names. None elsewhere than on Linux.
func Lockers(f *os.File) []Locker {
	pids, _ := PIDs()
	var list []Locker
	for _, pid := range pids {
		for _, fd := range locked(pid, f) {
			l := Locker{PID: pid, OFD: slices.Contains(fd.LockedBy, -1)}
			l.Flock = slices.ContainsFunc(fd.LockedBy, func(by int) bool { return by != -1 })
			list = l.add(list)
		}
	}
	own, err := statOf(f)
	if err != nil {
		return list
	}
	for _, l := range locksOf("FLOCK") { // what it says of them it says to everybody
		ours := l.device == deviceText(own.Dev) && l.inode == own.Ino && l.pid > 0
		if ours && !slices.ContainsFunc(list, func(k Locker) bool { return k.PID == l.pid }) {
			list = Locker{PID: l.pid, Flock: true}.add(list)
		}
	}
	return list
}

// add leaves out who is gone by now, or whose nobody tells us.
func (l Locker) add(list []Locker) []Locker {
	ids, err := ReadUserIDs(l.PID)
	if err != nil {
		return list
	}
	l.UID = ids.Real // what setuid programs inherit from who starts them is his
	return append(list, l)
}

// procLock is a line of /proc/locks (proc(5)): "7: FLOCK ADVISORY WRITE 4711 00:1b:1467 0 EOF".
// What btrfs and overlayfs show there is another number than stat(2) has: there, nothing is found.
type procLock struct {
	pid    int
	device string
	inode  uint64
}

func locksOf(kind string) (list []procLock) {
	data, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != kind {
			continue
		}
		at := strings.LastIndexByte(f[5], ':')
		pid, pidErr := strconv.Atoi(f[4])
		inode, err := strconv.ParseUint(f[5][at+1:], 10, 64)
		if err == nil && pidErr == nil && at > 0 {
			list = append(list, procLock{pid, f[5][:at], inode})
		}
	}
	return list
}

func deviceText(dev uint64) string {
	return fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev))
}
