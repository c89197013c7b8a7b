package sys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func zombieStatus(h BarePidfd, pid int) (syscall.WaitStatus, bool, error) {
	data, err := readProc(pid, "stat")
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, ErrHidden) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	stat, err := parseStat(data)
	if err != nil {
		return 0, false, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const exitCode = 52 - 3 // the first of the fields is the third of proc(5)
	if stat.PID != pid || !stat.Exited() || len(fields) <= exitCode {
		return 0, false, nil
	}
	code, err := strconv.ParseUint(string(fields[exitCode]), 10, 16)
	if err != nil {
		return 0, false, fmt.Errorf("read /proc/%d/stat: exit code: %w", pid, err)
	}
	if code == 0 && !mayTraceZombie(pid) {
		return 0, false, nil
	}
	switch err := h.Signal(0); {
	case errors.Is(err, syscall.ESRCH):
		return 0, false, nil // reaped meanwhile: the file may have been another process's
	case err != nil:
		return 0, false, err
	}
	return syscall.WaitStatus(code), true, nil
}

// mayTraceZombie says whether field 52 is shown to us. The link is guarded by the same check
// (PTRACE_MODE_READ_FSCREDS); of a zombie, which executes nothing, it leads nowhere.
func mayTraceZombie(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return errors.Is(err, syscall.ENOENT)
}
