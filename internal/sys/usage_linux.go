package sys

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// userTick is one unit of the times in /proc/PID/stat.
const userTick = time.Second / userHz

func readUsage(pid int) (Usage, error) {
	data, err := readProc(pid, "stat")
	if err != nil {
		return Usage{}, err
	}
	u := Usage{}
	if u.CPU, err = parseCPU(data); err != nil {
		return Usage{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	u.Memory, err = residentMemory(pid)
	return u, err
}

// parseCPU returns the sum of utime and stime, fields 14 and 15 of
// proc_pid_stat(5). For the parenthesis see parseStat.
func parseCPU(stat []byte) (time.Duration, error) {
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, errStatFormat
	}
	var sum time.Duration
	for _, text := range f[11:13] {
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return 0, errStatFormat
		}
		sum += time.Duration(n) * userTick
	}
	return sum, nil
}
