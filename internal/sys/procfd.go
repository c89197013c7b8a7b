package sys

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// FD is one open descriptor of a process, as /proc/PID/fd and
// /proc/PID/fdinfo show it.
type FD struct {
	Number int
	Target string // what the link names: a path (perhaps with " (deleted)"), "socket:[INO]", "anon_inode:…"
	Flags  int    // open(2) flags, O_CLOEXEC included, in the numbers of this platform
	File   FileStat
	// LockedBy are the pids of the processes that took the flock(2) and
	// fcntl(2) locks shown for this open file; -1 stands for an open file
	// description lock, which belongs to no process (Linux 4.1).
	LockedBy []int
	Signals  SignalSet // what a signalfd takes; empty for all others
}

// CloseOnExec says whether execve(2) closes the descriptor, so that it cannot
// have been inherited through one.
func (f FD) CloseOnExec() bool { return f.Flags&closeOnExecFlag != 0 }

// Readable says whether the descriptor can be read from.
func (f FD) Readable() bool {
	return !f.pathOnly() && (f.access() == syscall.O_RDONLY || f.access() == syscall.O_RDWR)
}

// Writable says whether the descriptor can be written to.
func (f FD) Writable() bool {
	return !f.pathOnly() && (f.access() == syscall.O_WRONLY || f.access() == syscall.O_RDWR)
}

func (f FD) access() int    { return f.Flags & (syscall.O_RDONLY | syscall.O_WRONLY | syscall.O_RDWR) }
func (f FD) pathOnly() bool { return f.Flags&pathOnlyFlag != 0 }

// FlagNames returns the access mode and the flags that matter to a daemon, in
// the notation of open(2): "O_WRONLY|O_APPEND".
func (f FD) FlagNames() string {
	names := []string{[]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[f.access()&3]}
	if f.pathOnly() {
		names = []string{"O_PATH"}
	}
	if f.Flags&syscall.O_APPEND != 0 {
		names = append(names, "O_APPEND")
	}
	if f.Flags&syscall.O_NONBLOCK != 0 {
		names = append(names, "O_NONBLOCK")
	}
	if f.CloseOnExec() {
		names = append(names, "O_CLOEXEC")
	}
	return strings.Join(names, "|")
}

// FileStat is the part of statx(2) that tells what an open file is.
type FileStat struct {
	Mode                   uint32 // type and permission bits, as st_mode
	Dev, Inode, Rdev       uint64 // device numbers as made by makedev(3)
	UID                    uint32
	Size                   int64
	Access, Modify, Change time.Time
	Birth                  time.Time // zero where the file system does not know
	Mount                  uint64    // mount id; 0 when unknown (before Linux 5.8)
}

// Is says whether the file is of the type typ, one of syscall.S_IFREG,
// S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK.
func (s FileStat) Is(typ uint32) bool { return s.Mode&syscall.S_IFMT == typ }

// ReadFDs lists the open descriptors of a process in ascending order.
// Descriptors that are closed meanwhile are left out. Without the right to look
// (ptrace(2), "access mode checking") the error wraps fs.ErrPermission.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ReadFDs(pid int) ([]FD, error) { return readFDs(pid) }

// Statx looks at path, following links, /proc's own included, without asking a
// remote server (AT_STATX_DONT_SYNC, Linux 4.11): a descriptor on a dead NFS server
// must not hang the one who looks.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func Statx(path string) (FileStat, error) { return statx(path) }

// TerminalDevice says whether a character device with this number is a
// terminal that a session could have as its own: every tty driver of /proc/tty/drivers but the
// masters of pseudo-terminals.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func TerminalDevice(rdev uint64) (bool, error) { return terminalDevice(rdev) }

// Gone says whether err means that a process (or its directory in /proc) is
// not there: ENOENT from an open, ESRCH from a read that came after its end.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
