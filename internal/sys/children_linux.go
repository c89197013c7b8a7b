package sys

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func children() ([]int, error) { return childrenOf(os.Getpid()) }

func childrenOf(pid int) ([]int, error) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(tasks)
	if Gone(err) && pid != os.Getpid() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, t := range threads {
		b, err := os.ReadFile(tasks + "/" + t.Name() + "/children")
		if err != nil {
			if t.Name() == strconv.Itoa(os.Getpid()) {
				return nil, err // the main thread is always there: the kernel has no such file
			}
			continue // a thread that has ended since
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func waitAnyExit() error {
	return wrap("waitid", retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}))
}
