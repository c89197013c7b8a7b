package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// watchLiveness begins what is checked while a service is ready.
func (s *Service) watchLiveness() {
	s.stop(timerLive)
	s.stop(timerMemory)
	if s.PID() == 0 {
		return // a oneshot that remains
	}
	s.fed()
	if s.spec.Liveness.Check.Kind != "" {
		s.nextCheck(0, time.Duration(s.spec.Liveness.Grace))
	}
	s.watchMemory()
}

// fed begins to wait for the next WATCHDOG=1.
func (s *Service) fed() {
	limit := s.watchdog
	if limit <= 0 || limit >= spec.Duration(notify.Forever) || s.state != Ready {
		s.stop(timerWatchdog)
		return
	}
	s.deadline(timerWatchdog, time.Duration(limit), func() {
		s.happen(hUnhealthy, cause{text: fmt.Sprintf("no WATCHDOG=1 within %v", limit)})
	})
}

// nextCheck checks in one interval's time, and later if grace is not over then. failures is how
// many in a row there were.
func (s *Service) nextCheck(failures int, grace time.Duration) {
	s.after(timerLive, max(grace, time.Duration(*s.spec.Liveness.Interval)),
		func() { s.checkLife(failures) })
}

// checkLife asks away from the owner, with one answer in flight at a time.
func (s *Service) checkLife(failures int) {
	live, pid, run := s.spec.Liveness, s.PID(), s.run
	answer := func(err error) { s.checkedLife(run, failures, err) }
	if live.Check.Kind == spec.ProbeCmd {
		s.command(live.Check.Argv(), time.Duration(*live.Timeout), answer)
		return
	}
	check, env := probe.Check{Probe: live.Check}, probe.Env{Dir: s.spec.Chdir, PID: pid}
	// not with Loop.Work: it waits more than it works, and there is one for each service at most
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*live.Timeout))
		defer cancel()
		err := probe.Once(ctx, check, env)
		s.shared.Loop.Post(func() { answer(err) })
	}()
}

func (s *Service) checkedLife(run uint64, failures int, err error) {
	if s.state != Ready || s.run != run {
		return // the answer is about a process that is no more
	}
	if err == nil {
		s.nextCheck(0, 0)
		return
	}
	if failures++; failures >= *s.spec.Liveness.Threshold {
		s.happen(hUnhealthy, cause{text: fmt.Sprintf("not alive: %v: %v, %d times",
			s.spec.Liveness.Check, err, failures)})
		return
	}
	s.nextCheck(failures, 0)
}

// memoryPeriod is how often a service with memory_restart is looked at. What grows faster than its
// machine has memory for in a second is a case for limits.memory.
const memoryPeriod = time.Second

// watchMemory looks at the memory of s, again and again while it is ready.
func (s *Service) watchMemory() {
	if s.spec.Limits.MemoryRestart <= 0 {
		return
	}
	s.after(timerMemory, memoryPeriod, func() {
		run, memory := s.run, s.shared.Procs.Memory(&s.Unit)
		s.shared.Loop.Work(func() func() {
			used, err := memory()
			return func() {
				if s.run == run && s.state == Ready {
					s.sawMemory(used, err)
				}
			}
		})
	})
}

func (s *Service) sawMemory(used int64, err error) {
	if most := s.spec.Limits.MemoryRestart; err == nil && most > 0 && used > int64(most) {
		s.happen(hUnhealthy,
			cause{text: fmt.Sprintf("uses %v of memory, more than %v", spec.ByteSize(used), most)})
		return
	}
	s.watchMemory()
}
