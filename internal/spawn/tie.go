package spawn

import (
	"errors"

	"github.com/daemonry/daemonry/internal/sys"
)

// tie ends a newborn daemon with its watcher: the launcher and the watcher may be killed together,
// and then nobody is left who could end what has not said yet that it is up. The kernel does it
// (PR_SET_PDEATHSIG), at the wish of one thread, which is kept for that: only it can take the wish
// back. It waits in a channel, so that the runtime still finds a deadlock of all other goroutines.
type tie struct {
	wishes chan sys.Signal
	done   chan error
}

func newTie() *tie {
	t := &tie{make(chan sys.Signal), make(chan error)}
	sys.OnThread(func() {
		for sig := range t.wishes {
			t.done <- sys.SetParentDeathSignal(sig)
		}
	})
	return t
}

// set asks for the signal, or with 0 for none.
func (t *tie) set(sig sys.Signal) error {
	t.wishes <- sig
	return sys.IfSupported(<-t.done)
}

var errUnwatched = errors.New("the process that watches over the launch is gone")

// Tie ends this process by SIGKILL if the watcher ends before Close. A newborn daemon is tied; a
// change of user takes that back (prctl(2)), after which it is to be tied again. Only Linux;
// elsewhere nothing happens.
func (b *Born) Tie() error {
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

// untie lets go of the watcher, which ends when the launch does.
func (b *Born) untie() error {
	if b.tie == nil {
		return nil
	}
	t := b.tie
	b.tie = nil
	defer close(t.wishes)
	return t.set(0)
}
