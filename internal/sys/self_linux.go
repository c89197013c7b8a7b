package sys

import (
	"fmt"
	"os"
	"syscall"
)

// selfLink executes the image even if no name leads to it any more (proc_pid_exe(5)).
const selfLink = "/proc/self/exe"

func firstThread() bool { return syscall.Gettid() == os.Getpid() }

func self() (string, error) {
	name, err := os.Readlink(selfLink)
	if err != nil {
		if _, gone := os.Stat("/proc/self"); gone != nil {
			err = fmt.Errorf("%w: /proc is not mounted", err) // there is no other way to be sure of it
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
