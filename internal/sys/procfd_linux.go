package sys

import (
	"bytes"
	"io"
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
	numbers, err := numbersIn(procDir(pid) + "/fd")
	if err != nil {
		return nil, err
	}
	slices.Sort(numbers)
	list := make([]FD, 0, len(numbers))
	for _, n := range numbers {
		fd, err := readFD(pid, n)
		if Gone(err) {
			continue // closed since the directory was read
		}
		if err != nil {
			return nil, err
		}
		list = append(list, fd)
	}
	return list, nil
}

// fdPath leads to what a descriptor of a process is of; 0 is ourselves.
func fdPath(pid, fd int) string { return procDir(pid) + "/fd/" + strconv.Itoa(fd) }

func readFD(pid, n int) (FD, error) {
	link, infoPath := fdPath(pid, n), procDir(pid)+"/fdinfo/"+strconv.Itoa(n)
	target, err := os.Readlink(link)
	if err != nil {
		return FD{}, err
	}
	info, err := os.ReadFile(infoPath)
	if err != nil {
		return FD{}, err
	}
	fd := FD{Number: n, Target: target}
	if err := fd.parseInfo(info); err != nil {
		return FD{}, &fs.PathError{Op: "parse", Path: infoPath, Err: err}
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
			if err := parseHex((*uint64)(&f.Signals), value); err != nil {
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
		Mode: st.Mode, Inode: st.Ino, UID: st.Uid, Size: st.Size,
		Dev: uint64(st.Dev), Rdev: uint64(st.Rdev),
		Access: at(st.Atim), Modify: at(st.Mtim), Change: at(st.Ctim),
	}, nil
}

// EachFD gives each the number of every open descriptor of a process, in no order, and what the
// kernel calls what it is of (proc_pid_fd(5)), until it returns false. A process that is gone has
// none. Of what may not be seen the error tells, when each has got all else.
func EachFD(pid int, each func(fd int, target string) bool) error {
	fds, err := numbersIn(procDir(pid) + "/fd")
	if Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var refused error
	for _, fd := range fds {
		target, err := os.Readlink(fdPath(pid, fd))
		switch {
		case Gone(err): // closed since the directory was read
		case err != nil:
			refused = err
		case !each(fd, target):
			return nil
		}
	}
	return refused
}

// ReadOpenFile reads what descriptor fd of a process is of, from its beginning.
func ReadOpenFile(pid, fd int) ([]byte, error) {
	return os.ReadFile(fdPath(pid, fd))
}

// StatOpenFile tells what descriptor fd of a process is of.
func StatOpenFile(pid, fd int) (FileStat, error) {
	return Statx(fdPath(pid, fd))
}

// NameOf returns the name by which the kernel knows an open file now, though it was renamed since;
// of one that was removed, the last.
func NameOf(f *os.File) (name string, err error) {
	err = WithFD(f, func(fd int) error {
		name, err = os.Readlink(fdPath(0, fd))
		return err
	})
	return strings.TrimSuffix(name, " (deleted)"), err
}

// DirectoryOf returns the name of the working directory ("cwd") or of the root ("root") of a
// process, and what is there.
func DirectoryOf(pid int, which string) (name string, file FileStat, err error) {
	link := procDir(pid) + "/" + which
	if name, err = os.Readlink(link); err != nil {
		return "", file, err
	}
	file, err = Statx(link)
	return name, file, err
}

// Cmdline returns the arguments that a process was started with, its own name first, as far as it
// has not changed them (proc_pid_cmdline(5)).
func Cmdline(pid int) ([]string, error) {
	b, err := ReadKernelFile(procDir(pid) + "/cmdline")
	return strings.Split(strings.Trim(string(b), "\x00"), "\x00"), err
}

// mostEnviron is more than the kernel takes of arguments and environment together (execve(2): three
// quarters of 8 MiB). But a process can say later that its environment is all of its memory
// (PR_SET_MM_MAP of prctl(2)), and needs no privilege for that.
const mostEnviron = 8 << 20

// Environ returns the environment that a process was started with, each "NAME=VALUE" ended by a
// zero byte (proc_pid_environ(5)).
func Environ(pid int) ([]byte, error) {
	f, err := os.Open(procDir(pid) + "/environ")
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: an error of close loses nothing
	return io.ReadAll(io.LimitReader(f, mostEnviron))
}

// Cgroups returns the control groups of a process by what they control: "" is version 2, and
// "name=systemd" that of version 1 by which systemd tells services apart (cgroups(7)).
func Cgroups(pid int) (map[string]string, error) {
	data, err := os.ReadFile(procDir(pid) + "/cgroup")
	if err != nil {
		return nil, err
	}
	groups := map[string]string{}
	for line := range strings.Lines(string(data)) {
		// "0::/system.slice/nginx.service", or of version 1 "1:name=systemd:/…".
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(f) == 3 {
			groups[f[1]] = f[2]
		}
	}
	return groups, nil
}

// Mounts lists what is mounted in the mount namespace of a process; 0 is ourselves.
func Mounts(pid int) ([]Mount, error) {
	data, err := os.ReadFile(procDir(pid) + "/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(data), nil
}

func parseMounts(data []byte) (list []Mount) {
	for line := range strings.Lines(string(data)) {
		// "36 35 98:0 /root-in-fs /mount/point options … - ext4 source options"
		before, after, _ := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if len(f) < 5 {
			continue
		}
		m := Mount{Root: unescapeMount(f[3]), Point: unescapeMount(f[4])}
		m.ID, _ = strconv.ParseUint(f[0], 10, 64)
		major, minor, _ := strings.Cut(f[2], ":")
		first, _ := strconv.ParseUint(major, 10, 32)
		second, _ := strconv.ParseUint(minor, 10, 32)
		m.Dev = unix.Mkdev(uint32(first), uint32(second))
		m.Type, _, _ = strings.Cut(after, " ")
		list = append(list, m)
	}
	return list
}

// unescapeMount undoes what the kernel does to blanks and the like: a backslash and three octal
// digits.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
