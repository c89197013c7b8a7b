package sys

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func children() ([]int, error) { return childrenOf(os.Getpid()) }

func childrenOf(pid int) ([]int, error) {
	name := strconv.Itoa(pid)
	tasks := "/proc/" + name + "/task"
	threads := []string{name}
	var st unix.Stat_t
	// A directory's links are its entries and two more: with one thread, there is nothing to list.
	if err := unix.Stat(tasks, &st); err != nil || st.Nlink != 3 {
		if threads, err = readNames(tasks); Gone(err) && pid != os.Getpid() {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	var pids []int
	var buf []byte
	for _, t := range threads {
		b, err := readWhole(tasks+"/"+t+"/children", buf)
		switch {
		case err != nil && t == name && exists(pid):
			return nil, err // the main thread is always there: the kernel has no such file
		case err != nil:
			continue // a thread that has ended since
		}
		buf = b
		for field := range bytes.FieldsSeq(b) {
			child, err := strconv.Atoi(string(field))
			if err != nil {
				return nil, fmt.Errorf("read %s/%s/children: %w", tasks, t, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

func descendantsOf(pid int) (list []int, err error) {
	list, err = childrenOf(pid)
	for i := 0; i < len(list) && len(list) < mostFollowed; i++ {
		more, moreErr := childrenOf(list[i])
		list = append(list, more...)
		err = cmp.Or(err, moreErr)
	}
	return list, err
}

func waitAnyExit() error {
	return wrap("waitid", retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}))
}
