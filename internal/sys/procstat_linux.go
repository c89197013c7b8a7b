package sys

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func readStat(pid int) (ProcStat, error) {
	data, err := readProc(pid, "stat")
	if err != nil {
		return ProcStat{}, err
	}
	s, err := parseStat(data)
	if err == nil && s.PID != pid {
		// /proc of another pid namespace: its numbers are not ours.
		err = fmt.Errorf("it tells of process %d: %w", s.PID, ErrHidden)
	}
	if err != nil {
		return ProcStat{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return s, nil
}

// readProc reads one file of a process and tells "no such process" from
// "not for you to see": both are ENOENT under hidepid=2.
func readProc(pid int, name string) ([]byte, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("read process %d: %w", pid, syscall.EINVAL)
	}
	path := "/proc/" + strconv.Itoa(pid) + "/" + name
	data, err := readWhole(path, nil)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, syscall.ESRCH): // it ended between open and read
		return nil, err
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		if !exists(pid) {
			return nil, fmt.Errorf("read %s: %w", path, syscall.ESRCH)
		}
		return nil, fmt.Errorf("read %s: %w", path, ErrHidden)
	}
	return nil, err
}

var errStatFormat = errors.New("not in the format of proc(5)")

// parseStat reads a line of /proc/PID/stat. The second field is the name in
// parentheses, and the name may hold spaces, parentheses and newlines; nothing
// after it can hold a parenthesis, so the name ends at the last one.
func parseStat(data []byte) (ProcStat, error) {
	left, right := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if left < 2 || right < left || data[left-1] != ' ' {
		return ProcStat{}, errStatFormat
	}
	s := ProcStat{Comm: string(data[left+1 : right])}
	f := bytes.Fields(data[right+1:])
	// f[0] is field 3 of proc(5), so field n is f[n-3].
	if len(f) < 20 || len(f[0]) != 1 {
		return ProcStat{}, errStatFormat
	}
	if s.State = f[0][0]; s.State < 'A' || s.State > 'z' {
		return ProcStat{}, errStatFormat
	}
	for _, n := range []struct {
		text []byte
		into *int
	}{
		{data[:left-1], &s.PID}, {f[1], &s.PPID}, {f[2], &s.PGRP}, {f[3], &s.Session},
		{f[4], &s.TTYNr}, {f[5], &s.TPGID}, {f[17], &s.Threads},
	} {
		v, err := strconv.ParseInt(string(n.text), 10, 32)
		if err != nil {
			return ProcStat{}, errStatFormat
		}
		*n.into = int(v)
	}
	var err error
	if s.StartTime, err = strconv.ParseUint(string(f[19]), 10, 64); err != nil {
		return ProcStat{}, errStatFormat
	}
	s.Unmapped = len(f) > 20 && string(f[20]) == "0" // vsize
	return s, nil
}

// userHz is the unit of times in /proc: USER_HZ, 100 on every architecture Go
// runs on (time(7)).
const userHz = 100

func startedAt(s ProcStat) (time.Time, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Time{}, wrap("clock_gettime", err)
	}
	age := time.Duration(ts.Nano()) - time.Duration(s.StartTime)*(time.Second/userHz)
	return time.Now().Add(-age), nil
}

func readUserIDs(pid int) (UserIDs, error) {
	st, err := readStatus(pid)
	if err != nil {
		return UserIDs{}, err
	}
	return UserIDs{Real: int(st.UID[0]), Effective: int(st.UID[1]), Saved: int(st.UID[2])}, nil
}
