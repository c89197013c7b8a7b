package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Launch is a daemon on its way: running, watched, and not yet let go.
type Launch struct {
	// PID is the daemon's. It is the daemon's for sure until its Event.Exit was received or Release was called.
	PID int
	// Session is the id of the daemon's session, which stays its while a process is left in it.
	Session int
	// Events tells what happens until the end of the launch, when it is closed. It must be read.
	Events <-chan Event

	channel sys.Channel
	watcher int
	target  *sys.Process // held fast; nil where the watcher has left at once

	released atomic.Bool // the watcher may leave without a word
}

// Event is one of: a message from the daemon (Spec.Birth), its exit, the loss of the watcher, which may also have
// gone because something that the daemon left cannot be ended.
type Event struct {
	Message []byte
	Exit    *Exit
	Lost    error
}

// Detach starts the process that s describes as a daemon in the sense of
// daemon(7): in a session of its own that it does not lead, so that it never gets a controlling terminal. It
// returns when the program is being executed, or a *StepError if that failed.
//
// The daemon must then be let go (Release) or ended (Kill). If the caller dies before, or closes it, the
// daemon is ended.
func Detach(s *Spec) (*Launch, error) {
	if err := s.check(); err != nil {
		return nil, fail(StepStart, "", err)
	}
	if s.DeathSignal != 0 {
		return nil, fail(StepDeathSignal, "", errNoThread)
	}
	d := s.describe()
	defer runtime.KeepAlive(s)
	if d.FailAt == StepStart {
		return nil, fail(StepStart, "", injected)
	}
	watcher, c, err := reexec(watcherMagic, true)
	if err != nil {
		return nil, err
	}
	payload, files := d.encode()
	sendErr := sendFrame(c, frameSpec, payload, files...)
	pid, err := awaitStart(c, sendErr)
	if err != nil {
		c.Close()
		return nil, abandoned(watcher, err)
	}
	events := make(chan Event)
	l := &Launch{PID: pid, Session: watcher, Events: events, channel: c, watcher: watcher}
	l.released.Store(s.LetGo)
	if !s.LetGo {
		// The watcher has not reaped it yet, so there is such a process, if only a dead one (ESRCH).
		if l.target, err = sys.Pin(pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			l.target = nil
		}
	}
	go l.listen(events)
	return l, nil
}

func awaitStart(c sys.Channel, sendErr error) (int, error) {
	kind, report, files, err := recvFrame(c)
	closeAll(files)
	switch {
	case err == nil && kind == frameFailed:
		return 0, decodeError(report)
	case err == nil && kind == frameStarted:
		d := decoder{b: report}
		pid := int(d.uint())
		return pid, fail(StepStart, "", d.err)
	case err == nil:
		err = errors.New("unexpected message")
	case err == io.EOF || errors.Is(err, syscall.ECONNRESET): // reset: before it had read all that we sent
		err = errWordless
	case sendErr != nil:
		err = sendErr
	}
	return 0, fail(StepStart, "", err)
}

// errWordless is the error of a watcher that is gone and has not said why.
var errWordless = errors.New("it ended without a word")

// abandoned completes the error of a watcher that did not start the target, or was killed before it could say
// that it has.
func abandoned(watcher int, err error) error {
	if !errors.Is(err, errWordless) {
		return errors.Join(err, reapFailed(watcher))
	}
	end := endSession(watcher)
	if died := reapFailed(watcher); died != nil {
		err = died
	}
	if end != nil {
		err = fmt.Errorf("%w; %w", err, end)
	}
	return err
}

// listen turns frames into events until the watcher is gone, and reaps it.
func (l *Launch) listen(events chan<- Event) {
	defer close(events)
	over := false
	for {
		kind, payload, files, err := recvFrame(l.channel)
		closeAll(files)
		if err != nil {
			break
		}
		switch kind {
		case frameMessage:
			events <- Event{Message: payload}
		case frameExited:
			d := decoder{b: payload}
			exit := exitOf(uint32(d.uint()))
			over = true
			events <- Event{Exit: &exit}
		case frameLeft:
			over = true
			events <- Event{Lost: errors.New(string(payload))}
		}
	}
	if l.target != nil {
		defer l.target.Close()
	}
	if over || l.released.Load() {
		// Killed by somebody when it was about to leave anyway, it has done all the same.
		_ = reapFailed(l.watcher)
		return
	}
	events <- Event{Lost: l.lost()}
}

// lost ends a daemon whose watcher is gone: it cannot come to a known end any more, so it must not live.
func (l *Launch) lost() error {
	if l.target != nil {
		// It may have made a session of its own. ESRCH: it has gone with the watcher.
		_ = l.target.Signal(syscall.SIGKILL)
	}
	return abandoned(l.watcher, fail(StepStart, "", errWordless))
}

// Release lets the daemon go: from here on it is nobody's child but init's. It returns
// when the watcher is gone.
func (l *Launch) Release() error {
	l.released.Store(true)
	return l.finish(frameRelease, nil)
}

// Kill ends the daemon and everything it has started: SIGTERM to the daemon, after grace SIGKILL to all
// that is left, at once if grace is zero. It returns when nothing is left, or with an error
// that names what cannot be ended: a program of another user (set-user-ID).
func (l *Launch) Kill(grace time.Duration) error {
	return l.finish(frameKill, binary.LittleEndian.AppendUint64(nil, uint64(max(grace, 0))))
}

func (l *Launch) finish(kind frameKind, payload []byte) error {
	err := sendFrame(l.channel, kind, payload)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		err = nil // it has ended by itself; the events say how
	}
	for e := range l.Events {
		if e.Lost != nil {
			err = errors.Join(err, e.Lost)
		}
	}
	return errors.Join(err, l.channel.Close())
}
