package proctest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// system is what the kernel held for the tests at some moment.
type system struct {
	fds   map[int]string
	procs []process
}

func systemBefore(t testing.TB) system {
	t.Helper()
	fds, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return system{fds: fds, procs: family()}
}

// family returns the processes that the tests have started and that were
// adopted from them, without the test process itself.
func family() []process {
	self := os.Getpid()
	if initPID == 0 {
		return descendants(self)
	}
	return slices.DeleteFunc(descendants(initPID), func(p process) bool { return p.pid == self })
}

func (s system) check(t testing.TB) {
	t.Helper()
	var left []string
	var procs []process
	if poll(leaveTime, func() error {
		procs = s.newProcesses()
		return anyLeft(lines(procs))
	}) != nil {
		left = lines(procs)
		for _, p := range procs {
			kill(p)
		}
		t.Errorf("%d processes left (killed):\n\t%s", len(left), strings.Join(left, "\n\t"))
	}
	if poll(leaveTime, func() error {
		left = s.newDescriptors(t)
		return anyLeft(left)
	}) != nil {
		t.Errorf("%d descriptors left open or changed:\n\t%s",
			len(left), strings.Join(left, "\n\t"))
	}
}

func (s system) newProcesses() []process {
	return slices.DeleteFunc(family(), func(p process) bool {
		return slices.ContainsFunc(s.procs,
			func(q process) bool { return p.pid == q.pid && p.start == q.start })
	})
}

func lines(procs []process) []string {
	var list []string
	for _, p := range procs {
		list = append(list, p.String())
	}
	return list
}

// newDescriptors lists the descriptors that were opened, closed or replaced.
// The runtime's poller opens an epoll and an eventfd at the first use of a pipe
// or socket and keeps them.
func (s system) newDescriptors(t testing.TB) []string {
	t.Helper()
	now, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for fd, target := range now {
		poller := target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]"
		if s.fds[fd] != target && !poller {
			left = append(left, fmt.Sprintf("%d → %s (before: %q)", fd, target, s.fds[fd]))
		}
	}
	for fd, target := range s.fds {
		if now[fd] == "" {
			left = append(left, fmt.Sprintf("%d → closed (before: %q)", fd, target))
		}
	}
	slices.Sort(left)
	return left
}

// kill ends a process of the family, after making sure that it is still the one meant.
func kill(p process) {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return
	}
	defer handle.Release()
	if now, err := readProcess(p.pid); err == nil && now.start == p.start {
		_ = handle.Signal(syscall.SIGKILL) // gone is as good as killed
	}
}
