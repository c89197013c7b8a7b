package supervise

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

// watchReady waits for readiness in the way the service has chosen. READY=1
// is heard in any case.
func (e *Engine) watchReady(s *service, w *launch.Watch) {
	if s.state != Starting {
		w.Close()
		return
	}
	if limit := *s.spec.Timeout; limit != spec.Forever && !timed(w.Check.Kind) {
		e.deadline(s, timerReady, time.Duration(limit), func() { e.timedOut(s) })
	}
	switch {
	case s.spec.Type == spec.Oneshot &&
		(w.Check.Kind == spec.ProbeSettle || w.Check.Kind == spec.ProbeSettled):
		// A oneshot is up when it has ended well; settling says nothing.
	case w.Check.Kind == spec.ProbeExec:
		e.happen(s, hReady, cause{})
	case w.Check.Kind == spec.ProbeSettled:
		e.watchRest(s)
	case w.Check.Kind == spec.ProbeSettle:
		e.after(s, timerSettle, time.Duration(w.Check.Settle), func() { e.happen(s, hReady, cause{}) })
	case w.Check.Kind == spec.ProbeNotify:
	case w.Check.Kind == spec.ProbeCmd:
		e.askCommand(s, w.Check, firstPause)
	default:
		e.probeReady(s, w)
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
func (e *Engine) watchRest(s *service) {
	check, run := probe.Check{Probe: s.spec.Ready}, s.run
	if limit := *s.spec.Timeout; limit != spec.Forever {
		check.Bound = min(probe.DefaultBound, time.Duration(limit))
	}
	if s.saidReady == run {
		check = check.Told()
	}
	var members func() []int
	if g := s.Group(); g != nil {
		members = func() []int {
			pids, _ := g.Own() // beside the descendants, whom the looks find by themselves
			return pids
		}
	}
	stop := e.resting.Watch(check, e.kernel.looks(s.PID(), members), func(note string) {
		e.post(func() {
			if s.run == run {
				e.happen(s, hReady, cause{text: note})
			}
		})
	})
	s.cancel = func(error) { stop() }
}

// saidReady takes READY=1, which makes the service ready in whatever way it was to show it, but for
// one: who is to come to rest has said that it will do so soon.
func (e *Engine) saidReady(s *service) {
	if s.state != Starting || s.spec.Ready.Kind != spec.ProbeSettled || s.cancel == nil {
		e.happen(s, hReady, cause{})
		return
	}
	if s.saidReady != s.run { // once
		s.saidReady = s.run
		s.endProbe()
		e.watchRest(s)
	}
}

// watchReadyAgain goes on waiting for a service that an earlier supervisor has started. What it has
// said meanwhile nobody has heard; so its time begins anew, and who was to say that it is ready,
// and is alive at the end of that, has most likely said it.
func (e *Engine) watchReadyAgain(s *service) {
	l := e.newLaunch(s)
	ctx, cancel := context.WithTimeout(context.Background(), ownersPatience)
	defer cancel()
	w, err := l.WatchAgain(ctx, s.startedAt)
	if err != nil {
		e.happen(s, hNotReady, cause{text: fmt.Sprintf("ready %v: %v", w.Check, err)})
		return
	}
	if w.Check.Kind == spec.ProbeSettle {
		left := w.Check.Settle - spec.Duration(time.Since(s.startedAt))
		w.Check.Settle = min(max(0, left), w.Check.Settle)
	}
	e.watchReady(s, w)
	if a := &s.timers[timerReady]; w.Check.Kind == spec.ProbeNotify && a.Set() {
		e.after(s, timerReady, time.Until(a.Due()), func() {
			e.happen(s, hReady, cause{text: "alive; if it said READY=1, nobody was there to hear it"})
		})
	}
}

// errReadyTimeout is the cause that ends a probe, and a start, when the time for readiness is over.
var errReadyTimeout = errors.New("time-out")

// probeReady asks from a goroutine of its own, which ends with the start.
func (e *Engine) probeReady(s *service, w *launch.Watch) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.cancel = cancel
	w.Env.PID = s.PID()
	w.Env.Owner = e.procs.Proof(&s.Unit)
	run := s.run
	go func() {
		defer w.Close()
		err := w.Wait(ctx)
		e.post(func() {
			if s.run == run { // a probe that was late to end would tell of another start
				e.probed(s, ctx, w.Check, err)
			}
		})
	}()
}

// probed takes the end of a probe in, unless the start it was for is over.
func (e *Engine) probed(s *service, ctx context.Context, check probe.Check, err error) {
	var closed probe.ClosedError
	switch end := context.Cause(ctx); {
	case end == errReadyTimeout && err != nil:
		if last, ok := errors.AsType[*probe.NotReadyError](err); ok {
			err = last.Last // the check is named already
		}
		e.happen(s, hNotReady, cause{text: e.timeoutText(s, err), err: errReadyTimeout})
	case end != nil && end != errReadyTimeout:
	case err == nil: // also at the last moment
		e.happen(s, hReady, cause{})
	case errors.As(err, &closed):
		// Most likely because it has died: how it died is the better reason, and about to be known.
		e.after(s, timerSettle, deathNotice, func() { e.happen(s, hNotReady, cause{text: err.Error()}) })
	default:
		e.happen(s, hNotReady, cause{text: fmt.Sprintf("ready %v: %v", check, err)})
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
func (e *Engine) askCommand(s *service, check probe.Check, pause time.Duration) {
	run := s.run
	e.run(s, check.Argv(), readyAttempt, func(err error) {
		switch {
		case s.state != Starting || s.run != run:
		case err == nil:
			e.happen(s, hReady, cause{})
		case hopeless(err):
			e.happen(s, hNotReady, cause{text: fmt.Sprintf("ready %v: %v", check, err)})
		default:
			s.lastAnswer = err
			e.after(s, timerSettle, pause, func() { e.askCommand(s, check, min(pause*3/2, longestPause)) })
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
func (e *Engine) timedOut(s *service) {
	if s.cancel != nil {
		s.cancel(errReadyTimeout) // and probed tells what it saw last
		s.cancel = nil
		return
	}
	e.happen(s, hNotReady, cause{text: e.timeoutText(s, s.lastAnswer), err: errReadyTimeout})
}

func (e *Engine) timeoutText(s *service, last error) string {
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
