package sys

import (
	"errors"
	"time"
)

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

// ReadStat reads the facts of process pid. The error wraps syscall.ESRCH when
// there is no such process and ErrHidden when there is one that may not be
// looked at.
func ReadStat(pid int) (ProcStat, error) { return readStat(pid) }

// StartedAt returns when the process started by today's wall clock. The kernel
// counts from boot, so a clock that was set since then shifts the answer: it is
// fit for showing to people, never for proving who a process is.
func StartedAt(s ProcStat) (time.Time, error) { return startedAt(s) }

// UserIDs are the user ids of a process, as getresuid(2) names them.
type UserIDs struct{ Real, Effective, Saved int }

// SignalledBy reports whether kill(2) lets an ordinary user with this id signal
// the process.
func (u UserIDs) SignalledBy(uid int) bool { return uid == u.Real || uid == u.Saved }

// ReadUserIDs reads the user ids of process pid, with the errors of ReadStat.
func ReadUserIDs(pid int) (UserIDs, error) { return readUserIDs(pid) }
