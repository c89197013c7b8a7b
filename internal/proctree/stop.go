package proctree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// SignalStep is one step of an escalation: a signal, and how long the
// processes have to end before the next step.
type SignalStep struct {
	Signal sys.Signal
	Wait   time.Duration
}

// Audience says who gets the signals before SIGKILL.
type Audience uint8

const (
	// ToMain: the main process, which tells its own children in its own way. When it has ended,
	// what it left behind gets the same signal, and has the rest of the step's time.
	ToMain Audience = iota
	// ToAll: every process of the tree at once.
	ToAll
)

// StopOptions say how to end a tree. The zero value sends SIGTERM to the main process,
// waits 10 s, and kills what is left.
type StopOptions struct {
	Options
	// Steps come before SIGKILL, in order. Nil: SIGTERM and 10 s. Empty, not nil: SIGKILL at once.
	// A process that is stopped (SIGSTOP) is continued, or it could not react.
	Steps    []SignalStep
	Audience Audience
	// NoKill ends with an error instead of SIGKILL.
	NoKill bool
	// KillWait is how long the processes may take to be gone after SIGKILL,
	// which is long only for one that the kernel holds (state D). Default 5 s.
	KillWait time.Duration
	// Progress is told what happens as it happens, on the caller's goroutine. Nil: nobody.
	Progress func(Event)
}

// Event is one thing that was done or seen.
type Event struct {
	Kind    EventKind
	Process Process
	Signal  sys.Signal    // of Signalled and Refused
	After   time.Duration // of Ended: since the process was first signalled, or since the start
	Err     error         // of Refused
}

// EventKind says what an Event is about.
type EventKind uint8

const (
	Signalled EventKind = iota // a signal was sent
	Ended                      // the process is gone, or a zombie
	Refused                    // the kernel refused the signal
)

// ErrStillRunning is wrapped by the error of Stop when processes are left.
var ErrStillRunning = errors.New("still running")

// Stop ends root and every process that belongs to it, and returns when they
// are gone. The tree is looked at before the first signal, because the links in it
// end with the processes, and again until nothing is left. Exits are
// waited for by pidfd; without pidfd (before Linux 5.3) by looking every 50 ms.
//
// SIGKILL comes after SIGSTOP: a process that forks faster than it can be
// killed is first held still with all its children, then killed with them.
//
// The Result is right also beside an error: ErrStillRunning when something
// is left, the context's cause when that ended first. A main process that has
// ended already gives an error that wraps syscall.ESRCH.
func Stop(ctx context.Context, root *sys.Process, o StopOptions) (Result, error) {
	if o.Steps == nil {
		o.Steps = []SignalStep{{sys.SIGTERM, 10 * time.Second}}
	}
	if o.KillWait == 0 {
		o.KillWait = 5 * time.Second
	}
	t, err := newTree(root, o.Options)
	if err != nil {
		return Result{}, err
	}
	s := &stopper{tree: t, main: root, options: o, begin: time.Now()}
	err = s.run(ctx)
	// What is left is told as it is now, also beside an error.
	if lookErr := s.look(); err == nil {
		err = lookErr
	}
	result := s.result()
	if err == nil && len(result.Left) > 0 {
		err = fmt.Errorf("%s: %w", joined(result.Left), ErrStillRunning)
	}
	return result, err
}

// treatment is what was done to a process.
type treatment struct {
	signals []sys.Signal  // sent, in order, without SIGSTOP and SIGCONT
	step    int           // the last step that reached it, counted from 1
	first   time.Time     // when the first signal was sent
	after   time.Duration // from then, or from the start, until its end was seen
	frozen  bool
	refused error // why a signal could not be sent
}

// stopper is one Stop under way.
type stopper struct {
	*tree
	main    *sys.Process
	options StopOptions
	begin   time.Time
}

func (s *stopper) run(ctx context.Context) error {
	if err := s.look(); err != nil {
		return err
	}
	for i, step := range s.options.Steps {
		if err := s.step(ctx, i+1, step); err != nil || len(s.live()) == 0 {
			return err
		}
	}
	if s.options.NoKill {
		return nil
	}
	return s.kill(ctx)
}

// step sends one signal and waits. That something is left is no error yet.
func (s *stopper) step(ctx context.Context, number int, step SignalStep) error {
	deadline := time.Now().Add(step.Wait)
	main := s.members[s.root.pid]
	if s.options.Audience == ToMain && main != nil && main.alive {
		if err := s.deliver(main, number, step.Signal); err != nil {
			return err
		}
		if main.done.refused != nil {
			return fmt.Errorf("signal %s: %w", main, main.done.refused)
		}
		if ended, err := s.wait(ctx, main, deadline); !ended || err != nil {
			return err
		}
	}
	for {
		if err := s.look(); err != nil {
			return err
		}
		live := s.live()
		if len(live) == 0 || !time.Now().Before(deadline) {
			return nil
		}
		for _, m := range live {
			if err := s.deliver(m, number, step.Signal); err != nil {
				return err
			}
		}
		if err := s.waitAll(ctx, live, deadline); err != nil {
			return err
		}
	}
}

// kill ends what is left, until nothing is or KillWait has passed.
func (s *stopper) kill(ctx context.Context) error {
	deadline := time.Now().Add(s.options.KillWait)
	number := len(s.options.Steps) + 1
	for {
		// Nothing may come between: what is frozen must be killed, whatever
		// happens, or it would stay behind stopped for ever.
		err := s.freeze(deadline)
		live := s.live()
		for _, m := range live {
			err = errors.Join(err, s.deliver(m, number, sys.SIGKILL))
		}
		if err == nil {
			err = s.waitAll(ctx, live, deadline)
		}
		if err == nil {
			err = s.look()
		}
		if err != nil || len(s.live()) == 0 || !time.Now().Before(deadline) {
			return err
		}
	}
}

// freeze stops every process of the tree, and looks again until all are seen
// to stand still and no other is found: from then on none can fork. It gives up at
// half of the time, which leaves the other half for SIGKILL.
func (s *stopper) freeze(deadline time.Time) error {
	half := time.Until(deadline) / 2
	for begin := time.Now(); ; {
		if err := s.look(); err != nil {
			return err
		}
		settled := true
		for _, m := range s.live() {
			switch {
			case !m.done.frozen:
				if err := s.send(m, sys.SIGSTOP); err != nil {
					return err
				}
				m.done.frozen, settled = true, false
			case m.state == 'R' || m.state == 'S':
				settled = false
			}
		}
		if settled || time.Since(begin) > half {
			return nil
		}
	}
}

// look scans, and reports the ends that the scan saw.
func (s *stopper) look() error {
	if err := s.scan(); err != nil {
		return err
	}
	s.settle()
	return nil
}

// settle notes and reports how long those took that have ended.
func (s *stopper) settle() {
	fresh := s.fresh
	s.fresh = nil
	s.sort(fresh)
	for _, m := range fresh {
		since := m.done.first
		if since.IsZero() {
			since = s.begin
		}
		m.done.after = time.Since(since)
		s.report(Event{Kind: Ended, Process: m.Process, After: m.done.after})
	}
}

// live are the members that can be ended, the main process first. One that we
// may not signal is not waited for: nothing has been done to it.
func (s *stopper) live() []*member {
	return slices.DeleteFunc(s.sorted(),
		func(m *member) bool { return m.spared || m.done.refused != nil })
}

func (s *stopper) waitAll(ctx context.Context, list []*member, deadline time.Time) error {
	for _, m := range list {
		if ended, err := s.wait(ctx, m, deadline); !ended || err != nil {
			return err
		}
	}
	return nil
}

// wait returns whether m has ended by the deadline. It holds one process at a
// time: descriptors are scarce, and all have the same deadline.
func (s *stopper) wait(ctx context.Context, m *member, deadline time.Time) (ended bool, err error) {
	p, err := s.hold(m)
	if p == nil || err != nil {
		return err == nil, err
	}
	defer s.release(p)
	timed, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err = p.Wait(timed)
	switch {
	case err == nil:
		s.end(m)
		s.settle()
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case timed.Err() != nil:
		return false, nil
	}
	return false, fmt.Errorf("wait for %s: %w", m, err)
}

// deliver sends a signal to a member unless this step's has reached it, and
// makes a stopped process go on to take it.
func (s *stopper) deliver(m *member, step int, sig sys.Signal) error {
	if m.done.step == step {
		return nil
	}
	m.done.step = step
	if err := s.send(m, sig); err != nil {
		return err
	}
	if m.state == 'T' && sig != sys.SIGKILL {
		return s.send(m, sys.SIGCONT)
	}
	return nil
}

// send signals a process that is proven to be the one found. A refusal is noted
// and no error: the others must be ended all the same, and Left tells.
func (s *stopper) send(m *member, sig sys.Signal) error {
	p, err := s.hold(m)
	if p == nil || err != nil {
		return err
	}
	defer s.release(p)
	switch err := p.Signal(sig); {
	case errors.Is(err, sys.ESRCH):
	case err != nil:
		m.done.refused = err
		s.report(Event{Kind: Refused, Process: m.Process, Signal: sig, Err: err})
	case sig != sys.SIGSTOP && sig != sys.SIGCONT:
		m.done.signals = append(m.done.signals, sig)
		if m.done.first.IsZero() {
			m.done.first = time.Now()
		}
		s.report(Event{Kind: Signalled, Process: m.Process, Signal: sig})
	}
	return nil
}

// hold pins a member: nil if it is gone or its pid is another process's by now.
func (s *stopper) hold(m *member) (*sys.Process, error) {
	if m.key() == s.root {
		return s.main, nil
	}
	p, err := sys.Pin(m.PID)
	if errors.Is(err, sys.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", m, err)
	}
	if id, err := p.Identity(); err != nil || id.Start != m.Start {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (s *stopper) release(p *sys.Process) {
	if p != s.main {
		_ = p.Close() // a pidfd: nothing is lost with it
	}
}

func (s *stopper) report(e Event) {
	if s.options.Progress != nil {
		s.options.Progress(e)
	}
}
