package supervise

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// kernel is what the engine needs of the system, for tests to replace.
type kernel struct {
	start      func(*spawn.Spec) (int, error)
	reap       func() (pid int, status exitStatus, err error) // pid 0: none is dead
	kill       func(pid int, sig syscall.Signal) error
	children   func() ([]int, error)
	stat       func(pid int) (sys.ProcStat, error)
	invocation func(pid int) (string, error)           // INVOCATION_ID of a process, "" without one
	watch      func() (<-chan struct{}, func(), error) // of dead children
	random     func() float64
}

// waitDead reaps one dead child, without waiting for it.
func waitDead() (int, exitStatus, error) {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, exitStatus{}, os.NewSyscallError("wait4", err)
		}
		return pid, exitStatus{status: status, usage: usageOf(usage), at: time.Now()}, nil
	}
}

func usageOf(u syscall.Rusage) Usage {
	return Usage{
		User:   time.Duration(u.Utime.Nano()),
		System: time.Duration(u.Stime.Nano()),
		MaxRSS: int64(u.Maxrss) * 1024, // kilobytes on Linux (getrusage(2))
	}
}

// readInvocation reads INVOCATION_ID from the environment that a process was started with.
func readInvocation(pid int) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return "", err
	}
	for _, kv := range bytes.Split(b, []byte{0}) {
		if id, ok := bytes.CutPrefix(kv, []byte("INVOCATION_ID=")); ok {
			return string(id), nil
		}
	}
	return "", nil
}

// realKernel is the system itself.
func realKernel() kernel {
	return kernel{
		start:      spawn.Start,
		reap:       waitDead,
		kill:       syscall.Kill,
		children:   sys.Children,
		stat:       sys.ReadStat,
		invocation: readInvocation,
		watch:      watchChildren,
		random:     rand.Float64,
	}
}

// watchChildren makes orphans ours and tells when a child has died.
func watchChildren() (<-chan struct{}, func(), error) {
	if err := sys.BecomeSubreaper(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, err
	}
	signals := make(chan os.Signal, 1) // one is enough: each makes us look for all
	signal.Notify(signals, syscall.SIGCHLD)
	died := make(chan struct{})
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case died <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return died, func() { signal.Stop(signals); close(done) }, nil
}
