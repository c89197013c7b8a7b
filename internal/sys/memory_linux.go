package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

func residentMemory(pid int) (int64, error) {
	b, err := readWhole("/proc/"+strconv.Itoa(pid)+"/statm", nil)
	if err != nil {
		return 0, err
	}
	// size resident shared …, in pages (proc_pid_statm(5)); shared are those of files and of shared
	// memory.
	f := bytes.Fields(b)
	if len(f) < 3 {
		return 0, fmt.Errorf("statm of process %d: %q", pid, b)
	}
	resident, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0, err
	}
	shared, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		return 0, err
	}
	return (resident - shared) * int64(os.Getpagesize()), nil
}
