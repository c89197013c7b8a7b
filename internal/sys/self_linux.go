package sys

import (
	"os"
	"syscall"
)

// selfLink executes the image even if no name leads to it any more (proc_pid_exe(5)).
const selfLink = "/proc/self/exe"

func firstThread() bool { return syscall.Gettid() == os.Getpid() }

func self() (string, error) {
	name, err := os.Readlink(selfLink)
	if err != nil {
		return "", err // no /proc: there is no other way to be sure of it
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
