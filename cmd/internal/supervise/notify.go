package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/control"
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
		e.handover.CloseFiles(&packet) // and by that answers BARRIER=1: all that was sent before has been taken in
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
	if e.takeIn(m) || !e.procs.Expecting() || len(e.unheard) >= mostUnheard {
		return
	}
	keep := m.filesToKeep()
	kept := 0
	for _, other := range e.unheard {
		kept += len(other.files)
	}
	err := errUnheardFiles
	if m.files = nil; kept+len(keep) <= mostUnheardFiles {
		m.files, err = handover.Copy(keep)
	}
	if err != nil {
		e.o.Trouble(fmt.Errorf("descriptor store: %w", err))
	}
	e.unheard = append(e.unheard, m)
}

var errUnheardFiles = errors.New("too many descriptors of processes whose start is not known yet: some are not kept")

// takeIn does what a message says, if it is known whose it is.
func (e *Engine) takeIn(m heardMessage) bool {
	u, role := e.procs.Speaker(m.sender.PID)
	if u == nil {
		return false
	}
	if s := serviceOf(u); may(s.spec.NotifyAccess, role) {
		main := s.registered()
		e.handover.Store(main, &main.spec, m.Message, m.files)
		e.said(s, m.Message)
	}
	return true
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
	unheard := e.unheard
	e.unheard = nil
	for _, m := range unheard {
		if !e.takeIn(m) && e.procs.Expecting() {
			e.unheard = append(e.unheard, m)
			continue
		}
		handover.CloseAway(m.files)
	}
}

// may says whether NotifyAccess lets a process in this role speak.
func may(access spec.NotifyAccess, role children.Role) bool {
	switch access {
	case spec.NotifyAll:
		return true
	case spec.NotifyExec:
		return role == children.Main || role == children.Helper
	case spec.NotifyMain:
		return role == children.Main
	}
	return false
}

// serviceOf is whose a unit is.
func serviceOf(u *children.Unit) *service { return u.Service.(*service) }

// said does what a message asks for.
func (e *Engine) said(s *service, m notify.Message) {
	if m.Status != nil || m.Errno != nil || m.WatchdogInterval != nil || m.RestartReset {
		defer e.journal.WriteSoon(s.spec.Name) // it may say so as often as it likes
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
	if m.MainPID > 1 && m.MainPID != s.PID() && !s.draining {
		e.procs.ChangeMain(&s.Unit, m.MainPID)
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
		e.tell(s, control.EventState, "says that it is stopping")
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

// MainChanged: another process is the main one now.
func (s *service) MainChanged() {
	e := s.engine
	if s.state == Starting && s.cancel != nil && s.spec.Ready.Kind == spec.ProbeSettled {
		s.endProbe()
		e.watchRest(s)
	}
	e.tell(s, control.EventState, "main process is now %d", s.PID())
}

// extend gives s at least d from now on for what it is at.
func (e *Engine) extend(s *service, d time.Duration) {
	switch {
	case s.state == Starting, s.rewound:
		s.extended = true
		e.postpone(s, timerReady, d)
	case s.state == Stopping && !s.Killing:
		e.postpone(s, timerStop, d)
	}
}
