package children

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// exited is the status of a process that has exited with a code (wait(2)).
func exited(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

// TestCommandThatFails: a code or a signal is a failure, and who has run the command is told before
// the service, for which it runs no more by then.
func TestCommandThatFails(t *testing.T) {
	for want, status := range map[string]syscall.WaitStatus{
		"": 0, "exited with status 3": exited(3),
		"killed by SIGTERM": syscall.WaitStatus(syscall.SIGTERM),
	} {
		s := newScene(t, "s")
		one := s.services[0]
		s.start(one)
		_, pid, started := s.command(one, time.Hour, func(err error) {
			text := ""
			if err != nil {
				text = err.Error()
			}
			if one.told = append(one.told, text); one.Busy() {
				t.Error("it runs when its end is told")
			}
		})
		started()
		s.k.procs[pid].status = status
		s.k.die(pid)
		if s.Reap(); !slices.Equal(one.told, []string{want, "command ended"}) {
			t.Errorf("%#x: told %q", status, one.told)
		}
	}
}

// TestCommandThatCannotBeStarted: its failure is told, once.
func TestCommandThatCannotBeStarted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	var told []error
	failure := errors.New("no such program")
	c := one.NewCommand(time.Hour, func(err error) { told = append(told, err) })
	s.Expect().Failed(c, failure)
	if !slices.Equal(told, []error{failure}) || one.Busy() || !s.Idle() {
		t.Error(told, one.Busy(), s.Idle())
	}
}

// TestCommandEndedBeforeItBegan: it is killed as soon as it is known, with what it has started.
func TestCommandEndedBeforeItBegan(t *testing.T) {
	s := newScene(t, "s")
	var told []error
	c, pid, started := s.command(s.services[0], time.Hour,
		func(err error) { told = append(told, err) })
	s.EndCommand(c)
	started()
	if s.Reap(); !slices.Equal(told, []error{errCommandMoot}) ||
		!slices.Equal(s.k.groups, []int{pid}) {
		t.Errorf("told %v, groups %v", told, s.k.groups)
	}
}

// TestLateCommand: it is killed at its limit, and that is the reason, whatever comes after.
func TestLateCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "s")
		var told []error
		c, pid, started := s.command(s.services[0], time.Minute,
			func(err error) { told = append(told, err) })
		started()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.loop.Run()
		s.EndCommand(c)
		if s.Reap(); !slices.Equal(told, []error{errCommandLate}) || s.k.procs[pid] != nil {
			t.Error(told)
		}
	})
}

// TestLateCommandWhoseNumberPassedOn: a limit that comes with the end of its command is not that of
// the next one with the same number.
func TestLateCommandWhoseNumberPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "s")
		_, pid, started := s.command(s.services[0], time.Minute, func(error) {})
		started()
		time.Sleep(time.Minute)
		synctest.Wait() // the limit waits for the owner
		s.k.die(pid)
		s.Reap()
		c, again, started := s.command(s.services[0], time.Hour, func(error) {})
		started()
		if s.loop.Run(); again != pid || len(s.k.sent) > 0 || c.ended != nil {
			t.Error(again, pid, s.k.sent, c.ended)
		}
		s.k.die(pid)
		s.Reap()
	})
}

// TestProgram: it is known until it has been reaped, which is told.
func TestProgram(t *testing.T) {
	s := newScene(t)
	b := s.Expect()
	pid := s.k.born(process{parent: us})
	p := b.Program(pid)
	if !slices.Equal(s.Programs(), []*Program{p}) {
		t.Error(s.Programs())
	}
	s.k.die(pid)
	s.Reap()
	select {
	case <-p.Exited:
	default:
		t.Error("its end is not told")
	}
	if len(s.Programs()) > 0 {
		t.Error("it is known still")
	}
}
