package sys

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SetParentDeathSignal has the kernel send sig to the calling thread's process when the thread that
// forked it ends (PR_SET_PDEATHSIG, prctl(2)). It holds through execve(2), except of a program that
// is set-user-ID, set-group-ID or has file capabilities; a change of credentials takes it back, and
// it is not inherited. Who was too late for it has another parent now.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func SetParentDeathSignal(sig syscall.Signal) error {
	return wrap("prctl(PR_SET_PDEATHSIG)", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0))
}

// Nice is the nice value of the calling thread (getpriority(2)).
func Nice() (int, error) {
	// The system call itself returns 20 less the value, so that none is negative.
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, wrap("getpriority", err)
}

// SetNiceOfAll sets the nice value of every thread of the process: the kernel has one for each
// (setpriority(2), "C library/kernel differences"). Those that are made later have that of their
// maker.
func SetNiceOfAll(n int) error {
	seen := map[int]bool{}
	for more := true; more; {
		more = false
		threads, err := numbersIn("/proc/self/task")
		if err != nil {
			return err
		}
		for _, tid := range threads {
			if seen[tid] {
				continue
			}
			seen[tid], more = true, true // one that is made meanwhile may have the old value
			err := unix.Setpriority(unix.PRIO_PROCESS, tid, n)
			if err != nil && err != unix.ESRCH {
				return wrap("setpriority", err)
			}
		}
	}
	return nil
}

// OOMScoreAdj reads /proc/self/oom_score_adj.
func OOMScoreAdj() (int, error) {
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(b)))
}

// From linux/ioprio.h: the class sits above 13 bits of data.
const (
	ioprioWhoProcess = 1 // a thread, despite the name; 0 means the caller
	ioprioIdle       = 3 << 13
)

// LowerThread gives the calling thread the lowest CPU priority (nice 19) and, on
// Linux, the idle I/O class (ioprio_set(2)). There is no way back without
// privileges: the caller has locked its goroutine to the thread and never
// unlocks it, so the thread ends with the goroutine. Where priorities belong to processes
// only, nothing is changed and the error wraps errors.ErrUnsupported.
func LowerThread() error {
	// On Linux, against POSIX, PRIO_PROCESS with 0 is the calling thread alone (setpriority(2),
	// BUGS).
	err := retry(func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, 19) })
	if err != nil {
		return wrap("setpriority", err)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle); e != 0 {
		return wrap("ioprio_set", e)
	}
	return nil
}

// SetOOMScoreAdj sets /proc/self/oom_score_adj, -1000 to 1000; children inherit it.
func SetOOMScoreAdj(n int) error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(n)), 0)
}

// JoinCgroup moves the calling process into the control group at dir.
func JoinCgroup(dir string) error {
	// Without O_CREAT and O_TRUNC, which os.WriteFile would add: the file is the
	// kernel's, and a directory that is no control group must not get one.
	f, err := os.OpenFile(dir+"/cgroup.procs", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("0")
	return errors.Join(err, f.Close())
}

// BecomeSubreaper makes orphaned descendants children of this process instead of init's
// (PR_SET_CHILD_SUBREAPER, Linux 3.4; procctl(PROC_REAP_ACQUIRE) on FreeBSD is not used yet).
// Children do not inherit it.
func BecomeSubreaper() error {
	return wrap("prctl(PR_SET_CHILD_SUBREAPER)",
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// UnshareFS gives the calling thread a umask, working directory and root of its own.
// The thread must be held and never given back to the scheduler. Linux only.
func UnshareFS() error { return wrap("unshare(CLONE_FS)", unix.Unshare(unix.CLONE_FS)) }

// selfLink executes the image even if no name leads to it any more (proc_pid_exe(5)).
const selfLink = "/proc/self/exe"

func firstThread() bool { return syscall.Gettid() == os.Getpid() }

// Self returns a path that executes the running binary, also when its file has
// been deleted (go run) or replaced (an upgrade) since. Where the file is still the one that
// runs, it is that file's name, so that ps(1) shows a proper one.
func Self() (string, error) {
	name, err := os.Readlink(selfLink)
	if err != nil {
		if _, gone := os.Stat("/proc/self"); gone != nil {
			// there is no other way to be sure of it
			err = fmt.Errorf("%w: /proc is not mounted", err)
		}
		return "", err
	}
	running, err := os.Stat(selfLink)
	if err != nil {
		return "", err
	}
	if named, err := os.Stat(name); err == nil && os.SameFile(named, running) {
		return name, nil
	}
	return selfLink, nil
}

// LibraryOf returns the file that the code at pc was loaded from, if that is another than the
// program's: a shared library. It is "" if it is the program's, and if that cannot be told for
// certain: a program that unpacks itself has its code in no file, or in one in memory, and a file
// that was replaced is gone.
//
// Only Linux; elsewhere it is always "".
func LibraryOf(pc uintptr) string {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return ""
	}
	defer maps.Close()
	for s := bufio.NewScanner(maps); s.Scan(); {
		begin, rest, _ := strings.Cut(s.Text(), "-")
		end, _, _ := strings.Cut(rest, " ")
		from, err1 := strconv.ParseUint(begin, 16, 64)
		to, err2 := strconv.ParseUint(end, 16, 64)
		if err1 != nil || err2 != nil || uint64(pc) < from || uint64(pc) >= to {
			continue
		}
		i := strings.IndexByte(s.Text(), '/') // proc_pid_maps(5): the name comes last
		if i < 0 {
			return ""
		}
		name := strings.ReplaceAll(s.Text()[i:], `\012`, "\n")
		loaded, err1 := os.Stat(name)
		running, err2 := os.Stat(selfLink)
		if err1 != nil || err2 != nil || os.SameFile(loaded, running) {
			return ""
		}
		return name
	}
	return ""
}
