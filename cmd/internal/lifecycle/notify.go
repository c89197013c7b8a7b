package lifecycle

import (
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// TakeIn does what a message says, if it is known whose it is.
func (h *Shared) TakeIn(m hearing.Message) bool {
	u, role := h.Procs.Speaker(m.Sender.PID)
	if u == nil {
		return false
	}
	if s := Of(u); may(s.spec.NotifyAccess, role) {
		main := s.owner.Registered()
		h.Handover.Store(main, main.spec, m.Message, m.Files)
		s.said(m.Message)
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

// Of is whose a unit is.
func Of(u *children.Unit) *Service { return u.Service.(*Service) }

// said does what a message asks for.
func (s *Service) said(m notify.Message) {
	if m.Status != nil || m.Errno != nil || m.WatchdogInterval != nil || m.RestartReset {
		defer s.owner.NoteSoon() // it may say so as often as it likes
	}
	if m.Status != nil {
		s.text = *m.Status
	}
	if m.Errno != nil && *m.Errno != 0 {
		s.text = m.Errno.Error()
	}
	if m.ExtendTimeout > 0 {
		s.extend(m.ExtendTimeout)
	}
	if m.MainPID > 1 && m.MainPID != s.PID() && !s.draining {
		s.shared.Procs.ChangeMain(&s.Unit, m.MainPID)
	}
	if m.WatchdogInterval != nil {
		s.watchdog = spec.Duration(*m.WatchdogInterval)
		s.fed()
	}
	if m.RestartReset {
		s.crashes, s.window = 0, nil
	}
	if m.Stopping {
		s.saidStopping = true
		s.Tell(control.EventState, "says that it is stopping")
	}
	if m.Reloading {
		s.reloading()
	}
	if m.Ready {
		s.saidReady()
	}
	if m.Watchdog {
		s.fed()
	}
	if m.WatchdogTrigger {
		s.happen(hUnhealthy, cause{text: "asked for it (WATCHDOG=trigger)"})
	}
}

// MainChanged: another process is the main one now.
func (s *Service) MainChanged() {
	if s.state == Starting && s.cancel != nil && s.spec.Ready.Kind == spec.ProbeSettled {
		s.endProbe()
		s.watchRest()
	}
	s.Tell(control.EventState, "main process is now %d", s.PID())
}

// extend gives s at least d from now on for what it is at.
func (s *Service) extend(d time.Duration) {
	switch {
	case s.state == Starting, s.state == Ready && s.rewound:
		s.extended = true
		s.postpone(timerReady, d)
	case s.state == Stopping && !s.Killing:
		s.postpone(timerStop, d)
	}
}
