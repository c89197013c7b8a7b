//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// intermediate is the stage between a process and a successor that is to be nobody's child when it
// takes over, for a process cannot give a child away. It lives until it is told to go, or until
// nobody is left to tell it, or until the target has ended and it has said how. It returns only if
// the target could not be started.
func intermediate(st *starter, s *description) error {
	ctx, cut := context.WithCancelCause(context.Background())
	orders := make(chan frameKind)
	go func() {
		defer close(orders)
		for {
			kind, _, err := recvFrame(st.channel)
			if err != nil {
				cut(errStarterGone)
				return
			}
			if kind == frameKill {
				cut(errNotWanted)
			}
			orders <- kind
		}
	}()
	pid, err := startBelow(ctx, s)
	if err != nil {
		return err
	}
	told := sendNumber(st.channel, frameStarted, uint64(pid)) == nil
	// As long as the target may not be held yet it must not be reaped, or its pid could become
	// another's. Without a word that it is, nobody knows of it.
	if kind, said := <-orders; !told || kind != frameMessage {
		// EPERM: of another user. It finds that it is not known (Born.Known).
		_ = sys.Kill(pid, syscall.SIGKILL)
		if !told || !said {
			// Nobody else says why the target ends: its own words go to the one that is gone.
			return errStarterGone
		}
		syscall.Exit(0)
	}
	go func() {
		// The order to go, or the end of whoever could give it.
		<-orders
		syscall.Exit(0)
	}()
	// no error is possible: it is a child, and nobody else reaps here
	status, _ := sys.WaitChild(pid)
	_ = sendNumber(st.channel, frameExited, uint64(status)) // a failure is the same end as above
	syscall.Exit(0)
	return nil
}

// intermediary is our end of such a stage.
type intermediary struct{ reborn }

// startIntermediate starts what s describes as the child of a stage, which does not reap it before
// it hears that it is held.
func startIntermediate(ctx context.Context, s *Spec) (i *intermediary, pid int, err error) {
	if err := s.check(); err != nil {
		return nil, 0, fail(StepStart, "", err)
	}
	d := s.describe()
	defer runtime.KeepAlive(s)
	payload, files := d.encode()
	i = &intermediary{}
	o := &orders{intermediateMagic, payload, files}
	if i.reborn, err = reexec(ctx, o, &d, false, nil); err != nil {
		return nil, 0, err
	}
	if pid, err = i.awaitStart(ctx); err != nil {
		return nil, 0, errors.Join(err, i.close())
	}
	return i, pid, nil
}

// awaitStart returns the pid of the target when it runs. If it does not, the stage is gone.
func (i *intermediary) awaitStart(ctx context.Context) (pid int, err error) {
	uncut := cutShort(ctx, i.reborn, obeyWait, new(place))
	kind, report, err := recvFrame(i.channel)
	if cut := uncut(); cut != nil {
		return 0, alsoError(cut, reapKilled(i.pid))
	}
	switch {
	case err == io.EOF || isGone(err):
		if died := reapFailed(i.pid, i.words); died != nil {
			return 0, died
		}
		return 0, fail(StepStart, "", i.words.after(errWordless))
	case err != nil:
		return 0, i.endUnheard(err)
	}
	b := readStart(kind, report)
	switch {
	case b.err != nil && kind == frameFailed:
		return 0, alsoError(b.err, reapFailed(i.pid, i.words))
	case b.err != nil:
		return 0, i.endUnheard(b.err)
	}
	return b.pid, nil
}

// endUnheard is endUnheard for a stage that, if it still hears, ends what it has started before it
// obeys.
func (i *intermediary) endUnheard(why error) error {
	if p, err := sys.Pin(i.pid); err == nil {
		if sendFrame(i.channel, frameKill, make([]byte, 8)) == nil {
			ctx, cancel := context.WithTimeout(context.Background(), obeyWait)
			_ = p.Wait(ctx) // it is killed if it has not obeyed
			cancel()
		}
		_ = p.Close()
	}
	return endUnheard(i.pid, false, why)
}

// held says that the target may be reaped.
func (i *intermediary) held() error {
	return fail(StepStart, "", UnlessClosed(sendFrame(i.channel, frameMessage, nil)))
}

// reap returns how the target has ended, which it has.
func (i *intermediary) reap() (Exit, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), releaseWait, errMute)
	defer cancel()
	uncut := cutShort(ctx, i.reborn, 0, new(place))
	kind, payload, err := recvFrame(i.channel)
	d := decoder{b: payload}
	status := uint32(d.uint())
	switch {
	case uncut() != nil:
		err = errMute
	case err == io.EOF || isGone(err):
		err = errWordless
	case err == nil && kind != frameExited:
		err = errors.New("unexpected message")
	case err == nil:
		err = d.err
	}
	if err != nil {
		return Exit{}, errors.Join(
			fmt.Errorf("process %d, which could tell how it ended: %w", i.pid, err), i.leave(),
		)
	}
	return exitOf(status), i.leave()
}

// errMute is the error of one that should have answered at once: it is stopped.
var errMute = fmt.Errorf("it has not answered within %v", releaseWait)

// leave returns when the stage has ended and the target, if it lives, is nobody's child but init's
// or that of the nearest subreaper: the kernel gives the children away before the end of their
// parent can be waited for (exit_notify).
func (i *intermediary) leave() error {
	err := UnlessClosed(sendFrame(i.channel, frameRelease, nil))
	ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
	defer cancel()
	// However it ends, it is no more then, and that is all it was to do.
	if p, pinErr := sys.Pin(i.pid); pinErr == nil {
		if p.Wait(ctx) != nil {
			_ = p.Signal(syscall.SIGKILL) // it is stopped
		}
		_ = p.Close()
	}
	return errors.Join(err, reapKilled(i.pid), i.close())
}

func (i *intermediary) close() error {
	i.words.close()
	return i.channel.Close()
}
