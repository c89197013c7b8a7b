package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// umask judges the mode mask. Step 10 of daemon(7) is umask(0), so that the
// daemon's own modes apply; we set 0022, because few programs give modes with
// that in mind and files that everybody may write are the result. Both are right;
// what nobody chooses on purpose is not.
func (f *facts) umask() finding {
	const owner, othersWrite = 0o700, 0o002
	mask := f.status.Umask
	switch {
	case mask < 0:
		return unseenf("the kernel does not show it (it does since Linux 4.7)")
	case mask == 0:
		return passf("umask 0000: the modes that the program gives apply")
	case mask&owner != 0:
		return failf("umask %04o takes rights away from the owner: the daemon cannot use what it makes", mask)
	case mask&othersWrite == 0:
		return failf("umask %04o is not 0, and lets everybody write what the daemon makes", mask)
	}
	return passf("umask %04o: nobody else may write what the daemon makes", mask)
}

// workingDirectory judges cwd: a daemon in a directory of a mounted file
// system keeps it from being unmounted.
func (f *facts) workingDirectory() finding {
	if f.cwdErr != nil {
		return mayNotLook("its working directory", f.cwdErr)
	}
	dir := clean(f.cwdPath)
	switch {
	case strings.HasSuffix(f.cwdPath, " (deleted)"):
		return failf("%s: the directory is gone", dir)
	case f.cwd.Dev == f.root.Dev && f.cwd.Inode == f.root.Inode && f.rootPath == "/":
		return passf("/")
	case f.cwd.Dev == f.root.Dev && f.cwd.Inode == f.root.Inode:
		return passf("%s, which is its root directory (chroot)", dir)
	}
	switch point := f.mountPoint(); point {
	case "":
		return unseenf("%s, on a file system that is not in its mountinfo", dir)
	case "/":
		return passf("%s, on the root file system, which is never unmounted", dir)
	default:
		return failf("%s keeps the file system mounted at %s busy", dir, clean(point))
	}
}

// mountPoint finds where the file system of cwd is mounted: by the mount id,
// on kernels that tell it (5.8), else by the device number.
func (f *facts) mountPoint() string {
	point := ""
	for line := range bytes.Lines(f.mounts) {
		// "36 35 98:0 /root-in-fs /mount/point options …" (proc_pid_mountinfo(5)).
		fields := strings.Fields(string(line))
		if len(fields) < 5 {
			continue
		}
		if f.cwd.Mount != 0 {
			if fields[0] == strconv.FormatUint(f.cwd.Mount, 10) {
				return unescape(fields[4])
			}
			continue
		}
		at := unescape(fields[4])
		if fields[2] == device(f.cwd.Dev) && strings.HasPrefix(f.cwdPath+"/", strings.TrimSuffix(at, "/")+"/") && len(at) > len(point) {
			point = at
		}
	}
	return point
}

// device writes a number of makedev(3) as mountinfo does.
func device(dev uint64) string {
	return fmt.Sprintf("%d:%d", dev>>8&0xfff|dev>>32&^0xfff, dev&0xff|dev>>12&0xffffff00)
}

// unescape undoes the octal escapes of mountinfo for blank, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// pidFile judges the file that should name the process. The best proof is a
// lock that the process itself holds: it ends with the process, whatever the file says.
func (f *facts) pidFile() finding {
	path := f.options.PIDFile
	if path == "" {
		if path = f.openPIDFile(); path == "" {
			return unseenf("no pid file was named, and it holds none open")
		}
	}
	pid, file, err := readPIDFile(path)
	name := clean(path)
	switch {
	case err != nil:
		return failf("%v", err)
	case pid != f.stat.PID:
		return failf("%s names %d", name, pid)
	case file.Mode&0o002 != 0:
		return failf("%s names it, but everybody may write there (mode %04o)", name, file.Mode&0o7777)
	}
	for _, fd := range f.fds {
		if fd.File.Dev != file.Dev || fd.File.Inode != file.Inode || len(fd.LockedBy) == 0 {
			continue
		}
		return passf("%s names it, and its descriptor %d holds a lock on it", name, fd.Number)
	}
	const slack = 2 * time.Second // file systems that keep whole seconds, and a clock that is being slewed
	if file.Modify.Before(f.started.Add(-slack)) {
		return failf("%s names it, but was written %s before it started: for an earlier process of this number, unless the clock was set",
			name, f.started.Sub(file.Modify).Round(time.Second))
	}
	return passf("%s names it and was written since it started; no lock on it is seen", name)
}

// openPIDFile returns the path of a descriptor that looks like a pid file.
func (f *facts) openPIDFile() string {
	for _, fd := range f.fds {
		if fd.Number > 2 && fd.File.Is(syscall.S_IFREG) && strings.HasSuffix(fd.Target, ".pid") {
			return fd.Target
		}
	}
	return ""
}

// readPIDFile reads the number at the start of a pid file. It follows no link
// in the last component and does not wait for the writer of a FIFO: the path may
// be a trap.
func readPIDFile(path string) (int, sys.FileStat, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, sys.FileStat{}, err
	}
	if !info.Mode().IsRegular() {
		return 0, sys.FileStat{}, fmt.Errorf("%s is not a regular file", clean(path))
	}
	file, err := sys.Statx(path)
	if err != nil {
		return 0, sys.FileStat{}, err
	}
	text, err := readStart(path)
	if err != nil {
		return 0, sys.FileStat{}, err
	}
	line, _, _ := strings.Cut(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return 0, sys.FileStat{}, fmt.Errorf("%s names no process: %q", clean(path), line)
	}
	return pid, file, nil
}

func readStart(path string) (text string, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	const enough = 64 // a number and what some programs write behind it
	data, err := io.ReadAll(io.LimitReader(file, enough))
	return string(data), err
}
