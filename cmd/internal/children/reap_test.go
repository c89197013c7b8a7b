package children

import (
	"errors"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// birth begins one, of which a child comes into being with the lowest free number.
func (s *scene) birth() (b *Birth, pid int) {
	b = s.Expect()
	b.begin()
	return b, s.k.born(process{parent: us, mine: true})
}

// fails says that a birth came to nothing.
func (b *Birth) fails() { b.over(func() { b.None(nil) })() }

// TestUnknownDeadOfAnEarlierBirth: a dead child is kept for the births that ran when it was first
// seen, not for those that began since: else it would be there as long as there are any.
func TestUnknownDeadOfAnEarlierBirth(t *testing.T) {
	s := newScene(t)
	first, pid := s.birth()
	s.k.die(pid)
	s.Reap()
	second, _ := s.birth()
	s.Reap()
	if first.fails(); s.k.procs[pid] != nil {
		t.Error("it stays a zombie")
	}
	second.fails()
}

// TestNumberOfAnUnknownDeadPassedOn: who is given the number of a child that was seen dead is kept
// for a birth that began since, whoever has reaped the former, we or the runtime.
func TestNumberOfAnUnknownDeadPassedOn(t *testing.T) {
	for _, reapedBy := range []string{"us", "the runtime"} {
		t.Run(reapedBy, func(t *testing.T) {
			s := newScene(t, "s")
			one := s.services[0]
			first, pid := s.birth()
			s.k.die(pid)
			s.Reap()
			if reapedBy == "us" {
				second, other := s.birth() // is dead, too, so that there is always one
				s.k.die(other)
				defer second.fails()
			} else {
				delete(s.k.procs, pid)
				s.Reap()
			}
			first.fails()
			s.Announce(&one.Unit, "")
			b, again := s.birth()
			id := s.kernel.Identify(again)
			s.k.die(again)
			if s.Reap(); again != pid || s.k.procs[pid] == nil {
				t.Fatal("reaped before anybody knew whose it was")
			}
			b.over(func() { b.Main(&one.Unit, id, sys.FileID{}) })()
			if one.ended != 1 {
				t.Errorf("told %d times", one.ended)
			}
		})
	}
}

// TestUnknownDeadBeforeOthers: one that is not known yet does not keep the others from being
// reaped.
func TestUnknownDeadBeforeOthers(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	b, unknown := s.birth()
	pid := s.start(one)
	s.k.die(unknown)
	s.k.die(pid)
	if s.Reap(); one.ended != 1 || s.k.procs[unknown] == nil {
		t.Errorf("told %d times; the unknown: %+v", one.ended, s.k.procs[unknown])
	}
	b.fails()
}

// TestReapWithoutLooking: where the kernel does not show the dead before they are reaped, who is
// known is reaped all the same.
func TestReapWithoutLooking(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	s.kernel.Dead = func() (int, error) { return 0, errors.ErrUnsupported }
	s.k.die(pid)
	if s.Reap(); one.ended != 1 {
		t.Errorf("told %d times", one.ended)
	}
}

// TestNothingToReap: that there is no child, or that the runtime was faster, is no trouble.
func TestNothingToReap(t *testing.T) {
	s := newScene(t, "s")
	dead, gone := s.kernel.Dead, s.k.born(process{parent: us})
	s.kernel.Dead = func() (int, error) {
		if pid := gone; pid != 0 {
			gone = 0
			return pid, nil
		}
		if pid, _ := dead(); pid != 0 {
			return pid, nil
		}
		return 0, syscall.ECHILD
	}
	reap := s.kernel.Reap
	s.kernel.Reap = func(pid int) (Exit, bool, error) {
		if s.k.procs[pid] == nil {
			return Exit{}, false, syscall.ECHILD
		}
		return reap(pid)
	}
	one := s.services[0]
	pid := s.start(one)
	delete(s.k.procs, gone)
	s.k.die(pid)
	if s.Reap(); one.ended != 1 || len(s.troubles) > 0 {
		t.Error(one.ended, s.troubles)
	}
}

// TestNewbornIsNobodysLeftover: who has no sign of a unit may be just being started; taken for a
// leftover it would be reaped before it is known.
func TestNewbornIsNobodysLeftover(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.Announce(&one.Unit, "")
	b, pid := s.birth()
	id := s.kernel.Identify(pid)
	s.Look(&one.Unit)
	s.k.die(pid)
	s.Reap()
	if b.over(func() { b.Main(&one.Unit, id, sys.FileID{}) })(); one.ended != 1 {
		t.Errorf("told %d times", one.ended)
	}
}

// TestStartThatFails: the unit is not starting any more.
func TestStartThatFails(t *testing.T) {
	s := newScene(t, "s")
	u := &s.services[0].Unit
	s.Announce(u, "")
	if s.Expect().None(u); u.Starting() || s.Expecting() {
		t.Error("it goes on")
	}
}
