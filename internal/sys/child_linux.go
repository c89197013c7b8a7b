package sys

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Children lists the pids of this process's children, of all its threads. It needs
// CONFIG_PROC_CHILDREN (Linux 3.5; 4.2 with checkpoint/restore off) and is unsupported elsewhere.
func Children() ([]int, error) { return ChildrenOf(os.Getpid()) }

// ChildrenOf lists the pids of the children of process pid, of all its threads; none if it has
// ended. Where it cannot be told the error is as for Children.
func ChildrenOf(pid int) ([]int, error) {
	tasks := procDir(pid) + "/task"
	threads := []int{pid}
	var st unix.Stat_t
	// A directory's links are its entries and two more: with one thread, there is nothing to list.
	if err := unix.Stat(tasks, &st); err != nil || st.Nlink != 3 {
		if threads, err = numbersIn(tasks); Gone(err) && pid != os.Getpid() {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	var pids []int
	var buf []byte
	for _, t := range threads {
		b, err := readWhole(tasks+"/"+strconv.Itoa(t)+"/children", buf)
		switch {
		case err != nil && t == pid && exists(pid):
			return nil, err // the main thread is always there: the kernel has no such file
		case err != nil:
			continue // a thread that has ended since
		}
		buf = b
		if pids, err = appendPIDs(pids, b); err != nil {
			return nil, fmt.Errorf("read %s/%d/children: %w", tasks, t, err)
		}
	}
	return pids, nil
}

// ChildrenOfThread lists those that one thread of process pid has started or has been given; none
// if it has ended, or if the kernel has no such list.
func ChildrenOfThread(pid, tid int) ([]int, error) {
	data, err := ReadKernelFile(procDir(pid) + "/task/" + strconv.Itoa(tid) + "/children")
	if Gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return appendPIDs(nil, data)
}

func appendPIDs(pids []int, data []byte) ([]int, error) {
	for field := range bytes.FieldsSeq(data) {
		pid, err := strconv.Atoi(string(field))
		if err != nil {
			return pids, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// DescendantsOf lists the pids of the children of process pid, and of theirs, and so on. Those
// whose parents have ended are not among them. The error is as for Children; those that could be
// seen are listed all the same.
func DescendantsOf(pid int) (list []int, err error) {
	list, err = ChildrenOf(pid)
	for i := 0; i < len(list) && len(list) < mostFollowed; i++ {
		more, moreErr := ChildrenOf(list[i])
		list = append(list, more...)
		err = cmp.Or(err, moreErr)
	}
	return list, err
}

// WaitAnyExit waits until a child of this process has died and leaves it to be reaped. Without
// children it returns ECHILD. Where waitid(2) is not to be had (darwin, the BSDs), it returns at
// the death of a child or after a short while, whichever comes first.
func WaitAnyExit() error {
	return wrap("waitid", retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}))
}

// siPID is where siginfo_t has si_pid: after three ints, at the alignment of a pointer
// (asm-generic/siginfo.h).
const siPID = (12 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)

// DeadChild returns the pid of a child of this process that has died, and leaves it to be reaped,
// so that the number stays its own; 0 if there is none. Without children it returns ECHILD. The
// error wraps errors.ErrUnsupported where waitid(2) is not to be had (darwin, the BSDs).
func DeadChild() (pid int, err error) {
	var info unix.Siginfo
	err = retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil {
		return 0, wrap("waitid", err)
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), siPID))), nil
}

// ZombieStatus returns how process pid ended, of which h is held, as long as its parent has not
// reaped it: the kernel shows it in field 52 of /proc/PID/stat (Linux 3.5) to who may trace the
// process, and a 0 to everybody else. Once it is reaped, BarePidfd.ExitStatus tells. That it is
// known here is proven: a 0 by the permission, and whose it is by h, which still finds a process
// there after the look.
//
// Where a leader had ended by pthread_exit(3) before the others, its own status may be shown
// instead of that of the process.
func ZombieStatus(h BarePidfd, pid int) (status syscall.WaitStatus, known bool, err error) {
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
