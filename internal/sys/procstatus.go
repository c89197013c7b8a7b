package sys

import (
	"fmt"
	"syscall"
)

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

// ReadStatus reads /proc/PID/status, with the errors of ReadStat.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ReadStatus(pid int) (ProcStatus, error) { return readStatus(pid) }

// BlockedEverywhere returns the signals that every thread of the process
// blocks. One thread alone proves nothing: programs block signals in all
// threads but the one that waits for them, and libraries block everything for the moment
// of a fork or of the creation of a thread.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func BlockedEverywhere(pid int) (SignalSet, error) { return blockedEverywhere(pid) }

// Signals lists the members of the set in ascending order.
func (s SignalSet) Signals() []syscall.Signal {
	var list []syscall.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		if s.Has(sig) {
			list = append(list, sig)
		}
	}
	return list
}

// SignalName returns the name of sig with its prefix ("SIGTERM"). The real-time
// signals of Linux are counted from 34, as the C libraries do, which keep the
// first two or three of the kernel's for themselves.
func SignalName(sig syscall.Signal) string {
	if name := signalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
