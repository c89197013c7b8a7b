package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// becomeReady is the end of a successful start.
func (s *Service) becomeReady(why cause) {
	s.stop(timerReady)
	s.stop(timerSettle)
	s.endProbe()
	if s.owner.Role() == Replacement {
		s.owner.TakePlace()
	}
	s.enter(Ready, why.text)
	s.watchLiveness()
	s.watchIdle()
	s.owner.Up()
}

// endFailing ends a process for its own good: it is to run, but not like this.
func (s *Service) endFailing(why cause) {
	s.failure, s.cause = why.text, why.err
	s.beginStop(why.text)
}

// watchReady waits for readiness in the way the service has chosen. READY=1
// is heard in any case.
func (s *Service) watchReady(w *launch.Watch) {
	if s.state != Starting {
		w.Close()
		return
	}
	if limit := *s.spec.Timeout; limit != spec.Forever && !timed(w.Check.Kind) {
		s.deadline(timerReady, time.Duration(limit), func() { s.timedOut() })
	}
	switch {
	case s.spec.Type == spec.Oneshot &&
		(w.Check.Kind == spec.ProbeSettle || w.Check.Kind == spec.ProbeSettled):
		// A oneshot is up when it has ended well; settling says nothing.
	case w.Check.Kind == spec.ProbeExec:
		s.happen(hReady, cause{})
	case w.Check.Kind == spec.ProbeSettled:
		s.watchRest()
	case w.Check.Kind == spec.ProbeSettle:
		s.after(timerSettle, time.Duration(w.Check.Settle), func() { s.happen(hReady, cause{}) })
	case w.Check.Kind == spec.ProbeNotify:
	case w.Check.Kind == spec.ProbeCmd:
		s.askCommand(w.Check, firstPause)
	default:
		s.probeReady(w)
	}
}

// ownersPatience is how long the owner itself waits for a file system.
const ownersPatience = 2 * time.Second

// timed says whether a way to become ready has an end by itself.
func timed(kind spec.ProbeKind) bool {
	return kind == spec.ProbeExec || kind == spec.ProbeSettle || kind == spec.ProbeSettled
}

// watchRest waits until the process and all that it started have come to rest. A program that never
// does counts as up when the time allowed is over.
func (s *Service) watchRest() {
	check, run := probe.Check{Probe: s.spec.Ready}, s.run
	if limit := *s.spec.Timeout; limit != spec.Forever {
		check.Bound = min(probe.DefaultBound, time.Duration(limit))
	}
	if s.saidIn == run {
		check = check.Told()
	}
	var members func() []int
	if g := s.Group(); g != nil {
		members = func() []int {
			pids, _ := g.Own() // beside the descendants, whom the looks find by themselves
			return pids
		}
	}
	stop := s.shared.Resting.Watch(check, s.shared.Kernel.Looks(s.PID(), members),
		func(note string) {
			s.shared.Loop.Post(func() {
				if s.run == run {
					s.happen(hReady, cause{text: note})
				}
			})
		})
	s.cancel = func(error) { stop() }
}

// saidReady takes READY=1, which makes the service ready in whatever way it was to show it, but for
// one: who is to come to rest has said that it will do so soon.
func (s *Service) saidReady() {
	if s.state != Starting || s.spec.Ready.Kind != spec.ProbeSettled || s.cancel == nil {
		s.happen(hReady, cause{})
		return
	}
	if s.saidIn != s.run { // once
		s.saidIn = s.run
		s.endProbe()
		s.watchRest()
	}
}

// watchReadyAgain goes on waiting for a service that an earlier supervisor has started. What it has
// said meanwhile nobody has heard; so its time begins anew, and who was to say that it is ready,
// and is alive at the end of that, has most likely said it.
func (s *Service) watchReadyAgain() {
	l := s.NewLaunch()
	ctx, cancel := context.WithTimeout(context.Background(), ownersPatience)
	defer cancel()
	w, err := l.WatchAgain(ctx, s.startedAt)
	if err != nil {
		s.happen(hNotReady, cause{text: fmt.Sprintf("ready %v: %v", w.Check, err)})
		return
	}
	if w.Check.Kind == spec.ProbeSettle {
		left := w.Check.Settle - spec.Duration(time.Since(s.startedAt))
		w.Check.Settle = min(max(0, left), w.Check.Settle)
	}
	s.watchReady(w)
	if a := &s.timers[timerReady]; w.Check.Kind == spec.ProbeNotify && a.Set() {
		s.after(timerReady, time.Until(a.Due()), func() {
			s.happen(hReady, cause{text: "alive; if it said READY=1, nobody was there to hear it"})
		})
	}
}

// ErrNotReady is the cause that ends a probe, and a start, when the time for readiness is over.
var ErrNotReady = errors.New("time-out")

// probeReady asks from a goroutine of its own, which ends with the start.
func (s *Service) probeReady(w *launch.Watch) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.cancel = cancel
	w.Env.PID = s.PID()
	w.Env.Owner = s.shared.Procs.Proof(&s.Unit)
	run := s.run
	go func() {
		defer w.Close()
		err := w.Wait(ctx)
		s.shared.Loop.Post(func() {
			if s.run == run { // a probe that was late to end would tell of another start
				s.probed(ctx, w.Check, err)
			}
		})
	}()
}

// probed takes the end of a probe in, unless the start it was for is over.
func (s *Service) probed(ctx context.Context, check probe.Check, err error) {
	var closed probe.ClosedError
	switch end := context.Cause(ctx); {
	case end == ErrNotReady && err != nil:
		if last, ok := errors.AsType[*probe.NotReadyError](err); ok {
			err = last.Last // the check is named already
		}
		s.happen(hNotReady, cause{text: s.timeoutText(err), err: ErrNotReady})
	case end != nil && end != ErrNotReady:
	case err == nil: // also at the last moment
		s.happen(hReady, cause{})
	case errors.As(err, &closed):
		// Most likely because it has died: how it died is the better reason, and about to be known.
		s.after(timerSettle, deathNotice, func() { s.happen(hNotReady, cause{text: err.Error()}) })
	default:
		s.happen(hNotReady, cause{text: fmt.Sprintf("ready %v: %v", check, err)})
	}
}

// deathNotice is how long the closing of a descriptor may come before the signal that tells of the
// death that closed it.
const deathNotice = 50 * time.Millisecond

// Pauses between two runs of a readiness command. They grow by half.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// readyAttempt is how long one run of a readiness command may take.
const readyAttempt = 5 * time.Second

// askCommand runs a readiness command, and again after pause. It is run by the engine and not by
// package probe, because that would find its child reaped by us.
func (s *Service) askCommand(check probe.Check, pause time.Duration) {
	run := s.run
	s.command(check.Argv(), readyAttempt, func(err error) {
		switch {
		case s.state != Starting || s.run != run:
		case err == nil:
			s.happen(hReady, cause{})
		case hopeless(err):
			s.happen(hNotReady, cause{text: fmt.Sprintf("ready %v: %v", check, err)})
		default:
			s.lastAnswer = err
			s.after(timerSettle, pause,
				func() { s.askCommand(check, min(pause*3/2, longestPause)) })
		}
	})
}

// hopeless says whether a command that could not be started never can.
func hopeless(err error) bool {
	step, ok := errors.AsType[*spawn.StepError](err)
	if ok && step.Step != spawn.StepExec {
		return false
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// timedOut is the end of the time allowed until ready.
func (s *Service) timedOut() {
	if s.cancel != nil {
		s.cancel(ErrNotReady) // and probed tells what it saw last
		s.cancel = nil
		return
	}
	s.happen(hNotReady, cause{text: s.timeoutText(s.lastAnswer), err: ErrNotReady})
}

func (s *Service) timeoutText(last error) string {
	limit := time.Duration(*s.spec.Timeout)
	if s.extended {
		limit = time.Since(s.startedAt).Round(time.Millisecond)
	}
	text := fmt.Sprintf("not ready within %v (%v)", limit, s.spec.Ready)
	if last != nil {
		text += ": " + last.Error()
	}
	if s.text != "" {
		text += fmt.Sprintf("; its last status: %q", s.text)
	}
	return text
}
