package sys

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func BootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	return id, wrap("sysctl kern.bootsessionuuid", err)
}

func kinfo(pid int) (*unix.KinfoProc, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("read process %d: %w", pid, syscall.EINVAL)
	}
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		// For a pid without a process the kernel answers with nothing, which
		// x/sys reports as EIO.
		if !exists(pid) {
			err = syscall.ESRCH
		}
		return nil, fmt.Errorf("sysctl kern.proc.pid.%d: %w", pid, err)
	}
	return k, nil
}

func ReadStat(pid int) (ProcStat, error) {
	k, err := kinfo(pid)
	if err != nil {
		return ProcStat{}, err
	}
	session, err := unix.Getsid(pid)
	if err != nil {
		return ProcStat{}, wrap("getsid", err)
	}
	s := ProcStat{
		PID: pid, Comm: unix.ByteSliceToString(k.Proc.P_comm[:]), State: stateLetter(k.Proc.P_stat),
		PPID: int(k.Eproc.Ppid), PGRP: int(k.Eproc.Pgid), Session: session,
		TPGID:     int(k.Eproc.Tpgid),
		StartTime: uint64(k.Proc.P_starttime.Sec)*1e6 + uint64(k.Proc.P_starttime.Usec),
	}
	if k.Eproc.Tdev != -1 { // NODEV: no controlling terminal
		s.TTYNr = int(k.Eproc.Tdev)
	}
	return s, nil
}

// stateLetter turns p_stat of <sys/proc.h> into the letters of proc(5).
func stateLetter(p int8) byte {
	const letters = "\x00IRSTZ" // SIDL 1, SRUN 2, SSLEEP 3, SSTOP 4, SZOMB 5
	if p < 0 || int(p) >= len(letters) {
		return 0
	}
	return letters[p]
}

func StartedAt(s ProcStat) (time.Time, error) { return time.UnixMicro(int64(s.StartTime)), nil }

func ReadUserIDs(pid int) (UserIDs, error) {
	k, err := kinfo(pid)
	if err != nil {
		return UserIDs{}, err
	}
	return UserIDs{
		Real:      int(k.Eproc.Pcred.P_ruid),
		Effective: int(k.Eproc.Ucred.Uid),
		Saved:     int(k.Eproc.Pcred.P_svuid),
	}, nil
}
