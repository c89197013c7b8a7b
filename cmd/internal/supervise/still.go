package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/spec"
)

// ErrBusy says that the engine is about to stand still already.
var ErrBusy = errors.New("an upgrade is in progress")

// still is how the engine comes to stand: no process is being born, nothing is being written, no
// message is in anybody's hands.
type still struct {
	f     func(handover.ToProgram) error // what is done then; nil: nobody asks for it
	reply chan error
}

// CanBeReplaced says what keeps another program from being executed in this process: services that
// end with it. The kernel signals them when the thread that forked them ends, and execve(2) ends
// every thread but one.
func (e *Engine) CanBeReplaced(ctx context.Context) error {
	var obstacle error
	err := e.ask(ctx, func() {
		for _, s := range e.services.Sorted() {
			if s.PID() != 0 && s.Spec().Orphan == spec.OrphanEnd {
				obstacle = fmt.Errorf("service %s has orphan = %q and would end: stop it first",
					s.Name(), spec.OrphanEnd)
				return
			}
		}
	})
	return errors.Join(err, obstacle)
}

// Standstill brings the engine to a stand, has f called by the owner with what the next program's
// Options.Handover is to be, and goes on. While f runs nothing changes, and the journal on disk
// says all: it is where another program can be executed in this process. Children that die
// meanwhile stay to be reaped, messages stay in the socket, and what services print stays in their
// FIFOs.
//
// The journal is kept up to date all the time, so little is left to be written: call Save before,
// which makes sure that there is one.
//
// If it can not be brought to a stand before ctx ends, the error says why and f was not called.
func (e *Engine) Standstill(ctx context.Context, f func(handover.ToProgram) error) error {
	reply := make(chan error, 1)
	var busy error
	err := e.ask(ctx, func() {
		switch {
		case e.shared.Closing:
			busy = ErrClosed
		case e.still.f != nil:
			busy = ErrBusy
		default:
			if busy = e.keeper.NoJournal(); busy == nil {
				e.beginStill(f, reply)
			}
		}
	})
	if err = errors.Join(err, busy); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-e.loop.Ended():
		return ErrClosed
	case <-ctx.Done():
	}
	if err := e.ask(context.Background(), func() {
		if e.still.reply == reply {
			e.endStill(context.Cause(ctx))
		}
	}); err != nil {
		return err
	}
	return <-reply
}

func (e *Engine) beginStill(f func(handover.ToProgram) error, reply chan error) {
	e.still = still{f: f, reply: reply}
	e.loop.HoldBirths(true) // before a standstill no process is born any more
	if err := e.hearing.Pause(); err != nil {
		e.endStill(err)
		return
	}
	e.tryStill()
}

// tryStill is called when the owner has nothing else to do, until nothing moves.
func (e *Engine) tryStill() {
	st := &e.still
	switch {
	case st.f == nil:
		return
	case e.shared.Closing:
		e.endStill(ErrClosed)
		return
	case !e.hearing.Paused(), e.loop.Busy(), e.keeper.Busy():
		return // the end of each brings the owner back here
	case e.keeper.Failing() != nil:
		e.endStill(e.keeper.Failing())
		return
	}
	if e.keeper.Write(); e.keeper.Busy() {
		return
	}
	next, err := e.toProgram()
	if err == nil {
		err = st.f(next)
	}
	next.Close()
	e.endStill(err)
}

// endStill lets everything go on.
func (e *Engine) endStill(err error) {
	st := e.still
	e.still = still{}
	st.reply <- err
	e.hearing.Resume()
	e.loop.HoldBirths(false)
}

// CheckState looks at what an earlier supervisor has left, as New does, and changes nothing. An
// error says why this program could not go on with it.
func CheckState(o Options) error {
	l, err := kept.Find(o.dirs())
	return errors.Join(append(l.Faults, err, l.Refused)...)
}
