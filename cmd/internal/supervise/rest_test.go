package supervise

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// twoSteps is a schedule of 15 s.
func twoSteps(s *spec.Service) {
	s.Stop = []spec.StopStep{
		{Signal: spec.SignalOf(syscall.SIGTERM), Wait: spec.Duration(10 * time.Second)},
		{Signal: spec.SignalOf(syscall.SIGINT), Wait: spec.Duration(5 * time.Second)},
	}
}

// leave makes a process that s has left behind, which takes no signal but KILL.
func (b *bench) leave(s *service) int {
	pid := b.k.adopt(b.pidOf(s))
	b.k.set(func() { b.k.deafOnes = append(b.k.deafOnes, pid) })
	return pid
}

// sends asserts the signals that were sent since it was last asked, in this span of time.
func (b *bench) sends(in time.Duration, want ...string) {
	b.Helper()
	time.Sleep(in)
	synctest.Wait()
	if got := b.k.sent(); !slices.Equal(got, want) {
		b.Errorf("sent %v, want %v", got, want)
	}
}

// What outlives the main process has the time of the schedule, whatever led to the end.
func TestScheduleHoldsForTheRest(t *testing.T) {
	almost, rest := 10*time.Second-time.Millisecond, 5*time.Second-2*time.Millisecond
	for name, ends := range map[string]func(
		b *bench, s *service,
	) (stopped chan error, before []string){
		"stopped": func(b *bench, s *service) (chan error, []string) {
			stopped := make(chan error, 1)
			pid := b.pidOf(s)
			go func() { stopped <- b.Stop(context.Background(), "s") }()
			return stopped, []string{fmt.Sprint(pid, " SIGTERM")}
		},
		"removed": func(b *bench, s *service) (chan error, []string) {
			stopped := make(chan error, 1)
			pid := b.pidOf(s)
			go func() { stopped <- b.Remove(context.Background(), "s") }()
			return stopped, []string{fmt.Sprint(pid, " SIGTERM")}
		},
		"crashed": func(b *bench, s *service) (chan error, []string) {
			b.k.die(b.pidOf(s), exited(1))
			return nil, nil
		},
		"restarted": func(b *bench, s *service) (chan error, []string) {
			pid := b.pidOf(s)
			go func() { _ = b.Restart(context.Background(), "s") }()
			return nil, []string{fmt.Sprint(pid, " SIGTERM")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s", twoSteps))
				b.up(s)
				left := b.leave(s)
				stopped, before := ends(b, s)
				b.sends(almost, append(before, fmt.Sprint(left, " SIGTERM"))...)
				b.sends(2*time.Millisecond, fmt.Sprint(left, " SIGINT"))
				b.sends(rest)
				b.inOwner(func() {
					if s.State() != Stopping {
						t.Errorf("it is %v", s.State())
					}
				})
				b.sends(2*time.Millisecond, fmt.Sprint(left, " SIGKILL"))
				if stopped == nil {
					b.is(s, Starting, "")
				} else if err := <-stopped; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// It ends with the last process, not with the schedule, and whoever is found on the way is told
// like the others, once.
func TestRestIsToldAndWaitedFor(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps))
		b.up(s)
		one, two := b.leave(s), b.leave(s)
		session := s.PID()
		stopped := make(chan error, 1)
		go func() { stopped <- b.Stop(context.Background(), "s") }()
		synctest.Wait()
		b.k.sent()
		time.Sleep(time.Second)
		late := b.k.adopt(session) // its parent ends at this moment
		b.k.set(func() { b.k.deafOnes = append(b.k.deafOnes, late) })
		b.k.die(one, 0)
		b.sends(time.Second, fmt.Sprint(late, " SIGTERM"))
		b.k.die(late, 0)
		b.k.die(two, 0)
		b.sends(0)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		b.is(s, Stopped, "stopped")
	})
}

// Who is found late is told, however many others end meanwhile.
func TestRestIsLookedForWhileOthersEnd(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps))
		b.up(s)
		var others []int
		for range 20 {
			others = append(others, b.leave(s))
		}
		session := s.PID()
		go func() { _ = b.Stop(context.Background(), "s") }()
		synctest.Wait()
		late := b.k.adopt(session)
		b.k.sent()
		for _, pid := range others[1:] {
			b.k.die(pid, 0)
			time.Sleep(5 * time.Millisecond)
		}
		b.sends(0, fmt.Sprint(late, " SIGTERM"))
		b.k.die(others[0], 0)
		b.is(s, Stopped, "stopped")
	})
}

// All were told when the main process was, and are not told again when it has ended.
func TestRestThatWasToldIsNotToldTwice(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps, func(s *spec.Service) { s.StopTo = spec.StopAll }))
		b.up(s)
		left, main := b.leave(s), b.pidOf(s)
		go func() { _ = b.Stop(context.Background(), "s") }()
		b.sends(9*time.Second, fmt.Sprint(left, " SIGTERM"), fmt.Sprint(main, " SIGTERM"))
		b.sends(2*time.Second, fmt.Sprint(left, " SIGINT"))
		b.k.die(left, 0)
		b.is(s, Stopped, "stopped")
	})
}

// A main process that had to be killed has told nobody: they have a moment, though the schedule is
// over.
func TestRestOfTheDeaf(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps))
		b.up(s)
		left, main := b.leave(s), b.pidOf(s)
		b.k.set(func() { b.k.deafOnes = append(b.k.deafOnes, main) })
		go func() { _ = b.Stop(context.Background(), "s") }()
		b.sends(14*time.Second, fmt.Sprint(main, " SIGTERM"), fmt.Sprint(main, " SIGINT"))
		b.sends(time.Second+500*time.Millisecond-time.Millisecond, fmt.Sprint(main, " SIGKILL"),
			fmt.Sprint(left, " SIGTERM"))
		b.sends(2*time.Millisecond, fmt.Sprint(left, " SIGKILL"))
		b.is(s, Stopped, "stopped")
	})
}

// KILL for what is being ended is for all of it, and at once: that of the main process, and what it
// has left behind.
func TestKillEndsPatience(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s", twoSteps))
				b.up(s)
				left, main := b.leave(s), b.pidOf(s)
				if deaf {
					b.k.set(func() { b.k.deafOnes = append(b.k.deafOnes, main) })
				}
				go func() { _ = b.Stop(context.Background(), "s") }()
				time.Sleep(time.Second)
				b.k.sent()
				if err := b.Signal(context.Background(), syscall.SIGKILL, "s"); err != nil {
					t.Error(err)
				}
				want := []string{fmt.Sprint(left, " SIGKILL")}
				if deaf {
					want = slices.Insert(want, 0, fmt.Sprint(main, " SIGKILL"))
				}
				b.sends(0, want...)
				b.is(s, Stopped, "stopped")
			})
		})
	}
}

// What is being ended can ask for more time, also when its main process has gone.
func TestRestAsksForTime(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps, func(s *spec.Service) { s.NotifyAccess = spec.NotifyAll }))
		b.up(s)
		left := b.leave(s)
		b.k.die(b.pidOf(s), exited(1))
		b.sends(9*time.Second, fmt.Sprint(left, " SIGTERM"))
		b.sayAs(left, notify.Message{ExtendTimeout: time.Minute})
		b.sends(59 * time.Second)
		b.sends(2*time.Second, fmt.Sprint(left, " SIGINT"))
		b.k.die(left, 0)
	})
}
