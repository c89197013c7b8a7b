package supervise

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

// launch starts the process of s. The work is done elsewhere, because it takes
// a millisecond and looks into files; its result comes back as hSpawned or hSpawnError.
func (e *Engine) launch(s *service, _ cause) {
	if s.spec.OnDemand && !s.called && !s.isReplacement() {
		e.listen(s)
		return
	}
	s.called, s.idle, s.refused = false, false, ""
	e.enter(s, Starting, "")
	s.run++
	s.attempt = attempt{watchdog: s.spec.Watchdog, limits: s.spec.Limits, startedAt: s.startedAt}
	s.endsWell, s.forked, s.step, s.failure = false, "", 0, ""
	s.text, s.completed, s.extended, s.lastAnswer, s.rewound = "", false, false, nil, false
	e.procs.Announce(&s.Unit, s.spec.Cgroup)
	l := e.newLaunch(s)
	e.holdSockets(s)
	l.Handed = e.handover.ToProcess(s, s.registered(), &s.spec, (*service).hasProcess)
	l.Notify = e.hearing.Address()
	ctx, giveUp := context.WithCancelCause(context.Background())
	s.giveUp = giveUp
	limit := *s.spec.Timeout
	birth := e.procs.Expect()
	e.note(s)
	e.journal.Await(func(error) { // by its invocation it can be found by a successor who does not know its pid
		birth.Do(func() func() {
			defer giveUpAfter(limit, giveUp)()
			watch, err := l.Start(ctx)
			return func() { e.launched(s, birth, &l, watch, err) }
		})
	})
}

// giveUpAfter bounds a start by the time that readiness has, from when it is its turn. The function
// returned says that it is over.
func giveUpAfter(limit spec.Duration, giveUp context.CancelCauseFunc) func() {
	if limit == spec.Forever {
		return func() {}
	}
	late := time.AfterFunc(time.Duration(limit), func() { giveUp(errReadyTimeout) })
	return func() { late.Stop() }
}

// errNotWanted is why a start is given up that nobody wants any more.
var errNotWanted = errors.New("it is to be stopped")

// launched takes the result of a start in.
func (e *Engine) launched(s *service, birth *children.Birth, l *supervised.Launch, watch *launch.Watch, err error) {
	s.giveUp(nil)
	s.stream = l.Stream
	if s.isReplacement() {
		s.printed = l.Printed // its last words are not those that the process beside it had before
	}
	if err != nil {
		birth.None(&s.Unit)
		e.happen(s, hSpawnError, cause{err: err, text: "spawn error"})
		return
	}
	birth.Main(&s.Unit, l.Identity, l.Output)
	if !s.isReplacement() {
		e.procs.Prints(&s.Unit, l.Output)
	}
	s.startedAt = time.Now()
	e.happen(s, hSpawned, cause{text: "spawned"})
	e.watchReady(s, watch)
	e.sendEarly(s)
	e.hearing.Again()
}

// sendEarly sends what was asked to be sent before the pid was known.
func (e *Engine) sendEarly(s *service) {
	for _, sig := range s.signals {
		reason := signalName(sig)
		if err := e.procs.Signal(&s.Unit, sig); err != nil {
			reason += ": " + err.Error()
		}
		e.tell(s, control.EventSignal, "%s", reason)
	}
	s.signals = nil
}

// spawned: the program runs.
func (e *Engine) spawned(s *service, _ cause) {
	e.tell(s, control.EventState, "started process %d", s.PID())
}

// spawnedLate: the program runs, but by now it should not.
func (e *Engine) spawnedLate(s *service, _ cause) {
	if !s.holding {
		e.nextStep(s, cause{})
	}
}

// spawnFailed: there is no process. It is treated like one that failed at once.
func (e *Engine) spawnFailed(s *service, why cause) {
	s.exit, s.cause = nil, why.err
	e.seeStuck(s, why.err)
	if s.state != Stopping {
		s.failure = why.err.Error()
	}
	s.startedAt = time.Now()
	e.procs.Renounce(&s.Unit)
	if s.state == Stopping && e.waitsForOthers(s) {
		e.sweep(s) // who is told that it is down must find nothing of it
		return
	}
	e.decide(s, cause{})
}
