package sys

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// nice: the system call itself returns 20 less the value, so that none is negative.
func nice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, wrap("getpriority", err)
}

func setNiceOfAll(n int) error {
	seen := map[string]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			if seen[t.Name()] {
				continue
			}
			seen[t.Name()], more = true, true // one that is made meanwhile may have the old value
			tid, err := strconv.Atoi(t.Name())
			if err == nil {
				err = unix.Setpriority(unix.PRIO_PROCESS, tid, n)
			}
			if err != nil && err != unix.ESRCH {
				return wrap("setpriority", err)
			}
		}
	}
	return nil
}

func oomScoreAdj() (int, error) {
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(b)))
}
