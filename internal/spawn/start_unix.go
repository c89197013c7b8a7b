//go:build unix

package spawn

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// startFromThread starts the target from a thread that has been made what the
// target should inherit: its signal mask, nice value, umask and working directory. Where a
// thread cannot be that, a stage is.
func startFromThread(d *description) (pid int, err error) {
	d.shared = true
	done := make(chan struct{})
	sys.OnThread(func() {
		defer close(done)
		pid, err = startApart(d)
	})
	<-done
	if errors.Is(err, errNeedsStage) {
		return startStage(d)
	}
	return pid, err
}

// errNeedsStage says that a thread of this process cannot be made what the target should inherit.
var errNeedsStage = errors.New("needs a stage")

// startApart starts the target from this thread, which gets a umask, a directory and a root of its own before.
func startApart(d *description) (int, error) {
	if threadsOwnFS {
		// Container engines forbid the call, as one that also makes namespaces (seccomp(2)).
		if err := sys.UnshareFS(); err != nil {
			return 0, errNeedsStage
		}
	}
	return startHere(d)
}

// startHere makes this thread, and where need be the process, what the target should inherit, and starts it.
func startHere(d *description) (int, error) {
	null, err := nullFile()
	if err != nil {
		return 0, fail(StepDescriptors, os.DevNull, err)
	}
	defer null.Close()
	if d.FailAt == StepDescriptors {
		return 0, fail(StepDescriptors, "", injected)
	}
	return applyAndFork(d, null)
}

func applyAndFork(d *description, null *os.File) (int, error) {
	if err := d.apply(); err != nil {
		return 0, err
	}
	return d.fork(null.Fd())
}

// startStage starts the target by way of a stage, whose pid it keeps.
func startStage(d *description) (int, error) {
	return startStageOn(d, func(fork func()) { fork() })
}

// startStageOn is startStage that forks on a thread of on's choice.
func startStageOn(d *description, on func(fork func())) (int, error) {
	if d.FailAt == StepStart {
		return 0, fail(StepStart, "", injected)
	}
	pid, c, err := 0, sys.Channel(-1), fail(StepStart, "", errors.New("the spawner is closed"))
	on(func() { pid, c, err = reexecInto(stageMagic, d.Session, d.Into) })
	if err != nil {
		return 0, err
	}
	defer c.Close()
	payload, files := d.encode()
	sendErr := sendFrame(c, frameSpec, payload, files...)
	kind, report, extra, err := recvFrame(c)
	closeAll(extra)
	executing := err == nil && kind == frameExecuting
	if executing {
		kind, report, extra, err = recvFrame(c)
		closeAll(extra)
	}
	switch {
	case err == io.EOF && executing:
		return pid, nil // close-on-exec closed the channel: the target runs
	case err == io.EOF && sendErr == nil:
		err = fail(StepStart, "", errors.New("the stage ended without a word"))
	case err == nil && kind == frameFailed:
		err = decodeError(report)
	case err == nil:
		err = fail(StepStart, "", errors.New("unexpected message"))
	case sendErr != nil:
		err = fail(StepStart, "", sendErr)
	default:
		err = fail(StepStart, "", err)
	}
	if died := reapFailed(pid); died != nil {
		return 0, died
	}
	return 0, err
}

// reapFailed reaps a stage that has failed and said so, or has died without a word.
func reapFailed(pid int) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		switch {
		case err != nil: // ECHILD: the program reaps all its children itself
			return nil
		case status.Exited() && (status.ExitStatus() == 0 || status.ExitStatus() == exitFailed):
			return nil
		}
		return fail(StepStart, "", errors.New(ExitOf(status).String()))
	}
}

// reexec starts this very binary as a stage. The magic is in the channel before
// the stage exists, so that it need not wait to know what it is.
func reexec(magic string, session bool) (pid int, c sys.Channel, err error) {
	return reexecInto(magic, session, nil)
}

// reexecInto is reexec for a stage that is born in a control group.
func reexecInto(magic string, session bool, group *os.File) (pid int, c sys.Channel, err error) {
	ours, theirs, err := sys.NewChannel()
	if err != nil {
		return 0, -1, fail(StepStart, "", err)
	}
	defer theirs.Close()
	if err = ours.Send([]byte(magic)); err == nil {
		pid, err = forkSelf(theirs, session, group)
	}
	if err != nil {
		return 0, -1, errors.Join(fail(StepStart, "", err), ours.Close())
	}
	return pid, ours, nil
}

func forkSelf(channel sys.Channel, session bool, group *os.File) (int, error) {
	self, err := sys.Self()
	if err != nil {
		return 0, err
	}
	// An empty environment: nothing in ours may steer the stage (GODEBUG, GOMAXPROCS, GOTRACEBACK …).
	attr := &syscall.SysProcAttr{Setsid: session}
	bearInto(attr, group)
	pid, err := syscall.ForkExec(self, []string{stageName}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(channel), 2, 2},
		Sys:   attr,
	})
	if isCgroupError(group, err) {
		return 0, fail(StepCgroup, group.Name(), err)
	}
	return pid, err
}
