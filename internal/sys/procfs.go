package sys

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// Doing is what a look has found.
type Doing struct {
	// Running says that at this moment a thread runs, waits for a processor, or waits for a disk or
	// the like (states R and D of proc(5)); or that the process itself has ended, or is about to.
	Running bool
	// Used is the processor time used since the look before; 0 at the first.
	Used time.Duration
	// Waited is the longest that one of the threads has waited for a processor since the look
	// before; 0 at the first, and where the kernel does not tell (no CONFIG_SCHED_INFO). What is
	// still being waited for is told when it is over.
	Waited time.Duration
	// Changed says that processes, threads or, since Linux 6.2, descriptors have become more or
	// fewer since the look before. True at the first.
	Changed bool
	Threads int
}

// FD is one open descriptor of a process, as /proc/PID/fd and
// /proc/PID/fdinfo show it.
type FD struct {
	Number int
	Target string // a path (perhaps with " (deleted)"), "socket:[INO]", "anon_inode:…"
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

func (f FD) access() int { return f.Flags & (syscall.O_RDONLY | syscall.O_WRONLY | syscall.O_RDWR) }

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
	if f.Flags&O_NONBLOCK != 0 {
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

// Same says whether both are the same file.
func (s FileStat) Same(o FileStat) bool { return s.Dev == o.Dev && s.Inode == o.Inode }

// Is says whether the file is of the type typ, one of syscall.S_IFREG,
// S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK.
func (s FileStat) Is(typ uint32) bool { return s.Mode&syscall.S_IFMT == typ }

// Gone says whether err means that a process (or its directory in /proc) is
// not there: ENOENT from an open, ESRCH from a read that came after its end.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ESRCH)
}

// ErrHidden says that a process exists but its facts cannot be read: /proc is
// not mounted, or is mounted with hidepid (proc(5)), or belongs to another pid
// namespace.
var ErrHidden = errors.New("the process exists, but /proc does not show it")

// ProcStat is what the kernel tells about a process in one reading.
type ProcStat struct {
	PID     int
	Comm    string // at most 15 bytes; set by the program, so any bytes at all
	State   byte   // R, S, D, T, t, Z, X, I as in proc(5); 0 where unknown
	PPID    int
	PGRP    int
	Session int
	TTYNr   int // device number of the controlling terminal, 0 for none
	TPGID   int // foreground process group of that terminal, -1 for none
	Threads int
	// Unmapped says that its address space is gone: a process that is ending gives that up before
	// its descriptors (do_exit in kernel/exit.c). Kernel threads have none ever. Linux only.
	Unmapped  bool
	StartTime uint64 // Linux: clock ticks since boot (field 22); darwin: microseconds since 1970
}

// Exited reports whether the process has ended and only waits to be reaped.
// A leader that called pthread_exit is a zombie too, yet its process lives on
// in the other threads: hence the second condition.
func (s ProcStat) Exited() bool {
	return (s.State == 'Z' || s.State == 'X') && s.Threads <= 1
}

// UserIDs are the user ids of a process, as getresuid(2) names them.
type UserIDs struct{ Real, Effective, Saved int }

// SignalledBy reports whether kill(2) lets an ordinary user with this id signal
// the process.
func (u UserIDs) SignalledBy(uid int) bool { return uid == u.Real || uid == u.Saved }

// ProcStatus is what /proc/PID/status says of a process that check looks at
// (proc_pid_status(5)). A thread has a file of the same form.
type ProcStatus struct {
	Name    string     // comm, at most 15 bytes, as the kernel escapes it
	State   byte       // R, S, D, T, t, Z, X, I
	TGID    int        // the process that the thread belongs to: equal to its pid for a process
	PPID    int        // 0 when the parent is outside our pid namespace
	UID     [4]uint32  // real, effective, saved, file system
	GID     [4]uint32  // the same of the group
	Groups  []uint32   // supplementary groups
	Umask   int        // -1 when the kernel does not say (before Linux 4.7)
	Memory  bool       // it has an address space: false for a kernel thread and for a zombie
	Blocked SignalSet  // of the thread whose file it is
	Ignored SignalSet  // of the process
	Caught  SignalSet  // of the process
	CapPrm  CapSet     // permitted
	CapEff  CapSet     // effective
	CapBnd  CapSet     // bounding
	CapAmb  CapSet     // ambient (0 before Linux 4.3)
	NoNew   NoNewPrivs // unknown before Linux 4.10
}

// NoNewPrivs is the NoNewPrivs line of a ProcStatus.
type NoNewPrivs uint8

const (
	NoNewPrivsUnknown NoNewPrivs = iota
	NoNewPrivsOff
	NoNewPrivsOn
)

// Usage is what one process uses.
type Usage struct {
	CPU    time.Duration // user and system time since its start, in steps of 10ms
	Memory int64         // bytes, as ResidentMemory counts them
}

// NetSocket is one line of a table of sockets (NetSockets).
type NetSocket struct {
	Local, Remote InetAddr // of IPv4 and IPv6
	// of a Unix socket, as it was bound, "@name" if abstract; "" if it was not
	Name    string
	Kind    int  // of a Unix socket: syscall.SOCK_STREAM and so on
	Accepts bool // a Unix socket that listens
	State   SocketState
	UID     int    // who made it; of IPv4 and IPv6
	Inode   uint64 // 0: no process holds it, or has yet
}

// SocketState is the state of a socket: of TCP by tcp_states.h, and so of UDP, which is
// "established" when connected and else "closed"; of Unix sockets by net.h.
type SocketState uint8

const (
	TCPEstablished SocketState = 1
	TCPSynSent     SocketState = 2
	TCPSynReceived SocketState = 3
	TCPFinWait1    SocketState = 4
	TCPFinWait2    SocketState = 5
	TCPClosed      SocketState = 7
	TCPCloseWait   SocketState = 8
	TCPListen      SocketState = 10

	UnixConnecting SocketState = 2 // waits to be accepted
	UnixConnected  SocketState = 3
)

// Mount is one line of mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID          uint64
	Dev         uint64 // as FileStat has it
	Root, Point string // what is mounted, of its file system, and where
	Type        string // of file system
}
