package supervise

import (
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// takeIn does what a message says, if it is known whose it is.
func (e *Engine) takeIn(m hearing.Message) bool {
	u, role := e.procs.Speaker(m.Sender.PID)
	if u == nil {
		return false
	}
	if s := serviceOf(u); may(s.spec.NotifyAccess, role) {
		main := s.registered()
		e.handover.Store(main, &main.spec, m.Message, m.Files)
		e.said(s, m.Message)
	}
	return true
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
