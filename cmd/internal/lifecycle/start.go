package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// begin is what being wanted leads to, from any state without a process. Whoever asks for it gives
// the service a fresh start: earlier crashes do not count any more.
func (s *Service) begin(_ cause) {
	s.stop(timerDelay)
	s.crashes, s.window, s.next = 0, nil, time.Time{}
	s.unproven = false
	s.wait()
}

// delayOver is the start after a delay.
func (s *Service) delayOver(_ cause) {
	s.next = time.Time{}
	if s.state == Failed {
		s.crashes, s.window = 0, nil
	}
	s.wait()
}

// wait starts s, or says what it waits for.
func (s *Service) wait() {
	if blocker := s.owner.Blocker(); blocker != "" {
		s.enter(Waiting, blocker)
		return
	}
	s.launch(cause{})
}

// rest is the end of wanting, from any state without a process.
func (s *Service) rest(why cause) {
	s.stop(timerDelay)
	s.next = time.Time{}
	if s.owner.AwaitsOthers() {
		s.staysDown(why)
		return
	}
	s.enter(Stopped, why.text)
}

// staysDown is not being wanted where nothing runs but, perhaps, a second process.
func (s *Service) staysDown(why cause) {
	if s.owner.AwaitsOthers() {
		s.enter(Stopping, why.text)
		s.sweep()
	}
}

// launch starts the process of s. The work is done elsewhere, because it takes
// a millisecond and looks into files; its result comes back as hSpawned or hSpawnError.
func (s *Service) launch(_ cause) {
	if s.spec.OnDemand && !s.called && s.owner.Role() != Replacement {
		s.listen()
		return
	}
	s.called, s.idle, s.refused = false, false, ""
	s.enter(Starting, "")
	s.run++
	s.attempt = attempt{watchdog: s.spec.Watchdog, limits: s.spec.Limits, startedAt: s.startedAt}
	s.endsWell, s.forked, s.step, s.failure = false, "", 0, ""
	s.text, s.completed, s.extended, s.lastAnswer, s.rewound = "", false, false, nil, false
	s.shared.Procs.Announce(&s.Unit, s.spec.Cgroup)
	l := s.NewLaunch()
	s.owner.HoldSockets()
	l.Handed = s.shared.Handover.ToProcess(s, s.owner.Registered(), s.spec, (*Service).HasProcess)
	l.Notify = s.shared.Hearing.Address()
	ctx, giveUp := context.WithCancelCause(context.Background())
	s.giveUp = giveUp
	limit := *s.spec.Timeout
	birth := s.shared.Procs.Expect()
	// by its invocation a successor finds a process whose pid it does not know
	s.owner.Noted(func() {
		birth.Do(func() func() {
			defer giveUpAfter(limit, giveUp)()
			watch, err := l.Start(ctx)
			return func() { s.launched(birth, &l, watch, err) }
		})
	})
}

// giveUpAfter bounds a start by the time that readiness has, from when it is its turn. The function
// returned says that it is over.
func giveUpAfter(limit spec.Duration, giveUp context.CancelCauseFunc) func() {
	if limit == spec.Forever {
		return func() {}
	}
	late := time.AfterFunc(time.Duration(limit), func() { giveUp(ErrNotReady) })
	return func() { late.Stop() }
}

// errNotWanted is why a start is given up that nobody wants any more.
var errNotWanted = errors.New("it is to be stopped")

// launched takes the result of a start in.
func (s *Service) launched(
	birth *children.Birth, l *supervised.Launch, watch *launch.Watch, err error,
) {
	s.giveUp(nil)
	s.stream = l.Stream
	if s.owner.Role() == Replacement {
		s.printed = l.Printed // its last words are not those that the process beside it had before
	}
	if err != nil {
		birth.None(&s.Unit)
		s.happen(hSpawnError, cause{err: err, text: "spawn error"})
		return
	}
	birth.Main(&s.Unit, l.Identity, l.Output)
	if s.owner.Role() != Replacement {
		s.shared.Procs.Prints(&s.Unit, l.Output)
	}
	s.startedAt = time.Now()
	s.happen(hSpawned, cause{text: "spawned"})
	s.watchReady(watch)
	s.sendEarly()
	s.shared.Hearing.Again()
}

// sendEarly sends what was asked to be sent before the pid was known.
func (s *Service) sendEarly() {
	for _, sig := range s.signals {
		reason := signalName(sig)
		if err := s.shared.Procs.Signal(&s.Unit, sig); err != nil {
			reason += ": " + err.Error()
		}
		s.Tell(control.EventSignal, "%s", reason)
	}
	s.signals = nil
}

// spawned: the program runs.
func (s *Service) spawned(_ cause) {
	s.Tell(control.EventState, "started process %d", s.PID())
}

// spawnFailed: there is no process. It is treated like one that failed at once.
func (s *Service) spawnFailed(why cause) {
	s.exit, s.cause = nil, why.err
	s.seeStuck(why.err)
	if s.state != Stopping {
		s.failure = why.err.Error()
	}
	s.startedAt = time.Now()
	s.shared.Procs.Renounce(&s.Unit)
	if s.state == Stopping && s.owner.AwaitsOthers() {
		s.sweep() // who is told that it is down must find nothing of it
		return
	}
	s.decide(cause{})
}
