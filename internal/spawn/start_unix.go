//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// startFromThread starts the target from a thread that has been made what the
// target should inherit: its signal mask, nice value, umask and working directory. Where a
// thread cannot be that, or should not (far), a stage is.
func startFromThread(ctx context.Context, d *description) (pid int, err error) {
	far, err := d.far(ctx)
	if err != nil {
		return 0, err
	}
	if far {
		return startStage(ctx, d)
	}
	a := newAttempt(d)
	sys.OnThread(func() { a.run(startApart) })
	if pid, err = a.outcome(ctx, nil); errors.Is(err, errNeedsStage) {
		return startStage(ctx, d)
	}
	return pid, err
}

// errNeedsStage says that a thread of this process cannot be made what the target should inherit.
var errNeedsStage = errors.New("needs a stage")

// startApart starts the target from this thread, which gets a umask, a directory and a root of its
// own before.
func startApart(d *description) (int, error) {
	if threadsOwnFS {
		// Container engines forbid the call, as one that also makes namespaces (seccomp(2)).
		if err := sys.UnshareFS(); err != nil {
			return 0, errNeedsStage
		}
	}
	return startHere(d)
}

// startHere makes this thread, and where need be the process, what the target should inherit, and
// starts it.
func startHere(d *description) (int, error) {
	null, err := sys.OpenNull()
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
func startStage(ctx context.Context, d *description) (int, error) {
	return startStageOn(ctx, d, func(fork func()) { fork() })
}

// startStageOn is startStage that forks on a thread of on's choice.
func startStageOn(ctx context.Context, d *description, on func(fork func())) (int, error) {
	if d.FailAt == StepStart {
		return 0, fail(StepStart, "", injected)
	}
	payload, files := d.encode()
	o := &orders{stageMagic, payload, files}
	var stage reborn
	err := fail(StepStart, "", errors.New("the spawner is closed"))
	on(func() { stage, err = reexec(ctx, o, d, d.Session, d.Into) })
	if err != nil {
		return 0, err
	}
	pid, c := stage.pid, stage.channel
	defer c.Close()
	defer stage.words.close()
	var at place
	uncut := cutShort(ctx, stage, 0, &at)
	kind, report, err := recvPast(c, frameAt, func(b []byte) {
		at.set(decodeAt(b))
		d.reach(decodeAt(b))
	})
	executing := err == nil && kind == frameExecuting
	if executing {
		at.set(StepExec, d.Path)
		d.reach(StepExec, d.Path)
		kind, report, err = recvFrame(c)
	}
	cut := uncut()
	switch {
	case cut != nil:
		return 0, alsoError(cut, reapKilled(pid))
	case err == io.EOF && executing:
		return pid, nil // close-on-exec closed the channel: the target runs
	case err == io.EOF || errors.Is(err, syscall.ECONNRESET):
		// reset: before it had taken its orders
		err = fail(StepStart, "", stage.words.after(errors.New("the stage ended without a word")))
	case err == nil && kind == frameFailed:
		err = decodeError(report)
	default:
		return 0, endUnheard(pid, d.Session, err)
	}
	if died := reapFailed(pid, stage.words); died != nil {
		return 0, died
	}
	return 0, err
}

func isOpen(fd int) bool { return sys.DescriptorOpen(fd) }

// endUnheard ends a stage of which nothing more can be learned, because its words cannot be
// received or understood: it may have become the target, which nobody would know of, and whose end
// would be waited for.
func endUnheard(pid int, session bool, why error) error {
	err := unheard(why)
	// It is not reaped, so the pid is its own.
	if killErr := sys.UnlessGone(sys.Kill(pid, syscall.SIGKILL)); killErr != nil {
		err = alsoError(err, fmt.Errorf("end process %d: %w", pid, killErr))
	}
	if session {
		killSession(pid)
	}
	return alsoError(err, reapKilled(pid))
}

// cutShort ends the stage that has the other end of the channel when ctx ends: it may obey, if it
// reads orders, for so long, and is killed. The function that it returns puts an end to that,
// before the stage can be reaped, and says why the stage was ended, if it was.
func cutShort(
	ctx context.Context, stage reborn, obey time.Duration, at *place,
) (uncut func() error) {
	var why error
	pid, c := stage.pid, stage.channel
	over, done := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		why = unstarted(ctx, c, stage.words, at)
		if obey > 0 && !heldBefore(pid, c) && sendFrame(c, frameKill, make([]byte, 8)) == nil {
			select {
			case <-over:
				return
			case <-time.After(obey):
			}
		}
		// It is not reaped, so the pid is its own. An error can only be that it has become another
		// user's process.
		if err := sys.Kill(pid, syscall.SIGKILL); err != nil {
			why = alsoError(why, fmt.Errorf("end process %d: %w", pid, err))
		}
		_ = c.CloseRead() // while it does not die, its end of the channel stays open
	})
	return func() error {
		if stop() {
			return nil
		}
		close(over)
		<-done
		return why
	}
}

// stopTime is how long a process may take to stop (SIGSTOP): it does so on its way out of the
// kernel, at once but for a sleep there.
const stopTime = time.Second

// heldBefore says whether a stage has not taken its orders, and so has started nothing. It takes
// none any more: it is stopped, for it could have taken them between the look and the signal that
// ends it, and what it has started would live. It takes them on its first thread, to which the
// runtime binds init, and whose state this is.
func heldBefore(pid int, c sys.Channel) bool {
	if unread, err := c.Unread(); !unread || err != nil {
		return false
	}
	if sys.Kill(pid, syscall.SIGSTOP) != nil {
		return false
	}
	for end := time.Now().Add(stopTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := sys.ReadStat(pid)
		if err != nil {
			break
		}
		if stat.State == 'T' || stat.State == 't' || stat.Exited() {
			if unread, err := c.Unread(); unread && err == nil {
				return true
			}
			break
		}
	}
	// gone, or of another user: then the stop was refused as well
	_ = sys.Kill(pid, syscall.SIGCONT)
	return false
}

// reapFailed reaps a stage that has failed and said so, or has died without a word but those.
func reapFailed(pid int, said words) error {
	status, err := sys.WaitChild(pid)
	switch {
	case err != nil: // ECHILD: the program reaps all its children itself
		return nil
	case status.Exited() && (status.ExitStatus() == 0 || status.ExitStatus() == StatusFailed):
		return nil
	}
	return fail(StepStart, "", said.after(errors.New(ExitOf(status).String())))
}

// reapKilled reaps a child that was killed, and does not wait for ever for one that does not die
// (state D of proc(5)): the error then is, or wraps, a *sys.StuckError, and the child is reaped
// when it does.
func reapKilled(pid int) error {
	p, err := sys.Pin(pid)
	if errors.Is(err, syscall.ESRCH) {
		_ = reapFailed(pid, words{}) // dead already, and how it ended is no news
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d was killed and cannot be waited for: %w", pid, err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer p.Close()
		_ = p.Wait(context.Background()) // without holding a thread; else the next one waits
		_ = reapFailed(pid, words{})     // it was killed, and how it ended is no news
	}()
	select {
	case <-gone:
		return nil
	case <-time.After(killedWait):
		return &sys.StuckError{
			What:     fmt.Sprintf("process %d", pid),
			Cause:    errKilled,
			Returned: gone,
		}
	}
}

// reexec starts this very binary as a stage of d, in a control group if that is not nil. All that
// it is to know is in the channel before it exists.
func reexec(
	ctx context.Context, o *orders, d *description, session bool, group *os.File,
) (stage reborn, err error) {
	self, err := ownFile(ctx)
	if err != nil {
		return reborn{}, &StepError{Step: StepStart, Err: err}
	}
	if stage.words, err = newWords(); err != nil {
		return reborn{}, fail(StepStart, "", err)
	}
	ours, theirs, err := o.give()
	if err != nil {
		stage.words.close()
		return reborn{}, err
	}
	defer theirs.Close()
	stage.channel = ours
	said := uintptr(d.stderr)
	if f := stage.words.file; f != nil {
		said = f.Fd()
	}
	files := []uintptr{uintptr(theirs), said, said, stageStderr: uintptr(d.stderr)}
	if stage.pid, err = forkSelf(self, files, session, group); err != nil {
		stage.words.close()
		return reborn{}, errors.Join(fail(StepStart, "", err), ours.Close())
	}
	return stage, nil
}

// ownFile finds the file that this process executes. It must answer now: execve(2) of one that does
// not cannot be given up (far).
func ownFile(ctx context.Context) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return sys.Within(ctx, "find the program's own file", func() (string, error) {
		self, err := Self()
		if err != nil {
			return "", err
		}
		if local, err := sys.LocalFS(self); err == nil && !local {
			_, _ = executedBy(self) // only the answer counts: what is wrong execve(2) says, too
		}
		return self, nil
	}, nil)
}

// stageEnvironment is what a stage sees of our environment: the packages of the program, and the
// libraries that it is linked to, may need theirs to be initialised at all (LD_LIBRARY_PATH, HOME).
// What steers the Go runtime, or is meant for this process alone, is not for it.
func stageEnvironment(env []string) []string {
	runtime := []string{
		"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR",
	}
	return slices.DeleteFunc(WithoutMarks(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(runtime, name)
	})
}

func forkSelf(self string, files []uintptr, session bool, group *os.File) (int, error) {
	attr := &syscall.SysProcAttr{Setsid: session}
	bearInto(attr, group)
	pid, err := syscall.ForkExec(self, []string{stageName}, &syscall.ProcAttr{
		Env:   stageEnvironment(os.Environ()),
		Files: files,
		Sys:   attr,
	})
	if isCgroupError(group, err) {
		return 0, fail(StepCgroup, group.Name(), err)
	}
	return pid, err
}
