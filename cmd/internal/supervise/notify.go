package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// hear receives messages until the socket is closed, and hands each to the owner.
func (e *Engine) hear(ctx context.Context, socket *sys.NotifySocket) {
	buf := make([]byte, notify.MaxSize+1)
	told := "" // the error that was told last, once and not ten times a second
	for ctx.Err() == nil {
		packet, err := socket.ReceiveLocked(buf, &e.receiving)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			e.becomeDeaf(ctx)
			continue
		}
		if err != nil { // a shortage that passes, of memory or descriptors
			if text := err.Error(); text != told {
				told = text
				e.o.Trouble(fmt.Errorf("notify socket: %w", err))
			}
			select {
			case <-time.After(hearPause):
			case <-ctx.Done():
			}
			continue
		}
		told = ""
		// Fields that can be read count even if others cannot.
		m, _ := notify.Parse(buf[:packet.N])
		if packet.Cut {
			e.receiving.Unlock()
		} else {
			// An error means that the engine is ending, and nothing is heard any more.
			_ = e.loop.AskAnd(ctx, e.receiving.Unlock, func() { e.heard(heardMessage{sender: packet.Sender, Message: m, files: packet.Files}) })
		}
		e.closeReceived(&packet) // and by that answers BARRIER=1: all that was sent before has been taken in
	}
}

// hearPause is how long nothing is heard after an error.
const hearPause = 100 * time.Millisecond

// heardMessage is a message and who sent it, as the kernel says.
type heardMessage struct {
	sender sys.Sender
	notify.Message
	files []int // that came with it; whoever handed over the message closes them
}

// What is kept for processes whose start is not known yet, at most. Beyond it somebody floods us:
// any user of the machine can send a thousand messages with 253 descriptors each, and to have none
// left would end much more than a start.
const (
	mostUnheard      = 1000
	mostUnheardFiles = 256
)

// heard finds the service that a message is from, and whether it may speak. A
// program that is quick speaks before its start is known here.
func (e *Engine) heard(m heardMessage) {
	if e.takeIn(m) || e.births.underWay == 0 || len(e.births.unheard) >= mostUnheard {
		return
	}
	keep := m.filesToKeep()
	kept := 0
	for _, other := range e.births.unheard {
		kept += len(other.files)
	}
	err := errUnheardFiles
	if m.files = nil; kept+len(keep) <= mostUnheardFiles {
		m.files, err = copyFiles(keep)
	}
	if err != nil {
		e.o.Trouble(fmt.Errorf("descriptor store: %w", err))
	}
	e.births.unheard = append(e.births.unheard, m)
}

var errUnheardFiles = errors.New("too many descriptors of processes whose start is not known yet: some are not kept")

// takeIn does what a message says, if it is known whose it is.
func (e *Engine) takeIn(m heardMessage) bool {
	s, role := e.speaker(m.sender.PID)
	if s != nil && may(s.spec.NotifyAccess, role) {
		e.keepFiles(s, m)
		e.said(s, m.Message)
	}
	return s != nil
}

// filesToKeep are the descriptors that a message is to leave with us. Those of a message without
// FDSTORE=1 are not.
func (m *heardMessage) filesToKeep() []int {
	if !m.FDStore {
		return nil
	}
	return m.files
}

// hearAgain takes in what was said too early.
func (e *Engine) hearAgain() {
	unheard := e.births.unheard
	e.births.unheard = nil
	for _, m := range unheard {
		if !e.takeIn(m) && e.births.underWay > 0 {
			e.births.unheard = append(e.births.unheard, m)
			continue
		}
		closeAway(m.files)
	}
}

// may says whether NotifyAccess lets a process in this role speak.
func may(access, role spec.NotifyAccess) bool {
	switch access {
	case spec.NotifyAll:
		return true
	case spec.NotifyExec:
		return role == spec.NotifyMain || role == spec.NotifyExec
	case spec.NotifyMain:
		return role == spec.NotifyMain
	}
	return false
}

// speaker finds the service of a process, and what NotifyAccess calls the process.
func (e *Engine) speaker(pid int) (*service, spec.NotifyAccess) {
	if !e.lives(pid) {
		return nil, "" // a process that is not our child, and whose number may be another's by now
	}
	if s := e.byPID[pid]; s != nil {
		return s, spec.NotifyMain
	}
	if c := e.commands[pid]; c != nil {
		return c.service, spec.NotifyExec
	}
	s := e.serviceOf(pid)
	if s != nil && s.spawning {
		return nil, "" // perhaps its main process, of which we shall hear
	}
	return s, spec.NotifyAll
}

// serviceOf finds the service among whose descendants pid is.
func (e *Engine) serviceOf(pid int) *service {
	if s, _ := e.groupOwner(pid); s != nil {
		return s
	}
	for depth := 0; pid > 1 && depth < 64; depth++ {
		if s := e.byPID[pid]; s != nil && e.lives(pid) {
			return s
		}
		if s := e.orphans[pid]; s != nil {
			return s
		}
		stat, err := e.kernel.stat(pid)
		if err != nil {
			return nil
		}
		if s := e.bySession[stat.Session]; s != nil {
			return s
		}
		pid = stat.PPID
	}
	return nil
}

// ownerOf returns what tells, away from the owner, whether a process is provably of s: by the
// control group, the session or a parent, or by having inherited the invocation id.
func (e *Engine) ownerOf(s *service) func(pid int) bool {
	main, session, group, invoked, kernel := s.pid, s.session, s.group, s.invoked, e.kernel
	return func(pid int) bool {
		if path, err := kernel.cgroup(pid); err == nil && group.Holds(path) {
			return true
		}
		for depth, p := 0, pid; p > 1 && depth < 64; depth++ {
			if p == main {
				return true
			}
			stat, err := kernel.stat(p)
			if err != nil {
				break
			}
			if stat.Session == session {
				return true
			}
			p = stat.PPID
		}
		id, err := kernel.invocation(pid)
		return err == nil && id == invoked && id != ""
	}
}

// said does what a message asks for.
func (e *Engine) said(s *service, m notify.Message) {
	if m.Status != nil || m.Errno != nil || m.WatchdogInterval != nil || m.RestartReset {
		defer e.noteSoon(s)
	}
	if m.Status != nil {
		s.text = *m.Status
	}
	if m.Errno != nil && *m.Errno != 0 {
		s.text = m.Errno.Error()
	}
	if m.ExtendTimeout > 0 {
		e.extend(s, m.ExtendTimeout)
	}
	if m.MainPID > 1 && m.MainPID != s.pid {
		e.changeMain(s, m.MainPID)
	}
	if m.WatchdogInterval != nil {
		s.watchdog = spec.Duration(*m.WatchdogInterval)
		e.fed(s)
	}
	if m.RestartReset {
		s.crashes, s.window = 0, nil
	}
	if m.Stopping {
		s.saidStopping = s.state == Stopping
		e.emit(s, Event{Kind: EventState, From: s.state, Reason: "says that it is stopping"})
	}
	if m.Reloading {
		e.reloading(s)
	}
	if m.Ready {
		e.saidReady(s)
	}
	if m.Watchdog {
		e.fed(s)
	}
	if m.WatchdogTrigger {
		e.happen(s, hUnhealthy, cause{text: "asked for it (WATCHDOG=trigger)"})
	}
}

// changeMain makes another process of the service its main one: at once if it is a child of ours by
// now, else when the present one has ended, which makes it one.
func (e *Engine) changeMain(s *service, pid int) {
	if s.pid == 0 || s.draining || e.commands[pid] != nil || e.serviceOf(pid) != s {
		return
	}
	if s.inherited {
		e.changeHeir(s, pid)
		return
	}
	s.nextMain = pid
	if !e.lookForLeftovers(s) || e.orphans[pid] != s {
		return
	}
	old := s.pid
	delete(e.byPID, old)
	e.takeMain(s)
	e.own(old, s)
}

// takeMain puts the process that the service has named in the place of its main one.
func (e *Engine) takeMain(s *service) {
	e.disown(s.nextMain)
	s.pid, s.nextMain = s.nextMain, 0
	s.identity = e.kernel.identify(s.pid)
	e.byPID[s.pid] = s
	if s.state == Starting && s.cancel != nil && s.spec.Ready.Kind == spec.ProbeSettled {
		s.endProbe()
		e.watchRest(s)
	}
	e.emit(s, Event{Kind: EventState, From: s.state, Reason: "main process is now " + strconv.Itoa(s.pid)})
}

// extend gives s at least d from now on for what it is at.
func (e *Engine) extend(s *service, d time.Duration) {
	switch {
	case s.state == Starting, s.rewound:
		s.extended = true
		e.postpone(s, timerReady, d)
	case s.state == Stopping && !s.killing:
		e.postpone(s, timerStop, d)
	}
}
