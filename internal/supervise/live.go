package supervise

import (
	"context"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/probe"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// watchLiveness begins what is checked while a service is ready.
func (e *Engine) watchLiveness(s *service) {
	if s.pid == 0 {
		return
	}
	e.fed(s)
	if s.spec.Liveness.Check.Kind != "" || s.spec.Limits.MemoryRestart > 0 {
		e.nextCheck(s, 0, time.Duration(s.spec.Liveness.Grace))
	}
}

// fed begins to wait for the next WATCHDOG=1.
func (e *Engine) fed(s *service) {
	limit := s.spec.Watchdog
	if limit <= 0 || limit == spec.Forever || s.state != Ready && s.state != Starting {
		s.stop(timerWatchdog)
		return
	}
	e.after(s, timerWatchdog, time.Duration(limit), func() {
		e.happen(s, hUnhealthy, cause{text: fmt.Sprintf("no WATCHDOG=1 within %v", limit)})
	})
}

// nextCheck checks in one interval's time, and later if grace is not over then. failures is how many in a row there were.
func (e *Engine) nextCheck(s *service, failures int, grace time.Duration) {
	e.after(s, timerLive, max(grace, time.Duration(*s.spec.Liveness.Interval)), func() { e.checkLife(s, failures) })
}

// checkLife asks away from the owner, with one answer in flight at a time.
func (e *Engine) checkLife(s *service, failures int) {
	live, pid := s.spec.Liveness, s.pid
	if most := s.spec.Limits.MemoryRestart; most > 0 {
		if used, err := e.memory(s); err == nil && used > int64(most) {
			e.happen(s, hUnhealthy, cause{text: fmt.Sprintf("uses %v of memory, more than %v", spec.ByteSize(used), most)})
			return
		}
	}
	if live.Check.Kind == "" {
		e.nextCheck(s, 0, 0)
		return
	}
	answer := func(err error) { e.checkedLife(s, pid, failures, err) }
	if live.Check.Kind == spec.ProbeCmd {
		e.run(s, live.Check.Argv(), time.Duration(*live.Timeout), answer)
		return
	}
	e.work(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*live.Timeout))
		defer cancel()
		err := probe.Once(ctx, checkOf(live.Check), probe.Env{Dir: s.spec.Chdir, PID: pid})
		e.post(func() { answer(err) })
	})
}

func (e *Engine) checkedLife(s *service, pid, failures int, err error) {
	if s.state != Ready || s.pid != pid {
		return // the answer is about a process that is no more
	}
	if err == nil {
		e.nextCheck(s, 0, 0)
		return
	}
	if failures++; failures >= *s.spec.Liveness.Threshold {
		e.happen(s, hUnhealthy, cause{text: fmt.Sprintf("not alive: %v: %v, %d times", s.spec.Liveness.Check, err, failures)})
		return
	}
	e.nextCheck(s, failures, 0)
}

// memory is what the service's main process and the processes it left to us have in memory.
func (e *Engine) memory(s *service) (int64, error) {
	return sys.ResidentMemory(s.pid)
}
