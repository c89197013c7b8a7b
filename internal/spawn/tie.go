package spawn

import (
	"errors"
	"runtime"

	"github.com/daemonry/daemonry/internal/sys"
)

// tie ends a newborn daemon with its watcher: the launcher and the watcher may be killed together,
// and then nobody is left who could end what has not said yet that it is up. The kernel does it
// (PR_SET_PDEATHSIG), at the wish of one thread, which is kept for that: only it can take the wish
// back. To ask all threads instead (syscall.AllThreadsSyscall) would stop the program until the
// last of them answers, and one that waits for a dead file server does not.
type tie struct {
	wishes chan sys.Signal
	done   chan error
}

func newTie() *tie {
	t := &tie{make(chan sys.Signal), make(chan error)}
	sys.OnThread(t.keepUntilReady)
	return t
}

// keepUntilReady has a name that says what it is to who reads the stacks of a program that broke
// off. It waits in a channel, so that the runtime finds a deadlock of all others.
func (t *tie) keepUntilReady() {
	for sig := range t.wishes {
		t.done <- sys.SetParentDeathSignal(sig)
	}
}

func (t *tie) set(sig sys.Signal) error {
	t.wishes <- sig
	return <-t.done
}

// cut takes the wish back.
func (t *tie) cut() error {
	err := t.set(0)
	if err == nil {
		close(t.wishes)
	}
	return err
}

var errUnwatched = errors.New("the process that watches over the launch is gone")

// Tie ends this process by SIGKILL if the watcher ends before Untie. A newborn daemon is tied; a
// change of user takes that back (prctl(2)), after which it is to be tied again. Only Linux;
// elsewhere nothing happens.
func (b *Born) Tie() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	if b.tie == nil {
		b.tie = newTie()
	}
	if err := b.tie.set(sys.SIGKILL); err != nil {
		return err
	}
	// Nothing is sent to a daemon: what could be read is the end.
	if n, err := b.channel.Peek(make([]byte, 1)); n == 0 && err == nil || isGone(err) {
		return errUnwatched
	}
	return nil
}

// Untie lets go of the watcher, which ends when the launch does. After an error it is to be called
// again.
func (b *Born) Untie() error {
	if b.tie == nil {
		return nil
	}
	err := b.tie.cut()
	if err == nil {
		b.tie = nil
	}
	return err
}
