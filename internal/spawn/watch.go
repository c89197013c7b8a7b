//go:build unix && !aix

package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// watcher is the stage between a launcher and its daemon. One goroutine, run,
// owns all of this; three others bring it what happens: an exit, a frame
// from the launcher, a message from the target.
//
// All children are reaped by that goroutine alone. A pid it is about to signal
// is therefore that of a child not yet reaped, which no other process can have got.
type watcher struct {
	launcher sys.Channel
	pid      int // the target

	orders   chan order
	birth    sys.Channel   // our end of Spec.Birth
	messages chan heard    // nil without Spec.Birth, and once the target has closed its end
	exits    chan struct{} // a child can be reaped
	reaped   chan struct{} // the word to look for the next

	ending   bool // the target is dead or about to be killed: end what it leaves
	deadline <-chan time.Time
	record   *watchedRecord // of the target; nil for none

	powerless time.Time // since when no child that is left can be killed
}

// heard is a message of the target, or why what it says is none.
type heard struct {
	message []byte
	err     error
}

// errNotWanted is why a start is given up that the launcher does not want any more.
var errNotWanted = errors.New("it is not wanted any more")

// order is what the launcher wants: to let the target go, or to end it with so
// much time between SIGTERM and SIGKILL.
type order struct {
	release bool
	grace   time.Duration
}

// orphanGrace is the time a half-born daemon gets whose launcher has vanished.
const orphanGrace = 2 * time.Second

// killPeriod is how often children are listed and killed anew while some are
// left: those of a killed one become ours only when it is dead. An exit is
// reacted to at once; this is for a child that forked after the listing and goes on.
const killPeriod = 5 * time.Millisecond

// powerlessTime is how long children that cannot be killed have to end by themselves.
const powerlessTime = 2 * time.Second

// watch starts the target and stays with it until the launcher lets go or all is over. It returns
// only if the target could not be started.
func watch(st *starter, s *description) error {
	if s.Credential != nil || s.Caps != nil || s.NoNewPrivs || s.Chroot != "" {
		// The main thread, which init functions run on in any case, gives rights up below, or
		// enters a root in which there is no /proc. From here on the runtime clones no thread from
		// it that would lack them too (runtime.newm); that init is bound to it is not enough.
		runtime.LockOSThread()
	}
	// Whatever the target forks and forgets comes back to us, so that a failed launch leaves
	// nothing behind.
	if err := sys.IfSupported(sys.BecomeSubreaper()); err != nil {
		return fail(StepStart, "", err)
	}
	w := &watcher{
		launcher: st.channel,
		orders:   make(chan order),
		exits:    make(chan struct{}),
		reaped:   make(chan struct{}),
	}
	var err error
	if w.record, err = watchRecord(s); err != nil {
		return err
	}
	ctx, cut := context.WithCancelCause(context.Background())
	go w.readOrders(cut)
	if err := w.start(ctx, s); err != nil {
		if context.Cause(ctx) == errStarterGone {
			w.record.withdraw()
		}
		return err
	}
	if s.LetGo {
		syscall.Exit(0)
	}
	go w.noticeExits()
	go w.run()
	select {} // this thread has given up what the target must not have, and may do no more
}

// run owns the watcher from now on, on a thread that has kept its rights.
func (w *watcher) run() {
	for {
		// An error means that the launcher is gone and nobody is left to hear
		// of it. readOrders sees the same and has the target ended.
		_ = w.step()
	}
}

// start starts the target as our child and reports its pid.
func (w *watcher) start(ctx context.Context, s *description) error {
	ours, theirs, err := w.prepareBirth(s)
	if err != nil {
		return fail(StepStart, "", err)
	}
	s.reached = func(step Step, object string) { sayAt(w.launcher, step, object) }
	w.pid, err = startBelow(ctx, s)
	if theirs >= 0 {
		theirs.Close()
	}
	if err != nil {
		return err
	}
	if ours >= 0 {
		w.birth, w.messages = ours, make(chan heard)
		go w.readMessages(ours, w.messages)
	}
	// A launcher that is gone cannot be told, and this must not be the end: the
	// target runs. readOrders finds the same and has it ended.
	_ = sendNumber(w.launcher, frameStarted, uint64(w.pid))
	return nil
}

// startBelow starts the target as a child of this stage, which is none of its session's leaders.
// When ctx ends, so does the stage that it may need for that.
func startBelow(ctx context.Context, s *description) (pid int, err error) {
	s.Session = false
	// The root and the directory are for the target. The stage keeps its own, or it
	// would lose sight of /proc, and with it of its children.
	if err = errNeedsStage; !s.needsOwnProcess() {
		pid, err = startApart(s)
	}
	if errors.Is(err, errNeedsStage) {
		pid, err = startStage(ctx, s)
	}
	return pid, err
}

// prepareBirth makes the target's channel, with all it is to find there already in it.
func (w *watcher) prepareBirth(s *description) (ours, theirs sys.Channel, err error) {
	if s.Birth == nil {
		return -1, -1, nil
	}
	null, err := sys.OpenNull()
	if err != nil {
		return -1, -1, err
	}
	defer null.Close()
	files := []int{int(null.Fd())}
	var e encoder
	if e.optional(s.crash >= 0) {
		files = append(files, s.crash)
	}
	o := &orders{birthMagic, append(e.b, s.Birth.Payload...), append(files, s.births...)}
	if ours, theirs, err = o.give(); err != nil {
		return -1, -1, err
	}
	s.fds = append(s.fds, passed{target: 0, source: int(theirs)})
	s.Birth, s.births, s.crash = nil, nil, -1
	return ours, theirs, nil
}

// step waits for one thing to happen and deals with it.
func (w *watcher) step() error {
	select {
	case o := <-w.orders:
		if o.release {
			syscall.Exit(0) // the target is now init's, or the next subreaper's
		}
		return w.end(o.grace)
	case m, ok := <-w.messages:
		if !ok {
			w.messages = nil
			return nil
		}
		return w.passOn(m)
	case <-w.exits:
		return w.reap()
	case <-w.deadline:
		w.ending = true
		w.killChildren()
		w.deadline = time.After(killPeriod)
	}
	return nil
}

// passOn tells the launcher what the target has said. Where that cannot be heard the target is
// ended: it may say for ever what nobody reads, and the launcher wait for it.
func (w *watcher) passOn(m heard) error {
	if m.err == nil {
		return sendFrame(w.launcher, frameMessage, m.message)
	}
	w.deadline = time.After(0)
	return sendFrame(w.launcher, frameUnheard, []byte(m.err.Error()))
}

// end begins the end of the target: politely, if there is time.
func (w *watcher) end(grace time.Duration) error {
	if w.ending || w.pid == 0 {
		return nil
	}
	w.deadline = time.After(grace)
	if grace == 0 {
		return nil
	}
	if err := sys.Kill(w.pid, syscall.SIGTERM); err != nil {
		return err
	}
	// A stopped process gets no SIGTERM before it continues.
	return sys.Kill(w.pid, syscall.SIGCONT)
}

// reap takes in all dead children. When the target is among them its status
// is reported and what it left is killed; when none is left we are done.
func (w *watcher) reap() error {
	for {
		pid, status, err := sys.ReapAny()
		switch {
		case err != nil: // ECHILD
			w.record.withdraw()
			syscall.Exit(0)
		case pid == 0:
			w.reaped <- struct{}{}
			if w.ending {
				w.killChildren()
			}
			return nil
		case pid == w.pid:
			w.targetExited(status)
		}
	}
}

func (w *watcher) targetExited(status syscall.WaitStatus) {
	w.pid, w.ending = 0, true
	w.deadline = time.After(0)
	w.flushMessages()
	// A launcher that is gone needs no report; the work goes on without one.
	_ = sendNumber(w.launcher, frameExited, uint64(status))
}

// flushMessages passes on what the target said just before it died, so that its
// last words precede its status. readMessages closes the channel at the end of the stream.
func (w *watcher) flushMessages() {
	if w.messages == nil {
		return
	}
	// A grandchild may hold the channel open for ever.
	var wait <-chan time.Time
	if w.birth.CloseRead() != nil {
		wait = time.After(100 * time.Millisecond)
	}
	for {
		select {
		case m, ok := <-w.messages:
			if !ok {
				w.messages = nil
				return
			}
			if w.passOn(m) != nil {
				return
			}
		case <-wait:
			return
		}
	}
}

// killChildren kills every child of ours, among them all orphans of the
// target. Their own children become ours with their death.
func (w *watcher) killChildren() {
	children, why := sys.Children()
	if why != nil && w.pid != 0 {
		children = []int{w.pid} // no such list here: what it leaves is not known
	}
	killed := why == nil && len(children) == 0
	for _, pid := range children {
		// ESRCH cannot be, EPERM can: a set-user-id program of another user.
		if err := sys.Kill(pid, syscall.SIGKILL); err != nil {
			why = fmt.Errorf("end process %d, which the program has left: %w", pid, err)
		} else {
			killed = true
		}
	}
	switch {
	case killed:
		w.powerless = time.Time{}
	case w.powerless.IsZero():
		w.powerless = time.Now()
	case time.Since(w.powerless) > powerlessTime:
		// It may live for ever. Whoever waits for the end of this must hear of it, and can do no
		// more than we.
		if w.pid == 0 {
			w.record.withdraw()
		}
		_ = sendFrame(w.launcher, frameLeft, []byte(why.Error()))
		syscall.Exit(StatusFailed)
	}
}

// readOrders reads what the launcher wants from the beginning on: a target that is not wanted any
// more need not even be started.
func (w *watcher) readOrders(cut context.CancelCauseFunc) {
	for {
		kind, payload, err := recvFrame(w.launcher)
		switch {
		case err != nil:
			cut(errStarterGone)
			w.orders <- order{grace: orphanGrace}
			return
		case kind == frameRelease:
			w.orders <- order{release: true}
		case kind == frameKill && len(payload) == 8:
			cut(errNotWanted)
			w.orders <- order{grace: time.Duration(binary.LittleEndian.Uint64(payload))}
		}
	}
}

func (w *watcher) readMessages(c sys.Channel, messages chan<- heard) {
	defer close(messages)
	for {
		payload, err := receiveMessage(c)
		if isEnd(err) {
			return // the target has closed it, or is dead: that is noticed elsewhere
		}
		messages <- heard{payload, err}
		if err != nil {
			return
		}
	}
}

// noticeExits says that a child has died, without reaping it, and waits until that is done.
func (w *watcher) noticeExits() {
	for {
		if err := sys.WaitAnyExit(); err != nil {
			w.exits <- struct{}{} // ECHILD: reap sees it too, and ends the process
			return
		}
		w.exits <- struct{}{}
		<-w.reaped
	}
}
