package sys

import (
	"bytes"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const closeOnExecFlag, pathOnlyFlag = unix.O_CLOEXEC, unix.O_PATH

// ReadFDs lists the open descriptors of a process in ascending order.
// Descriptors that are closed meanwhile are left out. Without the right to look
// (ptrace(2), "access mode checking") the error wraps fs.ErrPermission.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ReadFDs(pid int) ([]FD, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	entries, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return nil, err
	}
	list := make([]FD, 0, len(entries))
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fd, err := readFD(proc, n)
		if Gone(err) {
			continue // closed since the directory was read
		}
		if err != nil {
			return nil, err
		}
		list = append(list, fd)
	}
	slices.SortFunc(list, func(a, b FD) int { return a.Number - b.Number })
	return list, nil
}

func readFD(proc string, n int) (FD, error) {
	name := strconv.Itoa(n)
	link := proc + "/fd/" + name
	target, err := os.Readlink(link)
	if err != nil {
		return FD{}, err
	}
	info, err := os.ReadFile(proc + "/fdinfo/" + name)
	if err != nil {
		return FD{}, err
	}
	fd := FD{Number: n, Target: target}
	if err := fd.parseInfo(info); err != nil {
		return FD{}, &fs.PathError{Op: "parse", Path: proc + "/fdinfo/" + name, Err: err}
	}
	fd.File, err = Statx(link)
	return fd, err
}

// parseInfo reads the lines of an fdinfo file that we need. Lines of a lock
// look like "lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF".
func (f *FD) parseInfo(info []byte) error {
	found := false
	for line := range bytes.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "flags":
			flags, err := strconv.ParseUint(value, 8, 32)
			if err != nil {
				return err
			}
			f.Flags, found = int(flags), true
		case "lock":
			fields := strings.Fields(value)
			if len(fields) < 5 || fields[1] == "->" || fields[1] == "LEASE" {
				continue // a waiter or a lease is not a lock
			}
			pid, err := strconv.Atoi(fields[4])
			if err != nil {
				return err
			}
			f.LockedBy = append(f.LockedBy, pid)
		case "sigmask":
			if err := hex((*uint64)(&f.Signals), value); err != nil {
				return err
			}
		}
	}
	if !found {
		return syscall.EINVAL
	}
	return nil
}

// Statx looks at path, following links, /proc's own included, without asking a
// remote server (AT_STATX_DONT_SYNC, Linux 4.11): a descriptor on a dead NFS server
// must not hang the one who looks.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func Statx(path string) (FileStat, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT,
			unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &st)
	})
	// Before Linux 4.11, and under container filters that predate statx and answer EPERM.
	if err == unix.ENOSYS || err == unix.EPERM {
		return stat(path)
	}
	if err != nil {
		return FileStat{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	file := FileStat{
		Mode: uint32(st.Mode), Inode: st.Ino, UID: st.Uid, Size: int64(st.Size),
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor),
		Access: statxTime(st.Atime), Modify: statxTime(st.Mtime), Change: statxTime(st.Ctime),
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		file.Birth = statxTime(st.Btime)
	}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		file.Mount = st.Mnt_id
	}
	return file, nil
}

func statxTime(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

func stat(path string) (FileStat, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(path, &st) }); err != nil {
		return FileStat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	at := func(t unix.Timespec) time.Time { return time.Unix(t.Unix()) }
	return FileStat{
		Mode: st.Mode, Dev: uint64(st.Dev), Inode: st.Ino, Rdev: uint64(st.Rdev), UID: st.Uid, Size: st.Size,
		Access: at(st.Atim), Modify: at(st.Mtim), Change: at(st.Ctim),
	}, nil
}
