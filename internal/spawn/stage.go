//go:build unix && !aix

package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// init is where this process finds out that it is a stage, or a newborn
// daemon: before main, so that neither runs any of it. Everything else costs a
// failed getsockopt(2), and nothing is left in the environment or the arguments, where
// grandchildren would find it.
//
// Package initialisation of what the program imports may have run before: Go orders packages by
// import path among those whose own imports are ready (Go spec, "Program initialization").
func init() {
	c := sys.Channel(0)
	kind, err := find(c, os.Args)
	if err != nil {
		refuse(c, kind, fmt.Errorf("take orders on standard input: %w", err))
	}
	switch kind {
	default:
		if len(os.Args) > 0 && os.Args[0] == stageName {
			// Running the program's main now would have it start the next stage, and so on without
			// end.
			lastResort(2, errors.New("started as a stage without a parent that speaks to it"))
		}
	case stageMagic:
		stage(kind, execute)
	case watcherMagic:
		stage(kind, watch)
	case intermediateMagic:
		stage(kind, intermediate)
	case birthMagic, successorMagic:
		if err := claimBirth(kind, c); err != nil {
			lastResort(2, fmt.Errorf("take over what the launcher sent: %w", err))
		}
		if born.Successor = kind == successorMagic; born.Successor {
			break
		}
		if err := born.Tie(); err != nil {
			lastResort(2, err)
		}
	}
}

// refuse ends this process because of orders that it does not take, and says so to whoever has
// given them, if that is one whom a stage would obey.
func refuse(c sys.Channel, kind string, err error) {
	newborn := kind == birthMagic || kind == successorMagic
	if newborn || errors.Is(err, errRefused) {
		lastResort(2, err)
	}
	if sendFrame(c, frameFailed, encodeError(fail(StepReceive, "", err))) != nil {
		lastResort(stageStderr, err)
	}
	syscall.Exit(StatusFailed) // the parent goes by the message
}

// starter is the one that started this stage, as far as it can be spoken to. Both ways move when
// the target's descriptors are put in their places: what is said by an old number would be said to
// the target's files.
type starter struct {
	channel sys.Channel
	stderr  int // for what cannot be said on the channel
}

// stageStderr is the descriptor by which a stage has the standard error of the one that started it:
// what it prints on descriptors 1 and 2 is read by that one (words).
const stageStderr = 3

// errStarterGone is the reason of a stage that stops because nobody would know of the target.
var errStarterGone = errors.New("the process that asked for it is gone")

// stage reads the description and hands over to what this stage is for. It does not return.
//
// Init functions run on the main thread, locked to it (runtime.main), so
// what is set per thread here stays with the thread that starts or executes the target.
func stage(kind string, run func(*starter, *description) error) {
	st := &starter{channel: 0, stderr: stageStderr}
	s, err := receive(kind, &st.channel)
	if err == nil {
		err = shed()
	}
	if err == nil {
		err = run(st, s)
	}
	if err != nil && sendFrame(st.channel, frameFailed, encodeError(err)) != nil {
		lastResort(st.stderr, err)
	}
	syscall.Exit(StatusFailed) // the parent goes by the message
}

// A stage ends by syscall.Exit, because the hooks of os.Exit belong to the program: the race
// detector's, for one, sleeps for a second.

// lastResort is for when there is nobody left to report to on the channel.
func lastResort(stderr int, err error) {
	fmt.Fprintf(os.NewFile(uintptr(stderr), "standard error"), "daemonry: %v\n", err)
	syscall.Exit(StatusFailed) // the parent goes by the message
}

// receive moves the channel out of the way of the target's descriptors and reads the description.
func receive(kind string, c *sys.Channel) (*description, error) {
	if err := sys.SealDescriptors(3); err != nil {
		return nil, fail(StepDescriptors, "", err)
	}
	fd, err := sys.DupAbove(int(*c), 3)
	if err != nil {
		return nil, fail(StepDescriptors, "", err)
	}
	*c = sys.Channel(fd)
	if err := nullStdin(); err != nil {
		return nil, err
	}
	o, err := take(kind, *c)
	if err != nil {
		return nil, fail(StepReceive, "", err)
	}
	s, err := decodeDescription(o.payload, o.files)
	if err != nil {
		return nil, fail(StepReceive, "", err)
	}
	if s.FailAt == StepReceive {
		return nil, fail(StepReceive, "", injected)
	}
	s.stderr = stageStderr
	return s, nil
}

// nullStdin puts /dev/null where the channel was: a descriptor in 0 to 2 that is
// free would be the next one opened.
func nullStdin() error {
	null, err := sys.OpenNull()
	if err != nil {
		return fail(StepDescriptors, os.DevNull, err)
	}
	defer null.Close()
	if err := sys.Dup2(int(null.Fd()), 0); err != nil {
		return fail(StepDescriptors, os.DevNull, err)
	}
	return nil
}

// execute is the stage that becomes the target. It returns only if it cannot.
func execute(st *starter, s *description) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // a collection may start threads, for which a limit may leave no room
	if err := s.arrangeDescriptors(st); err != nil {
		return err
	}
	env := s.environment(os.Getpid())
	s.reached = func(step Step, object string) { sayAt(st.channel, step, object) }
	if err := s.apply(); err != nil {
		return err
	}
	if s.FailAt == StepFork || s.FailAt == StepExec {
		return fail(s.FailAt, s.Path, injected)
	}
	// The end of the channel alone would also be what a stage leaves that was killed.
	err := sendFrame(st.channel, frameExecuting, nil)
	if isGone(err) {
		return &StepError{Step: StepExec, Object: s.Path, Err: errStarterGone}
	}
	if err != nil {
		return fail(StepExec, s.Path, err)
	}
	return s.execError(syscall.Exec(s.Path, s.Args, env))
}

// arrangeDescriptors puts every descriptor to pass at its number. The sources
// move above all targets first, so that none is overwritten before it is copied.
// They, and both ways to the starter, are close-on-exec; what is put in place is not.
func (s *description) arrangeDescriptors(st *starter) error {
	if s.FailAt == StepDescriptors {
		return fail(StepDescriptors, "", injected)
	}
	null, err := sys.OpenNull()
	if err != nil {
		return fail(StepDescriptors, os.DevNull, err)
	}
	top := 3
	for _, f := range s.fds {
		top = max(top, f.target+1)
	}
	above := func(fd int) int { // where it was, if that fails: there it is heard that it did
		if err == nil {
			var moved int
			if moved, err = sys.DupAbove(fd, top); err == nil {
				return moved
			}
		}
		return fd
	}
	st.channel = sys.Channel(above(int(st.channel)))
	st.stderr = above(st.stderr)
	nullAbove := above(int(null.Fd()))
	for i := range s.fds {
		s.fds[i].source = above(s.fds[i].source)
	}
	if s.hold >= 0 {
		above(s.hold) // held by that number, too: its own may be overwritten now
	}
	if err != nil {
		return fail(StepDescriptors, "", err)
	}
	for fd, source := range s.table(uintptr(nullAbove)) {
		if source == ^uintptr(0) {
			continue // whatever is there is close-on-exec
		}
		if err := sys.Dup2(int(source), fd); err != nil {
			return fail(StepDescriptors, fmt.Sprint(fd), err)
		}
	}
	return nil
}

// claimBirth is the newborn daemon's side of Spec.Birth, or the successor's of its handovers. The
// first file is what is to be standard input; of a birth the second is Birth.Crash, if the first
// byte of the payload says that there is one.
func claimBirth(kind string, c sys.Channel) error {
	crashFree := crashOutputFree()
	fd, err := sys.DupAbove(int(c), 3)
	if err != nil {
		return err
	}
	ch := sys.Channel(fd)
	o, err := take(kind, ch)
	if err == nil && len(o.files) == 0 {
		err = errors.New("no standard input")
	}
	if err != nil {
		return err
	}
	if err := sys.Dup2(o.files[0], 0); err != nil {
		return err
	}
	if err := sys.CloseFD(o.files[0]); err != nil {
		return err
	}
	born = &Born{channel: ch, Payload: o.payload}
	files := o.files[1:]
	if kind == birthMagic {
		if files, err = born.claimCrash(files, crashFree); err != nil {
			return err
		}
	}
	for _, f := range files {
		born.Files = append(born.Files, os.NewFile(uintptr(f), "inherited"))
	}
	if kind == successorMagic {
		return born.begin()
	}
	return nil
}

// claimCrash takes Birth.Crash out of the payload and the files.
func (b *Born) claimCrash(files []int, free bool) ([]int, error) {
	d := decoder{b: b.Payload}
	there := d.bool()
	b.Payload = d.b
	switch {
	case d.err != nil || there && len(files) == 0:
		return nil, errTruncated
	case there && free:
		return files[1:], b.setCrashOutput(files[0])
	case there:
		return files[1:], sys.CloseFD(files[0])
	}
	return files, nil
}
