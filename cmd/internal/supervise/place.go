package supervise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
)

// takeover is a supervisor's way from what its predecessor has left to where it goes on, however
// that ended. It is done before Run, by whoever calls Restore; only what may start or end a process
// is left to the owner.
//
// Nothing in it changes what it is made from: a supervisor that is killed in the middle of it
// leaves the same to the next one.
type takeover struct {
	e *Engine
	kept.Left
	missing  []*service // that may have a process nobody knows of
	doubtful []*service // of those, the ones that may have one although no record says so
	again    []*service // to be gone on with, in order
}

// describe completes the services of services.json by those that have not come into it.
func (t *takeover) describe() {
	e := t.e
	for _, r := range t.Records {
		if r.Spec == nil {
			continue
		}
		s := e.services.Named(r.Name)
		if s == nil {
			s = e.newService(r.Spec.WithDefaults(), "", nil)
			e.services.Add(s)
		}
		e.services.Redescribe(s, func() { s.Describe(r.Spec.WithDefaults()) })
		s.source, s.environ = r.Source, e.environs.Of(r.Environ)
		s.described = e.keeper.Redescribed()
		e.keeper.State.Mark(kept.SpecsFile)
	}
}

// place puts each service where it was.
func (t *takeover) place() {
	for _, s := range slices.Clone(t.e.services.Sorted()) {
		if r, known := t.Records[s.Name()]; known {
			t.placeOne(s, r)
			continue
		}
		t.missing = append(t.missing, s)
		if t.Doubt != nil {
			t.doubtful = append(t.doubtful, s)
		}
	}
}

func (t *takeover) placeOne(s *service, r kept.Record) {
	e := t.e
	s.held, s.removed = r.Held, r.Removed
	e.keeper.State.Mark(kept.WantsFile)
	s.Place(r.Record)
	t.recallBeside(s, r)
	if r.Ending {
		e.stopping[s] = struct{}{}
	}
	switch s.State() {
	case Starting, Ready, Stopping:
		t.findProcess(s, r)
	}
	if t.Unsure[r.Name] && s.PID() == 0 {
		t.missing, t.doubtful = append(t.missing, s), append(t.doubtful, s)
	}
	t.again = append(t.again, s)
}

// findProcess proves that the process of s is still there, and holds it.
func (t *takeover) findProcess(s *service, r kept.Record) {
	e := t.e
	e.procs.Recall(&s.Unit, r.Invocation, r.Session, r.Main, r.Left)
	if r.Main.PID == 0 {
		if s.State() == Starting {
			t.missing = append(t.missing, s)
		}
		return
	}
	h, err := e.procs.Prove(r.Main)
	if err == nil {
		err = e.procs.Adopt(&s.Unit, r.Main, h, s.Spec().Cgroup)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		// It may well live, and nobody can prove it: it is not ours to end, and not to be started a
		// second time.
		t.leaveAlone(s, fmt.Sprintf("not taken over, and not started again: %v", err))
	}
	if s.PID() == 0 && s.State() != Failed {
		e.procs.FindGroup(&s.Unit, s.Spec().Cgroup)
	}
}

// recallBeside finds the processes that were beside s when the predecessor ended in the middle of a
// rolling restart. Whichever of the two is in the registry stays the one, and the other is ended as
// replaced: nobody waits for that restart any more.
func (t *takeover) recallBeside(s *service, r kept.Record) {
	for _, b := range r.Beside {
		left := t.e.newService(*s.Spec(), s.source, s.environ)
		t.e.procs.Recall(&left.Unit, b.Invocation, b.Session, b.Main, nil)
		left.rolling.replacedBy = s
		if s.rolling.replaced == nil {
			s.rolling.replaced = map[*service]struct{}{}
		}
		s.rolling.replaced[left] = struct{}{}
		left.Place(lifecycle.Record{State: Starting})
		if b.Main.PID == 0 { // it was about to be started
			t.missing = append(t.missing, left)
			continue
		}
		h, err := t.e.procs.Prove(b.Main)
		if err == nil {
			err = t.e.procs.Adopt(&left.Unit, b.Main, h, s.Spec().Cgroup)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			t.e.o.Trouble(fmt.Errorf("%s: the process beside it: %w", s.Name(), err))
		}
	}
}

// leaveAlone has s be left alone, and says so.
func (t *takeover) leaveAlone(s *service, why string) {
	s.LeaveAlone(why)
	t.e.o.Trouble(fmt.Errorf("%s: %s", s.Name(), why))
}

// settleDoubts leaves alone what is wanted, may run, and was not found.
func (t *takeover) settleDoubts(up []*service) {
	for _, s := range t.doubtful {
		if known := t.Records[s.Name()]; s.PID() != 0 || !known.Wanted && !slices.Contains(up, s) {
			continue
		}
		s.Wanted = true
		t.leaveAlone(s, fmt.Sprintf(
			"not started again, for it may still run: %v; \"daemonry start %s\" starts it",
			t.Doubt,
			s.Name(),
		))
	}
}

// logsAtATime is how many logs are opened at a time: each waits for a worker of the log engine, and
// all of them one after the other would take longer than everything else.
const logsAtATime = 64

// openLogs has the output of services that run, or have left something behind, carried again.
func (t *takeover) openLogs() {
	e := t.e
	// one that was being started is in both lists, and a log is opened once
	seen := map[*service]bool{}
	list := slices.DeleteFunc(slices.Concat(t.again, t.missing), func(s *service) bool {
		twice := seen[s]
		seen[s] = true
		return twice || s.Stream() != nil ||
			s.State() != Starting && (s.State() != Ready || s.PID() == 0) && s.State() != Stopping
	})
	for some := range slices.Chunk(list, logsAtATime) {
		launches, errs := make([]supervised.Launch, len(some)), make([]error, len(some))
		var all sync.WaitGroup
		for i, s := range some {
			launches[i] = s.NewLaunch()
			all.Go(func() { errs[i] = launches[i].OpenLog() })
		}
		all.Wait()
		for i, s := range some {
			s.PrintInto(launches[i].Stream)
			e.procs.Prints(&s.Unit, launches[i].Output)
			if errs[i] != nil {
				e.o.Trouble(fmt.Errorf("%s: %w", s.Name(), errs[i]))
			}
		}
	}
}

// forgetEndings forgets that services were asked to end together which are not being ended: nobody
// is to wait for that.
func (e *Engine) forgetEndings() {
	maps.DeleteFunc(e.stopping, func(s *service, _ struct{}) bool { return s.State() != Stopping })
}
