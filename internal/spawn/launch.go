package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Launch is a daemon on its way: running, watched, and not yet let go.
type Launch struct {
	// PID is the daemon's. It is the daemon's for sure until its Event.Exit was received or Release
	// was called.
	PID int
	// Session is the id of the daemon's session, which stays its while a process is left in it.
	Session int
	// Events tells what happens until the end of the launch, when it is closed. It must be read.
	Events <-chan Event

	channel sys.Channel
	watcher int
	words   words        // the watcher's
	target  *sys.Process // held fast; nil where the watcher has left at once
	at      place        // where the start is
	broken  error        // why the watcher could not be heard to its end; listen's until that

	forsaken bool        // its watcher does not die
	released atomic.Bool // the watcher may leave without a word
}

// Event is one of: a message from the daemon (Spec.Birth), its exit, the loss of the watcher, which
// may also have gone because something that the daemon left cannot be ended.
type Event struct {
	Message []byte
	Exit    *Exit
	Lost    error

	begun *begun // comes first, and Detach takes it
}

// begun is what a watcher has to say of the start: the target's pid, or why there is none.
type begun struct {
	pid int
	err error
}

// Detach starts the process that s describes as a daemon in the sense of daemon(7): in a session of
// its own that it does not lead, so that it never gets a controlling terminal. It returns when the
// program is being executed, or a *StepError if that failed, or was not done when ctx ended.
//
// The daemon must then be let go (Release) or ended (Kill). If the caller dies before, or closes
// it, the daemon is ended.
func Detach(ctx context.Context, s *Spec) (*Launch, error) {
	if err := s.check(); err != nil {
		return nil, fail(StepStart, "", err)
	}
	if s.DeathSignal != 0 {
		return nil, fail(StepDeathSignal, "", errNoThread)
	}
	if ctx.Err() != nil {
		return nil, &StepError{Step: StepStart, Err: context.Cause(ctx)}
	}
	d := s.describe()
	defer runtime.KeepAlive(s)
	if d.FailAt == StepStart {
		return nil, fail(StepStart, "", injected)
	}
	payload, files := d.encode()
	stage, err := reexec(ctx, &orders{watcherMagic, payload, files}, &d, true, nil)
	if err != nil {
		return nil, err
	}
	events := make(chan Event)
	l := &Launch{
		Session: stage.pid,
		Events:  events,
		channel: stage.channel,
		watcher: stage.pid,
		words:   stage.words,
	}
	l.released.Store(s.LetGo)
	go l.listen(events)
	if err := l.awaitStart(ctx); err != nil {
		_ = l.close() // nothing was written to it that matters
		return nil, err
	}
	return l, nil
}

// awaitStart returns when the target runs, or when it is certain that it will not.
func (l *Launch) awaitStart(ctx context.Context) error {
	select {
	case e, ok := <-l.Events:
		switch {
		case !ok:
			return l.abandoned()
		case e.begun.err != nil:
			for range l.Events {
			}
			return alsoError(e.begun.err, reapFailed(l.watcher, l.words))
		}
		l.PID = e.begun.pid
		return nil
	case <-ctx.Done():
		return l.giveUp(unstarted(ctx, l.channel, l.words, &l.at))
	}
}

// obeyWait is how long a watcher that has its orders may take to end what it has begun.
const obeyWait = 2 * time.Second

// giveUp ends a watcher that has not said yet that the target runs. One that has not taken its
// orders has started nothing.
func (l *Launch) giveUp(why error) error {
	if heldBefore(l.watcher, l.channel) || sendFrame(l.channel, frameKill, make([]byte, 8)) != nil {
		l.killWatcher()
	}
	err := l.drain(obeyWait)
	_, stuck := errors.AsType[*sys.StuckError](err)
	switch {
	case stuck:
	case l.PID == 0: // else listen has done it
		_, err = abandon(l.watcher, l.words)
	case l.released.Load():
		return nil // it has left before it could hear of this, and the daemon runs (LetGo)
	}
	return alsoError(why, err)
}

// killWatcher kills the watcher, which is one as long as its end of the channel is open: only it
// has that.
func (l *Launch) killWatcher() {
	// ESRCH: the program reaps all its children itself. The end of the channel tells the rest.
	_ = sys.Kill(l.watcher, sys.SIGKILL)
}

// drain returns when the watcher is gone, and with the reason if the daemon is lost. A watcher that
// is still there after so much time is stopped, or something that it is to end does not die: it is
// killed, and the daemon with it, or let go. One that does not die either sleeps in the kernel
// (state D of proc(5)): that is a *sys.StuckError, and what it leaves is ended when it is gone.
func (l *Launch) drain(patience time.Duration) (err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	killed := false
	for {
		select {
		case e, ok := <-l.Events:
			if !ok {
				return err
			}
			switch {
			case e.Lost != nil:
				err = errors.Join(err, e.Lost)
			case e.begun != nil:
				l.PID = e.begun.pid
			}
		case <-timer.C:
			if killed {
				return errors.Join(err, l.forsake())
			}
			killed = true
			l.killWatcher()
			timer.Reset(killedWait)
		}
	}
}

// forsake leaves a watcher that does not die, or that has left a child of which that is true, to a
// goroutine that waits for their end. Whatever there is of its session is killed, so that nothing
// of it goes on when the kernel lets go of it.
func (l *Launch) forsake() error {
	l.forsaken = true
	killSession(l.watcher)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		begun := l.PID != 0
		for e := range l.Events {
			begun = begun || e.begun != nil && e.begun.err == nil
		}
		if !begun { // else listen has done it
			_, _ = abandon(l.watcher, l.words) // there is nobody to tell any more
		}
		l.words.close()
		_ = l.channel.Close()
	}()
	return &sys.StuckError{
		What:     fmt.Sprintf("process %d, which watches over the start", l.watcher),
		Cause:    errKilled,
		Returned: gone,
	}
}

// close closes the channel, unless somebody still listens to it.
func (l *Launch) close() error {
	if l.forsaken {
		return nil
	}
	l.words.close()
	return l.channel.Close()
}

// killedWait is how long what we have started for a start and killed may take to be gone.
const killedWait = 2 * time.Second

var errKilled = fmt.Errorf("it was killed %v ago and is not gone", killedWait)

// unstarted says how far a stage has come when ctx ended.
func unstarted(ctx context.Context, c sys.Channel, said words, at *place) error {
	if at.Load() != nil {
		return at.stuck(fmt.Errorf("the file system has not answered: %w", context.Cause(ctx)))
	}
	word := "no word yet that the program was executed"
	if unread, err := c.Unread(); err == nil && unread {
		word = "the stage is still at the initialisation of the program's packages"
	}
	err := fmt.Errorf("%s: %w", word, context.Cause(ctx))
	if last := said.last(); last != "" {
		err = fmt.Errorf("%w; it has printed: %s", err, last)
	}
	return &StepError{Step: StepStart, Err: err}
}

// readStart is the event of what a watcher first says.
func readStart(kind frameKind, report []byte) *begun {
	switch kind {
	case frameFailed:
		return &begun{err: decodeError(report)}
	case frameStarted:
		d := decoder{b: report}
		if pid := int(d.uint()); d.err == nil {
			return &begun{pid: pid}
		}
		return &begun{err: fail(StepStart, "", d.err)}
	}
	return &begun{err: fail(StepStart, "", errors.New("unexpected message"))}
}

// errWordless is the error of a watcher that is gone and has not said why.
var errWordless = errors.New("it ended without a word")

// abandoned ends what a watcher has left that is gone and has not said why, or was killed for what
// it has said, and says how it came to that.
func (l *Launch) abandoned() error {
	died, end := abandon(l.watcher, l.words)
	switch {
	case l.broken != nil:
		died = l.broken
	case died == nil:
		died = fail(StepStart, "", l.words.after(errWordless))
	}
	return alsoError(died, end)
}

// abandon ends what a watcher has left, and reaps it.
func abandon(watcher int, said words) (died, end error) {
	end = endSession(watcher)
	return reapFailed(watcher, said), end
}

// alsoError adds a second failure to the first, on the same line.
func alsoError(err, second error) error {
	if second == nil {
		return err
	}
	return fmt.Errorf("%w; %w", err, second)
}

// listen turns frames into events until the watcher is gone, and reaps it if it has begun anything.
func (l *Launch) listen(events chan<- Event) {
	defer close(events)
	kind, payload, err := recvPast(l.channel, frameAt, func(b []byte) { l.at.set(decodeAt(b)) })
	if err != nil {
		l.cutOff(err)
		return
	}
	b := readStart(kind, payload)
	if b.err != nil && kind != frameFailed {
		l.cutOff(b.err)
		return
	}
	if b.err == nil && !l.released.Load() {
		// The watcher has not reaped it yet, so there is such a process, if only a dead one
		// (ESRCH).
		var pinErr error
		if l.target, pinErr = sys.Pin(b.pid); pinErr != nil {
			l.target = nil
		}
	}
	events <- Event{begun: b}
	if b.err == nil {
		l.follow(events)
	}
}

// follow is listen once the target runs.
func (l *Launch) follow(events chan<- Event) {
	over := false
	for {
		kind, payload, err := recvFrame(l.channel)
		if err != nil {
			l.cutOff(err)
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
		case frameUnheard: // its exit follows
			events <- Event{Lost: fmt.Errorf("hear what the program says: %s", payload)}
		}
	}
	if l.target != nil {
		defer l.target.Close()
	}
	if over || l.released.Load() {
		// Killed by somebody when it was about to leave anyway, it has done all the same.
		_ = reapFailed(l.watcher, l.words)
		return
	}
	events <- Event{Lost: l.lost()}
}

// lost ends a daemon whose watcher is gone: it cannot come to a known end any more, so it must not
// live.
func (l *Launch) lost() error {
	if l.target != nil {
		// It may have made a session of its own. ESRCH: it has gone with the watcher.
		_ = l.target.Signal(sys.SIGKILL)
	}
	return l.abandoned()
}

// cutOff kills a watcher of which nothing more can be learned because of err, though it lives: else
// its end would be waited for.
func (l *Launch) cutOff(err error) {
	if !isEnd(err) {
		l.broken = unheard(err)
		l.killWatcher()
	}
}

// unheard is why the word of a stage cannot be used: it could not be received, or it is none.
func unheard(err error) error {
	if _, told := errors.AsType[*StepError](err); told {
		return err
	}
	if err == nil {
		err = errors.New("unexpected message")
	}
	return &StepError{Step: StepStart, Err: fmt.Errorf("hear how it went: %w", err)}
}

// Release lets the daemon go: from here on it is nobody's child but init's. It returns
// when the watcher is gone.
func (l *Launch) Release() error {
	l.released.Store(true)
	return l.finish(frameRelease, nil, releaseWait)
}

// Kill ends the daemon and everything it has started: SIGTERM to the daemon, after grace SIGKILL to
// all that is left, at once if grace is zero. It returns when nothing is left, or with an error
// that names what cannot be ended: a program of another user (set-user-ID).
func (l *Launch) Kill(grace time.Duration) error {
	grace = max(grace, 0)
	return l.finish(frameKill, binary.LittleEndian.AppendUint64(nil, uint64(grace)),
		grace+deathWait)
}

// releaseWait is how long a watcher may take to leave. It has nothing else to do: one that takes
// longer is stopped.
const releaseWait = 5 * time.Second

func (l *Launch) finish(kind frameKind, payload []byte, patience time.Duration) error {
	// If it has ended by itself, the events say how.
	err := UnlessClosed(sendFrame(l.channel, kind, payload))
	return errors.Join(err, l.drain(patience), l.close())
}
