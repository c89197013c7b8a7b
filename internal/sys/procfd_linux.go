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

func readFDs(pid int) ([]FD, error) {
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
	fd.File, err = statx(link)
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

func statx(path string) (FileStat, error) {
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

func terminalDevice(rdev uint64) (bool, error) {
	drivers, err := os.ReadFile("/proc/tty/drivers")
	if err != nil {
		return false, err
	}
	return inDrivers(drivers, unix.Major(rdev), unix.Minor(rdev)), nil
}

// inDrivers looks a device up in the lines of /proc/tty/drivers, like
// "pty_slave  /dev/pts  136 0-1048575 pty:slave": driver, node, major, range of
// minors, type.
func inDrivers(drivers []byte, major, minor uint32) bool {
	for line := range bytes.Lines(drivers) {
		// The name of a driver may contain blanks: count from the end.
		fields := strings.Fields(string(line))
		if len(fields) < 5 {
			continue
		}
		node, number, minors, kind := fields[len(fields)-4], fields[len(fields)-3], fields[len(fields)-2], fields[len(fields)-1]
		if kind == "pty:master" || node == "/dev/ptmx" {
			continue
		}
		first, last, ok := strings.Cut(minors, "-")
		if !ok {
			last = first
		}
		if inRange(number, first, last, major, minor) {
			return true
		}
	}
	return false
}

func inRange(number, first, last string, major, minor uint32) bool {
	n, err1 := strconv.ParseUint(number, 10, 32)
	lo, err2 := strconv.ParseUint(first, 10, 32)
	hi, err3 := strconv.ParseUint(last, 10, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	return uint32(n) == major && uint32(lo) <= minor && minor <= uint32(hi)
}
