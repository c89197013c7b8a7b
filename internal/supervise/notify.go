package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// openNotify makes the socket that services find in NOTIFY_SOCKET. It has a
// name in the file system, the kind that every program understands, in a directory of its own that others may
// pass but not list: services run as other users. What a message is worth is decided by its sender.
func (e *Engine) openNotify() error {
	dir := filepath.Join(e.o.RuntimeDir, "notify")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	path := filepath.Join(dir, "socket")
	// A predecessor that was killed has left it; there is only one of us (the lock on the runtime directory).
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	socket, err := sys.ListenNotify(path)
	if err != nil {
		return err
	}
	e.notify = socket
	return nil
}

// hear receives messages until the socket is closed, and hands each to the owner.
func (e *Engine) hear(ctx context.Context) {
	buf := make([]byte, notify.MaxSize+1)
	for ctx.Err() == nil {
		packet, err := e.notify.Receive(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				e.o.Trouble(fmt.Errorf("notify socket: %w", err))
			}
			return
		}
		// Fields that can be read count even if others cannot.
		m, _ := notify.Parse(buf[:packet.N])
		if !packet.Cut {
			// An error means that the engine is ending, and nothing is heard any more.
			_ = e.ask(ctx, func() { e.heard(packet.Sender, m) })
		}
		packet.CloseFiles() // and by that answers BARRIER=1: all that was sent before has been taken in
	}
}

// heard finds the service that a message is from, and whether it may speak.
func (e *Engine) heard(sender sys.Sender, m notify.Message) {
	s := e.byPID[sender.PID]
	if s == nil {
		if s = e.serviceOf(sender.PID); s == nil || s.spec.NotifyAccess != spec.NotifyAll {
			return
		}
	}
	if s.spec.NotifyAccess == spec.NotifyNone {
		return
	}
	e.said(s, m)
}

// serviceOf finds the service among whose descendants pid is.
func (e *Engine) serviceOf(pid int) *service {
	for depth := 0; pid > 1 && depth < 64; depth++ {
		if s := e.byPID[pid]; s != nil {
			return s
		}
		if s := e.orphans[pid]; s != nil {
			return s
		}
		stat, err := e.kernel.stat(pid)
		if err != nil {
			return nil
		}
		if s := e.byPID[stat.Session]; s != nil {
			return s
		}
		pid = stat.PPID
	}
	return nil
}

// descends says whether pid is ancestor or one of its descendants, or in the
// session that it leads. What cannot be looked at is not held against it.
func descends(pid, ancestor int) bool {
	for depth := 0; pid > 1 && depth < 64; depth++ {
		if pid == ancestor {
			return true
		}
		stat, err := sys.ReadStat(pid)
		if err != nil {
			return !errors.Is(err, syscall.ESRCH)
		}
		if stat.Session == ancestor {
			return true
		}
		pid = stat.PPID
	}
	return false
}

// said does what a message asks for.
func (e *Engine) said(s *service, m notify.Message) {
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
		s.spec.Watchdog = spec.Duration(*m.WatchdogInterval)
		e.fed(s)
	}
	if m.RestartReset {
		s.crashes, s.window = 0, nil
	}
	if m.Reloading {
		s.rewound = true
		s.stop(timerReady) // it has answered; from here on it takes its time
		e.emit(s, Event{Kind: EventReload, Reason: "reloading"})
	}
	if m.Ready {
		e.happen(s, hReady, cause{})
	}
	if m.Stopping {
		e.emit(s, Event{Kind: EventState, From: s.state, Reason: "says that it is stopping"})
	}
	if m.Watchdog {
		e.fed(s)
	}
	if m.WatchdogTrigger {
		e.happen(s, hUnhealthy, cause{text: "asked for it (WATCHDOG=trigger)"})
	}
}

// changeMain makes another process of the service its main one: at once if it is a child of ours by now, else when
// the present one has ended, which makes it one.
func (e *Engine) changeMain(s *service, pid int) {
	if e.serviceOf(pid) != s {
		return
	}
	if err := e.adopt(); err != nil {
		e.o.Trouble(err)
	}
	s.nextMain = pid
	if e.orphans[pid] != s {
		return
	}
	old := s.pid
	e.takeMain(s)
	if old != 0 {
		delete(e.byPID, old)
		e.orphans[old] = s
		s.orphans++
	}
}

// takeMain puts the process that the service has named in the place of its main one.
func (e *Engine) takeMain(s *service) {
	delete(e.orphans, s.nextMain)
	s.orphans--
	s.pid, s.nextMain = s.nextMain, 0
	e.byPID[s.pid] = s
	e.emit(s, Event{Kind: EventState, From: s.state, Reason: "main process is now " + strconv.Itoa(s.pid)})
}

// extend gives s d more from now on for what it is at.
func (e *Engine) extend(s *service, d time.Duration) {
	switch s.state {
	case Starting:
		if s.timers[timerReady] != nil {
			e.after(s, timerReady, d, func() { e.timedOut(s) })
		}
	case Stopping:
		if s.timers[timerStop] != nil {
			e.after(s, timerStop, d, func() { e.happen(s, hStepOver, cause{}) })
		}
	}
}
